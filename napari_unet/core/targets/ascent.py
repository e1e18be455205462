"""Follow the steepest way up from every voxel of the foreground: the voxels that end at the same peak are its basin.

References
----------
A drop of water that runs down finds the watershed without a flood, turned upside down here: J. Cousty, G. Bertrand,
L. Najman, M. Couprie: Watershed Cuts: Minimum Spanning Forests and the Drop of Water Principle. IEEE TPAMI 2009,
doi:10.1109/TPAMI.2008.173. Pointers doubled from step to step: J. JáJá: An Introduction to Parallel Algorithms. 1992.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.targets.facts import Parts, is_core, linear, with_nothing

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Tile


def climb(height: NDArray[np.float32], tile: Tile, shape: tuple[int, ...]) -> Parts:
    """Find the basins of a block.

    Parameters
    ----------
    height : (*tile.read,) float32
        -inf in the background.
    tile : Tile
        Where the block is; what it reads reaches one voxel beyond its core, unless the volume ends there.
    shape : tuple of int, ([Z,] Y, X)
        The whole volume.

    Returns
    -------
    Parts
        Each voxel of the core points to the highest of itself and its 8 (26) neighbours; of equal ones to the last in
        the order of the volume. So no two voxels are ever equal, and it does not matter where the block begins. The
        pointers end at a peak in the core or at a voxel in the halo.

    Notes
    -----
    Needs about 40 bytes for each voxel.
    """
    foreground = np.flatnonzero(height > -np.inf)
    target = _highest_neighbours(height, foreground)
    inside = is_core(tile).ravel()[foreground]
    target = np.where(inside, target, foreground)
    rank = np.empty(height.size, np.intp)
    rank[foreground] = np.arange(len(foreground))
    ends = _follow(rank[target])
    is_end = ~inside  # neighbours need a number, whether something ends there or not
    is_end[ends] = True
    numbers = np.zeros(height.size, np.int32)
    numbers[foreground] = np.cumsum(is_end, dtype=np.int32)[ends]
    places = foreground[is_end]
    heights = height.ravel()[places]
    return Parts(numbers.reshape(height.shape), with_nothing(linear(places, tile, shape), -1), with_nothing(heights, 0))


def _highest_neighbours(height: NDArray[np.float32], places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give the linear index of the highest neighbour of some voxels."""
    moves = []
    for axis in reversed(range(height.ndim)):  # the highest in rows of three, then of three such rows, ...
        move, height = _look_along(height, axis)
        moves.append(move.ravel())
    stride = height.size
    for move, length in zip(reversed(moves), height.shape, strict=True):
        stride //= length
        places = places + move[places] * np.intp(stride)
    return places


def _look_along(height: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Give the step (-1, 0, 1) to the highest of three voxels in a row, the last of equal ones, and its value."""
    move, highest = np.zeros(height.shape, np.int8), height.copy()
    if height.shape[axis] == 1:
        return move, highest
    a, step, top = height.swapaxes(axis, 0), move.swapaxes(axis, 0), highest.swapaxes(axis, 0)
    pairs = np.maximum(a[:-1], a[1:])
    onwards = a[1:] >= a[:-1]
    onwards[1:] &= a[2:] >= a[:-2]
    step[1:] = -(a[:-1] > a[1:]).view(np.int8)
    np.copyto(step[:-1], 1, where=onwards)
    top[:-1] = pairs
    np.maximum(top[1:], pairs, out=top[1:])
    return move, highest


def _follow(pointers: NDArray[np.intp]) -> NDArray[np.intp]:
    """Follow pointers to their ends, twice as far each time."""
    while True:
        further = pointers[pointers]
        if np.array_equal(further, pointers):
            return pointers
        pointers = further
