"""What a block knows of the objects that may leave it, and how blocks put together what they know.

Blocks are never joined by comparing labels. Each says where the voxels at its faces lead; then every way can be
followed to its end, through as many blocks as it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.tiles import Box, Tile, shift

Ids = NDArray[np.int64]
"""Linear indices of voxels in the whole volume: names that need no agreement between blocks."""

Pairs = tuple[Ids, Ids, NDArray[np.float32]]


@dataclass(frozen=True)
class Parts:
    """The foreground of a block, in parts.

    Parameters
    ----------
    numbers : (*read,) int32
        0 background, then the number of the part; in the halo each voxel is a part of its own.
    ends : (n + 1,) int64
        The voxel that stands for each part, as its linear index in the whole volume; -1 for the background.
    heights : (n + 1,) float32
        The value there.
    """

    numbers: NDArray[np.int32]
    ends: Ids
    heights: NDArray[np.float32]


@dataclass(frozen=True)
class Rule:
    """Say which parts become one object.

    Parameters
    ----------
    seed : float
        A peak that does not rise above it is no object of its own.
    prominence : float
        Nor is one that rises less than this above the pass to a higher one.
    """

    seed: float
    prominence: float

    def stands(self, peaks: NDArray[np.float32], passes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which peaks are objects of their own beyond a pass, and so beyond every lower one."""
        # In float64, as where single parts are joined: otherwise rounding could decide differently here and there.
        exact = peaks.astype(np.float64)
        standing: NDArray[np.bool_] = (exact - passes >= self.prominence) & (exact > self.seed)
        return standing


EVERYTHING = Rule(-np.inf, np.inf)
"""Parts that touch are one."""


@dataclass(frozen=True)
class Facts:
    """What is known of the parts in a box.

    Parameters
    ----------
    box : Box
        In the whole volume.
    ends, leads : (n,) int64
        The voxels where ways end in a block of the box, and where each is known to lead: to itself if it is a peak,
        else to another peak in the box or to a voxel outside of it.
    heights : (n,) float32
        The value at each end.
    sizes : (n,) int64
        Number of voxels, in all blocks of the box, that end there.
    passes : one (m,) int64, other (m,) int64, height (m,) float32
        The highest pass between two neighbours; the other may be a voxel outside of the box. Those left out cannot join
        anything.
    ports, behind : (p,) int64
        Foreground voxels at those faces of the box that are inside of the volume, and where they lead.
    """

    box: Box
    ends: Ids
    leads: Ids
    heights: NDArray[np.float32]
    sizes: Ids
    passes: Pairs
    ports: Ids
    behind: Ids


def gather(parts: Parts, tile: Tile, shape: tuple[int, ...], passes: Pairs) -> Facts:
    """Put down what a block knows of its parts.

    Parameters
    ----------
    parts : Parts
        Of the block.
    tile : Tile
        Where the block is.
    shape : tuple of int
        The whole volume.
    passes : pair of numbers and height
        Between its parts, by number.
    """
    core = parts.numbers[tile.inner]
    sizes = np.bincount(core.ravel(), minlength=len(parts.ends))
    sizes[0] = 0
    used = np.flatnonzero(sizes)
    ends = parts.ends[used]
    at_face = _faces(tile.core, shape)
    at_face &= core > 0
    edge = Tile(tile.core, tile.core, tile.inner)
    ports = linear(np.flatnonzero(at_face), edge, shape)
    one, other, height = passes
    found = highest(parts.ends[one], parts.ends[other], height)
    return Facts(tile.core, ends, ends, parts.heights[used], sizes[used], found, ports, parts.ends[core[at_face]])


def borders(numbers: NDArray[np.int32], inner: Box) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Find pairs of voxels in different parts that share a face.

    Parameters
    ----------
    numbers : (*read,) int32
        Of the parts; 0 background.
    inner : Box
        The core in it. The first voxel of a pair is always in there, so that each pair is found in one block only.

    Yields
    ------
    pair of (n,) int
        Linear indices of the voxels in what is read, axis by axis.
    """
    for axis, length in enumerate(numbers.shape):
        step = tuple(int(a == axis) for a in range(numbers.ndim))
        first = tuple(slice(s.start, min(s.stop, length - 1)) if d else s for s, d in zip(inner, step, strict=True))
        second = shift(first, step)
        one, other = numbers[first], numbers[second]
        border = one != other
        border &= one > 0
        border &= other > 0
        index = np.unravel_index(np.flatnonzero(border), border.shape)
        places = [
            np.ravel_multi_index(tuple(i + s.start for i, s in zip(index, box, strict=True)), numbers.shape)
            for box in (first, second)
        ]
        yield places[0], places[1]


def is_core(tile: Tile) -> NDArray[np.bool_]:
    """Mark the core in what a tile reads."""
    inside = np.zeros([s.stop - s.start for s in tile.read], bool)
    inside[tile.inner] = True
    return inside


def linear(places: NDArray[np.intp], tile: Tile, shape: tuple[int, ...]) -> Ids:
    """Turn linear indices in what a tile reads into those in the whole volume."""
    out = np.zeros(len(places), np.int64)
    read = tuple(s.stop - s.start for s in tile.read)
    for index, part, length in zip(np.unravel_index(places, read), tile.read, shape, strict=True):
        out = out * length + (index + part.start)
    return out


def highest(one: Ids, other: Ids, height: NDArray[np.float32]) -> Pairs:
    """Keep the highest pass of each pair, in the order of the pairs."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((-height, high, low))
    low, high, height = low[order], high[order], height[order]
    first = np.ones(len(low), bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return low[first], high[first], height[first]


def find(ids: Ids, known: Ids) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Tell which ids are among the known (sorted) ones, and where those are."""
    if not len(known):
        return np.zeros(len(ids), bool), np.zeros(0, np.intp)
    at = np.searchsorted(known, ids)
    at[at == len(known)] = 0
    found = known[at] == ids
    return found, at[found]


def with_nothing(values: NDArray[Any], nothing: int) -> NDArray[Any]:
    """Put a value for the background, number 0, before those of the parts."""
    return np.concatenate((np.array([nothing], values.dtype), values))


def _faces(box: Box, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the voxels of a box that have neighbours outside of it."""
    faces = np.zeros([s.stop - s.start for s in box], bool)
    for axis, (part, length) in enumerate(zip(box, shape, strict=True)):
        along = faces.swapaxes(axis, 0)
        if part.start > 0:
            along[0] = True
        if part.stop < length:
            along[-1] = True
    return faces
