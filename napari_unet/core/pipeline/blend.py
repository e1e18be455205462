"""Tiles that overlap and fade into each other, for networks of which no tile gives exactly what the whole does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil

import torch
from torch import Tensor

from napari_unet.core.base.tiles import Box, round_up

FADE = 1 / 8
"""Of a tile's edge: the standard deviation of the Gaussian that its voxels are weighed with."""


@dataclass(frozen=True)
class Axis:
    """How tiles lie along one axis.

    Parameters
    ----------
    size : int, voxels
        Of a tile; a multiple of the pooling grid.
    starts : tuple of int, voxels
        On the pooling grid; the last tile may reach beyond the volume.
    length : int, voxels
        Of the volume.
    """

    size: int
    starts: tuple[int, ...]
    length: int

    def weights(self) -> Tensor:
        """Give the weights of a tile's voxels, (size,) float32: most in the middle, never 0."""
        distance = (torch.arange(self.size) - (self.size - 1) / 2) / (self.size * FADE)
        return torch.exp(-0.5 * distance.square())

    def total(self) -> Tensor:
        """Give the sum of the weights of all tiles, (length,) float32."""
        total, weights = torch.zeros(self.starts[-1] + self.size), self.weights()
        for start in self.starts:
            total[start : start + self.size] += weights
        return total[: self.length]


def plan_axis(length: int, size: int, overlap: float, multiple: int) -> Axis:
    """Lay tiles along an axis so that neighbours share at least about `overlap` of their edge."""
    padded = round_up(length, multiple)
    size = min(padded, max(1, size // multiple) * multiple)
    step = max(multiple, int(size * (1 - overlap)) // multiple * multiple)
    n = 1 + ceil((padded - size) / step)
    free = (padded - size) // multiple
    return Axis(size, tuple(i * free // max(1, n - 1) * multiple for i in range(n)), length)


def blend(axes: tuple[Axis, ...], compute: Callable[[Box], Tensor], write: Callable[[Box, Tensor], None]) -> None:
    """Compute overlapping tiles and hand over their weighted mean.

    Parameters
    ----------
    axes : tuple of Axis
        The plan.
    compute : function of a box
        Gives the (K, *box) logits of a tile, whose box may reach beyond the volume.
    write : function of a box and (K, *box) logits
        Called once for each slab of the first axis, at the end.

    Notes
    -----
    Needs the memory of all logits of the volume in float32 until the end.

    References
    ----------
    F. Isensee et al.: nnU-Net. Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z; the weights.
    """
    lengths = tuple(axis.length for axis in axes)
    window = _outer([axis.weights() for axis in axes])
    total: Tensor | None = None
    for starts in product(*(axis.starts for axis in axes)):
        logits = compute(tuple(slice(s, s + axis.size) for s, axis in zip(starts, axes, strict=True))).cpu()
        if total is None:
            total = logits.new_zeros(logits.shape[0], *lengths)
        inside = tuple(slice(s, min(s + axis.size, axis.length)) for s, axis in zip(starts, axes, strict=True))
        cut = tuple(slice(0, part.stop - part.start) for part in inside)
        total[(slice(None), *inside)] += (logits * window)[(slice(None), *cut)]
    if total is not None:
        for box in _slabs(lengths, axes[0].size):
            sums = _outer([axis.total()[part] for axis, part in zip(axes, box, strict=True)])
            write(box, total[(slice(None), *box)] / sums)


def _slabs(lengths: tuple[int, ...], size: int) -> Iterator[Box]:
    for start in range(0, lengths[0], size):
        yield (slice(start, min(start + size, lengths[0])), *(slice(0, n) for n in lengths[1:]))


def _outer(parts: list[Tensor]) -> Tensor:
    """Multiply vectors to an array with one axis for each."""
    out = parts[0]
    for part in parts[1:]:
        out = out[..., None] * part
    return out
