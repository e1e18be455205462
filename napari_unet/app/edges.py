"""Where the network saw the edges of objects: its kept output on the grid of the labels, box by box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
        whole = self._whole(box)
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

    def _whole(self, box: tuple[slice, ...]) -> list[slice]:
        """Give the box in the whole labels."""
        parts = iter(box)
        front = [next(parts) if at is None else slice(at, at + 1) for at in self.key]
        return [*front, *parts]


def as_unit(values: NDArray[Any]) -> NDArray[np.float32]:
    """Give values 0 to 1; unsigned integers hold 0 to the largest of their type."""
    if values.dtype.kind == "u":
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return values.astype(np.float32)
