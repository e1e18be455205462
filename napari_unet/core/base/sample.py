"""Choose what stands for an image: a grid of its voxels, or small boxes that are spread over it where it is large."""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.lazy import is_lazy

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box

WHOLE_VOXELS = 2**25
"""Of an image of so many voxels all is read: some 100 MB, a second."""

GRID_VOXELS = 4_000_000
"""Of such an image that are kept: enough for stable percentiles."""

N_BOXES = 100
BOX_VOXELS = 40_000
"""Of one box: all of them together hold as many voxels."""

CELL = 256
"""px; a box lies in one plane, between multiples of it along Y and X, and so in one stored block of most files."""

SEED = 0


def is_large(data: Any) -> bool:
    """Tell whether boxes stand for an array: one in memory and one on the disk are measured in the same voxels."""
    return bool(np.prod(data.shape, dtype=object) > WHOLE_VOXELS)


def is_sampled(data: Any) -> bool:
    """Tell whether an array is too large to be looked at whole: large, and lazy."""
    return is_lazy(data) and is_large(data)


def grid_step(n_voxels: int, dims: int) -> int:
    """Give the distance of the voxels that are kept, along each of some axes, of all that there are."""
    return max(1, ceil(float((n_voxels / GRID_VOXELS) ** (1 / dims))))


def pick_boxes(shape: tuple[int, ...], *, n_boxes: int = N_BOXES, voxels: int = BOX_VOXELS) -> list[Box]:
    """Choose boxes that do not overlap.

    The image is cut into cells. Of equal stretches of the row of all cells one cell each is drawn, so that no region is
    left out, and in each cell the place of the box is drawn.

    Parameters
    ----------
    shape : tuple of int
        Time and space, ``T[Z]YX``.
    n_boxes, voxels : int
        At most so many boxes of at most so many voxels.

    Returns
    -------
    list of Box
        Each of length 1 in time; the same for the same shape.
    """
    rng = np.random.default_rng(SEED)
    cell = _grown([1] * (len(shape) - 2) + [min(CELL, n) for n in shape[-2:]], shape, voxels)
    cuts = [range(0, n + size, size) for n, size in zip(shape, cell, strict=True)]
    n_cells = int(np.prod([len(c) - 1 for c in cuts], dtype=object))
    n = min(n_boxes, n_cells)
    bounds = [n_cells * i // n for i in range(n + 1)]
    cells = [first + int(rng.random() * (last - first)) for first, last in pairwise(bounds)]
    return [_box(_cell(one, cuts, shape), voxels, rng) for one in cells]


def _grown(cell: list[int], shape: tuple[int, ...], voxels: int) -> list[int]:
    """Double a cell in space until it holds a box."""
    cell = list(cell)
    while np.prod(cell[1:], dtype=object) < voxels:
        short = [a for a in range(1, len(shape)) if cell[a] < shape[a]]
        if not short:
            break
        axis = min(short, key=lambda a: cell[a])
        cell[axis] = min(2 * cell[axis], shape[axis])
    return cell


def _cell(index: int, cuts: list[range], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Give the bounds of a cell by its number, in the order of the array."""
    at = []
    for cut in reversed(cuts):  # numpy's unravel_index ends at 2^63, and not every shape in a file is honest
        index, rest = divmod(index, len(cut) - 1)
        at.append(rest)
    return [(c[i], min(c[i + 1], n)) for c, i, n in zip(cuts, reversed(at), shape, strict=True)]


def _box(cell: list[tuple[int, int]], voxels: int, rng: np.random.Generator) -> Box:
    """Draw a box in a cell: one time point, and as near to a cube as the cell allows."""
    lengths = [last - first for first, last in cell]
    edges = [1, *lengths[1:]]
    left, shortest_first = voxels, sorted(range(1, len(edges)), key=edges.__getitem__)
    for n_left, axis in zip(range(len(shortest_first), 0, -1), shortest_first, strict=True):
        edges[axis] = max(1, min(edges[axis], int(left ** (1 / n_left) + 1e-9)))
        left //= edges[axis]
    starts = [first + int(rng.integers(0, n - e + 1)) for (first, _), n, e in zip(cell, lengths, edges, strict=True)]
    return tuple(slice(s, s + e) for s, e in zip(starts, edges, strict=True))
