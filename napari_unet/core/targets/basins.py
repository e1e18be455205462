"""Cut touching objects apart where the distance map has a deep enough pass between two peaks.

References
----------
Dynamics of minima, which is prominence upside down: M. Grimaud: New measure of contrast: the dynamics. SPIE 1992,
doi:10.1117/12.60650. The basins: see `core.targets.ascent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.targets.ascent import climb
from napari_unet.core.targets.facts import Facts, Ids, Pairs, Parts, Rule, borders, find, gather
from napari_unet.core.targets.merging import plan_blocks, put_together, surround

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Tile

EDGE = {2: 1024, 3: 96}
"""Voxels along each side of a block by number of axes: what lies in the processor's cache is much faster."""

CHUNK = 2**16
"""Passes that are turned into Python numbers at a time."""


@dataclass(frozen=True)
class Numbering:
    """The number of each object.

    Parameters
    ----------
    ends : (n,) int64
        Voxels where ways end, as linear indices in the whole volume, in order.
    labels : (n,) int32
        The object that each belongs to; 0 where it is none.
    """

    ends: Ids
    labels: NDArray[np.int32]

    @property
    def n_objects(self) -> int:
        """Count the objects."""
        return int(self.labels.max(initial=0))

    def of(self, ends: Ids) -> NDArray[np.int32]:
        """Look up the objects of some ends; 0 for those that are not known."""
        labels = np.zeros(len(ends), np.int32)
        found, at = find(ends, self.ends)
        labels[found] = self.labels[at]
        return labels

    def between(self, first: int, last: int) -> Numbering:
        """Keep the ends from one linear index to another: all that a block needs."""
        part = slice(*np.searchsorted(self.ends, (first, last + 1)))
        return Numbering(self.ends[part], self.labels[part])


def split_basins(
    distance: NDArray[np.float32], mask: NDArray[np.bool_], *, seed: float, prominence: float, min_size: int = 0
) -> NDArray[np.int32]:
    """Give every peak of a distance map its own object, unless it hardly stands out from a higher neighbour.

    Parameters
    ----------
    distance : ([Z,] Y, X) float32
        High in the middle of objects.
    mask : ([Z,] Y, X) bool
        The foreground.
    seed : float
        A peak that does not rise above it is no object of its own.
    prominence : float
        A peak that rises less than this above the pass to a higher one is part of it.
    min_size : int, voxels
        Smaller objects are removed.

    Returns
    -------
    array, ([Z,] Y, X), int32
        Objects numbered 1..N in the order of their peaks; foreground without a peak is 0.

    Notes
    -----
    Needs 12 bytes for each voxel on top of what it gets and gives.
    """
    rule, shape = Rule(seed, prominence), mask.shape
    block = (EDGE[mask.ndim],) * mask.ndim
    height = np.where(mask, distance, np.float32(-np.inf))
    tiles = [surround(box, (1,) * mask.ndim, shape) for box in plan_blocks(shape, block)]
    basins = [climb(height[tile.read], tile, shape) for tile in tiles]
    facts = (know(part, height[tile.read], tile, shape, rule) for part, tile in zip(basins, tiles, strict=True))
    known = put_together(facts, shape, block, rule)
    labels = np.zeros(shape, np.int32)
    if known is not None:
        numbering = join(known, rule, min_size)
        for part, tile in zip(basins, tiles, strict=True):
            labels[tile.core] = numbering.of(part.ends)[part.numbers[tile.inner]]
    return labels


def know(basins: Parts, height: NDArray[np.float32], tile: Tile, shape: tuple[int, ...], rule: Rule) -> Facts:
    """Put down what the others have to know of a block's basins, and of the passes between them and to neighbours.

    Parameters
    ----------
    basins : Parts
        Of the block.
    height : (*tile.read,) float32
        What they are the basins of.
    tile : Tile
        Where the block is.
    shape : tuple of int, ([Z,] Y, X)
        The whole volume.
    rule : Rule
        To leave out passes that join nothing.
    """
    return gather(basins, tile, shape, _find_passes(basins, height, tile, rule))


def join(facts: Facts, rule: Rule, min_size: int) -> Numbering:
    """Join basins over their passes, highest first, and number the objects.

    Parameters
    ----------
    facts : Facts
        Of the whole volume.
    rule : Rule
        Which peaks are objects of their own.
    min_size : int, voxels
        Smaller objects are removed.

    Returns
    -------
    Numbering
        1..N in the order of their highest voxels.

    Notes
    -----
    The same as seeds from an h-maxima transform, without the morphological reconstruction, which takes several times
    longer. Equal heights are ordered by the voxels' linear indices, so that the result never depends on the order of
    the blocks.
    """
    is_peak = facts.ends == facts.leads
    peaks, first = np.unique(facts.ends[is_peak], return_index=True)  # blocks list their neighbours' peaks, too
    heights = facts.heights[is_peak][first].astype(np.float64)
    member = np.searchsorted(peaks, facts.leads)
    parents = _join(heights, _in_order(facts.passes, peaks), rule)[member]
    sizes = np.bincount(parents, facts.sizes, minlength=len(peaks))
    keep = (sizes >= max(1, min_size)) & (heights > rule.seed)
    numbers = np.cumsum(keep, dtype=np.int32) * keep
    return Numbering(facts.ends, numbers[parents].astype(np.int32))


def _find_passes(basins: Parts, height: NDArray[np.float32], tile: Tile, rule: Rule) -> Pairs:
    """Find the passes between the basins of a block and to its neighbours, but for those that join nothing.

    Returns
    -------
    tuple of three arrays
        The numbers of both basins and the height, for every two neighbouring voxels.
    """
    numbers, heights = basins.numbers.ravel(), height.ravel()
    found: list[Pairs] = []
    for here, there in borders(basins.numbers, tile.inner):
        one, other = numbers[here].astype(np.int64), numbers[there].astype(np.int64)
        passes = np.minimum(heights[here], heights[there])
        keep = ~(rule.stands(basins.heights[one], passes) & rule.stands(basins.heights[other], passes))
        found.append((one[keep], other[keep], passes[keep]))
    one, other, passes = (np.concatenate(part) for part in zip(*found, strict=True))
    return one, other, passes


def _in_order(passes: Pairs, peaks: Ids) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Give passes between the positions of peaks, highest first."""
    one, other, height = passes
    order = np.argsort(-height, kind="stable")  # they are in the order of the peaks: so are equal heights
    return (
        np.searchsorted(peaks, one[order]),
        np.searchsorted(peaks, other[order]),
        height[order].astype(np.float64),
    )


def _join(
    heights: NDArray[np.float64], passes: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]], rule: Rule
) -> NDArray[np.intp]:
    """Give for each basin the one with the highest peak that it belongs to."""
    parents, peaks = list(range(len(heights))), heights.tolist()

    def root(basin: int) -> int:
        while parents[basin] != basin:
            parents[basin] = parents[parents[basin]]
            basin = parents[basin]
        return basin

    for start in range(0, len(passes[0]), CHUNK):
        chunk = (part[start : start + CHUNK].tolist() for part in passes)
        for one, other, height in zip(*chunk, strict=True):
            a, b = root(one), root(other)
            if a == b:
                continue
            lower, higher = (a, b) if (peaks[a], a) < (peaks[b], b) else (b, a)
            if peaks[lower] - height < rule.prominence or peaks[lower] <= rule.seed:
                parents[lower] = higher
    return np.array([root(basin) for basin in range(len(parents))], dtype=np.intp)
