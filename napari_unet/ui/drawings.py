"""What the user draws for the tools: lines, outlines, seeds and rectangles, on layers of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import bounding_box, joined
from napari_unet.core.edits.drawing import draw_outline, flat_axis
from napari_unet.core.edits.find import find
from napari_unet.ui import layers, view

if TYPE_CHECKING:
    from napari.layers import Labels, Layer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_unet.ui.frame import Frame

DRAWING, SEEDS, REGIONS = "U-Net drawing", "U-Net seeds", "U-Net regions"
LINES = ("line", "path")
MOST = 0.5  # an object is meant by an outline that encloses more of it than this
Points = Any  # (N, axes of the frame) float, voxels


class Drawings:
    """Find what is drawn, in voxels of the labels.

    Parameters
    ----------
    viewer : napari Viewer
        Its layers are drawn on.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        viewer.layers.selection.events.active.connect(self._on_active)
        self.on_start: Callable[[Layer], None] = lambda layer: None
        """Gets each layer that is to be drawn on, to bind keys to it."""

    def start(self, labels: Labels, name: str, mode: str) -> Layer:
        """Let the user draw on a layer, which is given; `mode` is one of napari's."""
        add = view.add_points if name == SEEDS else view.add_shapes
        layer: Layer = add(self._viewer, labels, name, mode)
        self.on_start(layer)
        return layer

    def end(self) -> None:
        """Listen to the viewer no longer."""
        self._viewer.layers.selection.events.active.disconnect(self._on_active)

    def _on_active(self, event: object) -> None:
        """Hide what is empty and not drawn on: with each step of a slider it takes napari as long as labels do."""
        for name in (DRAWING, SEEDS):
            layer = view.named(self._viewer, name)
            if layer is None:
                continue
            is_shown = len(layer.data) > 0 or self._viewer.layers.selection.active is layer
            if layer.visible != is_shown:
                layer.visible = is_shown

    def line(self, labels: Labels, frame: Frame) -> Points | None:
        """Give the line drawn last; None without one."""
        return self._last(labels, frame, LINES)

    def outline(self, labels: Labels, frame: Frame) -> Points | None:
        """Give the outline drawn last, of any closed kind; None without one."""
        return self._last(labels, frame, ("polygon", "rectangle", "ellipse"))

    def has_any(self) -> bool:
        """Tell whether a line or an outline is drawn."""
        shapes = view.named(self._viewer, DRAWING)
        return shapes is not None and len(shapes.data) > 0

    def seeds(self, labels: Labels, frame: Frame) -> Points | None:
        """Give the points that were placed; None without any."""
        layer = view.named(self._viewer, SEEDS)
        if layer is None or not len(layer.data):
            return None
        return frame.flat(np.concatenate(view.drawn(self._viewer, layer, labels, [layer.data])))

    def boxes(self, labels: Labels) -> list[view.Box]:
        """Give the boxes of the drawn rectangles; those that lie on each other in consecutive slices as one.

        Raises
        ------
        UserError
            When all of them lie outside the labels.
        """
        shapes = view.named(self._viewer, REGIONS)
        if shapes is None or not len(shapes.data):
            return []
        channel = layers.channel_axis(labels)
        shape = tuple(n for at, n in enumerate(labels.data.shape) if at != channel)
        found = [view.drawn_box(v, shape) for v in view.drawn(self._viewer, shapes, labels, shapes.data)]
        inside = [box for box in found if box is not None]
        if not inside:
            raise UserError("The rectangles lie outside the labels.", "Draw them on the image.")
        return joined(inside)

    def clear(self, *names: str) -> None:
        """Take away what was drawn, once it has been used."""
        for name in names:
            layer = view.named(self._viewer, name)
            if layer is not None and len(layer.data):
                view.clear_drawing(layer)

    def _last(self, labels: Labels, frame: Frame, kinds: tuple[str, ...]) -> Points | None:
        shapes = view.named(self._viewer, DRAWING)
        if shapes is None:
            return None
        wanted = [data for data, kind in zip(shapes.data, shapes.shape_type, strict=True) if kind in kinds]
        return frame.flat(view.drawn(self._viewer, shapes, labels, wanted[-1:])[0]) if wanted else None


def under_line(labels: NDArray[np.integer[Any]], line: NDArray[np.float64]) -> list[int]:
    """Find the objects that a line crosses, the one that most of it lies on first.

    Parameters
    ----------
    labels : integer array
        Of one time point.
    line : (N, labels.ndim) float, voxels
        The vertices of the line.

    Raises
    ------
    UserError
        When it crosses none.
    """
    steps = int(np.abs(np.diff(line, axis=0)).max()) + 1
    points = np.concatenate([np.linspace(a, b, steps + 1) for a, b in itertools.pairwise(line)])
    where = np.clip(np.rint(points), 0, np.array(labels.shape) - 1).astype(int)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    part = np.asarray(labels[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))])
    found = part[tuple((where - low).T)]
    ids, counts = np.unique(found[found > 0], return_counts=True)
    if not ids.size:
        raise UserError("The line crosses no object.", "Draw it through the objects that are meant.")
    return [int(one) for one in ids[np.argsort(-counts, kind="stable")]]


def enclosed(labels: NDArray[np.integer[Any]], outline: NDArray[np.float64]) -> list[int]:
    """Find the objects of which an outline encloses more than half, in the plane it is drawn in.

    Parameters
    ----------
    labels : integer array, 2D or 3D
        Of one time point.
    outline : (N, labels.ndim) float, voxels
        Its corners.

    Raises
    ------
    UserError
        When it encloses none.
    """
    plane = labels
    if labels.ndim == 3:
        axis = flat_axis(outline)
        at = int(np.clip(np.rint(outline[:, axis].mean()), 0, labels.shape[axis] - 1))
        plane = np.asarray(labels[(slice(None),) * axis + (at,)])
        outline = np.delete(outline, axis, axis=1)
    plane = np.asarray(plane)
    mask = draw_outline(outline, plane.shape)
    box = bounding_box(mask)
    ids, n_inside = np.unique(plane[box][mask[box]], return_counts=True)
    inside = dict(zip(ids.tolist(), n_inside.tolist(), strict=True))
    inside.pop(0, None)
    whole = _sizes(plane, list(inside)) if inside else {}
    found = [one for one, n in inside.items() if n > MOST * whole[one]]
    if not found:
        raise UserError("The outline encloses no object.", "Draw it around the objects.")
    return found


def _sizes(plane: NDArray[np.integer[Any]], ids: list[int]) -> dict[int, int]:
    there, counts = np.unique(find(plane, ids).labels, return_counts=True)
    return dict(zip(there.tolist(), counts.tolist(), strict=True))
