"""Follow what is written into a labels layer: by napari's brush, by our tools, by undo, and unseen by others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.app.object_counts import Change
from napari_unet.app.overview import MOST_CHANGED
from napari_unet.core.base.lazy import is_lazy
from napari_unet.ui.layers import channel_axis, labels_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels
    from napari.viewer import Viewer
    from numpy.typing import NDArray

Changes = list[Change] | None
"""One after the other; None where something else may have changed as well, or so much that it is not said."""


def on_written(layer: Labels, call: Callable[[Changes], None]) -> Callable[[], None]:
    """Call after each step that enters the layer's history, with what it changed; give what ends it."""

    def _on_paint(event: Any) -> None:
        call(_changes(layer, getattr(event, "value", None)))

    layer.events.paint.connect(_on_paint)
    return lambda: layer.events.paint.disconnect(_on_paint)


def replay(layer: Labels, *, redo: bool = False) -> Changes:
    """Let napari undo (or redo) the last step of a layer, and say what that changed."""
    call = layer.redo if redo else layer.undo
    steps = getattr(layer, "_redo_history" if redo else "_undo_history", None)  # napari has no public way to it (0.9)
    if steps is not None and not steps:
        return []
    places = None if steps is None else [_where(layer, atom) for atom in steps[-1]]
    if not places or is_lazy(layer.data) or any(where is None for where in places):
        call()
        return None
    labels = labels_array(layer)
    flat = np.unique(np.concatenate([np.ravel_multi_index(where, labels.shape) for where in places if where]))
    where = np.unravel_index(flat, labels.shape)
    before = labels[where]
    call()
    return [Change(where, before, labels_array(layer)[where])]


def look_of(viewer: Viewer, layer: Labels) -> tuple[Any, ...]:
    """Give what napari draws a layer anew for, besides its voxels."""
    dims = viewer.dims
    how = (layer.selected_label, layer.show_selected_label, layer.contour, layer.visible, id(layer.colormap))
    return (dims.point, dims.order, dims.ndisplay, *how)


def _changes(layer: Labels, step: Any) -> Changes:
    """Read a step of napari's history: since 0.7 a box with a mask, otherwise three arrays."""
    changes = []
    for atom in step or ():
        where = _where(layer, atom)
        if where is None:
            return None
        before, after = (atom.old_values, atom.new_value) if hasattr(atom, "slice_key") else atom[1:]
        n = len(where[0])
        changes.append(Change(where, np.ravel(before), np.broadcast_to(np.ravel(after), n)))
    return changes if step else None


def _where(layer: Labels, atom: Any) -> tuple[NDArray[np.intp], ...] | None:
    """Give the voxels of a change, without the axis of the channels; None where they are too many, or come twice."""
    if hasattr(atom, "slice_key"):
        if np.size(atom.old_values) > MOST_CHANGED:
            return None
        bounds = [part.indices(n) for part, n in zip(atom.slice_key, layer.data.shape, strict=True)]
        box = tuple(stop - start for start, stop, _ in bounds)
        mask = np.ones(box, bool) if atom.mask is None else np.reshape(atom.mask, box)
        parts = tuple(at + start for at, (start, _, _) in zip(np.nonzero(mask), bounds, strict=True))
    else:
        if np.size(atom[0][0]) > MOST_CHANGED:
            return None
        parts = tuple(np.ravel(at) for at in atom[0])
    channel = channel_axis(layer)
    where = tuple(at for axis, at in enumerate(parts) if axis != channel)
    shape = tuple(n for axis, n in enumerate(layer.data.shape) if axis != channel)
    flat = np.ravel_multi_index(where, shape)
    is_sorted = bool((np.diff(flat) > 0).all())
    return where if is_sorted or len(np.unique(flat)) == len(flat) else None
