"""What the network saw: its kept output on the grid of the labels, box by box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.resize_box import resize_box, source_box
from napari_unet.core.base.tiles import shift

if TYPE_CHECKING:
    from napari_unet.app.requests import KeptOutput

Key = tuple[int | None, ...]


@dataclass(frozen=True)
class EdgeMap:
    """The foreground, or one class, as the network saw it; indexing computes a box of it.

    Parameters
    ----------
    kept : KeptOutput
        The network's output; may be of a part of the labels.
    key : tuple of int or None
        Which part of the labels it is a map of: a position, or None for an axis that is kept; axes that are not named
        are kept.
    channel : int
        Of the output: 0 is the foreground of objects, or the background of classes.
    """

    kept: KeptOutput = field(repr=False)
    key: Key = ()
    channel: int = 0

    def __getitem__(self, box: tuple[slice, ...], /) -> NDArray[np.float32]:
        """Give the values, 0 to 1, in a box; beyond what was segmented those of the nearest voxel."""
        output = self.kept.output
        whole = whole_box(box, self.key)
        start = [0] * len(whole) if self.kept.box is None else [part.start for part in self.kept.box]
        times = np.zeros(1, np.intp)
        if self.kept.has_time:
            first, count = start[0], len(output.maps)
            times = np.clip(np.arange(whole[0].start, whole[0].stop) - first, 0, count - 1)
            whole, start = whole[1:], start[1:]
        grid = output.maps[0].shape[1:]
        index = [
            np.clip(((np.arange(part.start, part.stop) - low + 0.5) * (have / n)), 0, have - 1).astype(np.intp)
            for part, low, have, n in zip(whole, start, grid, output.shape, strict=True)
        ]
        chosen = [output.maps[int(t)][min(self.channel, len(output.maps[int(t)]) - 1)] for t in times]
        stack = np.stack([as_unit(one[np.ix_(*index)]) for one in chosen])
        fixed = tuple(0 if at is not None else slice(None) for at in self.key)
        kept: NDArray[np.float32] = (stack if self.kept.has_time else stack[0])[fixed]
        return kept


@dataclass(frozen=True)
class KeptMaps:
    """All maps of the network, to be decoded again; indexing computes a box of them.

    Parameters
    ----------
    kept : KeptOutput
        The network's output; may be of a part of the labels.
    key : tuple of int or None
        As in `EdgeMap`.
    """

    kept: KeptOutput = field(repr=False)
    key: Key = ()

    def __getitem__(self, box: tuple[slice, ...], /) -> NDArray[np.float32]:
        """Give (K, *box), 0 to 1; 0 beyond what was segmented. Coarser maps are interpolated linearly."""
        output = self.kept.output
        whole = whole_box(box, self.key)
        corner = [0] * len(whole) if self.kept.box is None else [part.start for part in self.kept.box]
        size = ((len(output.maps),) if self.kept.has_time else ()) + tuple(output.shape)
        here = [_overlap(*args) for args in zip(whole, corner, size, strict=True)]
        values = np.zeros((len(output.maps[0]), *(part.stop - part.start for part in whole)), np.float32)
        inner = shift(tuple(here), tuple(c - part.start for c, part in zip(corner, whole, strict=True)))
        if all(part.stop > part.start for part in here):
            space = tuple(here[-len(output.shape) :])
            times = range(here[0].start, here[0].stop) if self.kept.has_time else (0,)
            found = [_on_grid(output.maps[at], tuple(output.shape), space) for at in times]
            values[(slice(None), *inner)] = np.stack(found, axis=1) if self.kept.has_time else found[0]
        fixed = tuple(0 if at is not None else slice(None) for at in self.key)
        kept: NDArray[np.float32] = values[(slice(None), *fixed)]
        return kept


def basins(height: NDArray[np.float32], mask: NDArray[np.bool_], prominence: float) -> NDArray[np.int32]:
    """Cut a mask into the basins of the boundary distance, as objects are decoded: each of them is one piece."""
    from napari_unet.core.targets.basins import split_basins  # loads torch

    return split_basins(height, mask, seed=-1.0, prominence=prominence)


def whole_box(box: tuple[slice, ...], key: Key) -> list[slice]:
    """Give a box of a part of the labels as one of the whole labels."""
    parts = iter(box)
    front = [next(parts) if at is None else slice(at, at + 1) for at in key]
    return [*front, *parts]


def _overlap(part: slice, corner: int, size: int) -> slice:
    """Give the part of the output that lies in a part of the labels, counted from its own corner."""
    start = min(max(part.start - corner, 0), size)
    return slice(start, max(start, min(part.stop - corner, size)))


def _on_grid(maps: NDArray[Any], shape: tuple[int, ...], box: tuple[slice, ...]) -> NDArray[np.float32]:
    """Bring a box of maps (K, ...) to the grid of the labels."""
    part = as_unit(maps[(slice(None), *source_box(maps.shape[1:], shape, box))])
    return resize_box(part, maps.shape[1:], shape, box)


def as_unit(values: NDArray[Any]) -> NDArray[np.float32]:
    """Give values 0 to 1; unsigned integers hold 0 to the largest of their type."""
    if values.dtype.kind == "u":
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return values.astype(np.float32)
