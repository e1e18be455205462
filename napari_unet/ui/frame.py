"""The part of the labels that a tool works on: the shown time point, the shown slice of it, or all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_unet.core.base.lazy import rearrange
from napari_unet.ui import layers, view

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_unet.core.edits.tool import Span
    from napari_unet.ui.results import Link


@dataclass(frozen=True)
class Frame:
    """A part of a labels layer.

    Parameters
    ----------
    labels : integer array
        A view, not read where the layer's array is not in memory.
    key : tuple of int or None
        Where it is in the labels: a position for each axis that it has not.
    voxel_size : tuple of float, µm, or None
        One for each of its axes; time counts as 1.
    axis : int or None
        Of `labels`: from slice to slice, or from one time point to the next.
    at : int
        The shown position on that axis.
    layer_axis : int
        The same axis of the layer, counted without the one that stands for channels.
    """

    labels: Any = field(repr=False)
    key: tuple[int | None, ...]
    voxel_size: tuple[float, ...] | None
    axis: int | None = None
    at: int = 0
    layer_axis: int = 0

    @property
    def index(self) -> tuple[int | slice, ...]:
        """Give what the labels are indexed with; empty where it is all of them."""
        return () if not self.key else tuple(slice(None) if at is None else at for at in self.key)

    def flat(self, points: Any) -> Any:
        """Take the coordinates (N, axes of the labels) along the frame's own axes."""
        return points[:, [i for i in range(points.shape[1]) if i >= len(self.key) or self.key[i] is None]]


def frame_of(viewer: Viewer, link: Link, span: Span, *, in_slice: bool) -> Frame:
    """Choose the part of the labels that a tool gets.

    Parameters
    ----------
    viewer : napari Viewer
        Says which slice and time point are shown, along any axes.
    link : Link
        The labels and what their axes mean.
    span : {"chosen", "steps", "all"}
        What the tool works on.
    in_slice : bool
        The user chose the shown slice instead of the whole object.
    """
    axes = link.image.label_axes
    box = view.slice_box(viewer, link.labels, layers.labels_axes(link.labels, axes))
    shown = [part.stop - part.start > 1 for part in box]
    hidden = [i for i, is_shown in enumerate(shown) if not is_shown]
    fixed: set[int] = set()
    step: int | None = None
    if span == "chosen":
        fixed = set(hidden) if in_slice else {i for i in hidden if axes[i] == "T"}
    elif span == "steps":
        space = [i for i in hidden if axes[i] != "T"]
        times = [i for i in hidden if axes[i] == "T"]
        first = space or times if in_slice or not times else times
        step = first[0] if first else None
        fixed = {i for i in times if i != step}
    return _cut(link, box, fixed, step)


def _cut(link: Link, box: view.Box, fixed: set[int], step: int | None) -> Frame:
    axes = link.image.label_axes
    key = tuple(box[i].start if i in fixed else None for i in range(len(axes))) if fixed else ()
    channel = layers.channel_axis(link.labels)
    index: list[int | slice] = [box[i].start if i in fixed else slice(None) for i in range(len(axes))]
    if channel is not None:
        index.insert(channel, 0)
    kept = [i for i in range(len(axes)) if i not in fixed]
    known = dict(zip(link.image.spatial_axes, link.image.voxel_size or (), strict=False))
    size = tuple(known.get(axes[i], 1.0) for i in kept) if known else None
    labels = rearrange(link.labels.data, tuple(index))
    if step is None:
        return Frame(labels, key, size)
    return Frame(labels, key, size, kept.index(step), box[step].start, step)
