"""Choose small boxes, spread over a large image, that stand for the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.lazy import is_lazy

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box

WHOLE_VOXELS = 2**25
"""A lazy image of so many voxels is still looked at whole: some 100 MB, a second to read."""

N_BOXES = 100
BOX_VOXELS = 40_000
"""Of one box: all of them together hold 4 M voxels, enough for stable percentiles."""

SEED = 0


def is_sampled(data: Any) -> bool:
    """Tell whether an array is too large to be looked at whole: lazy, and more than `WHOLE_VOXELS`."""
    return is_lazy(data) and int(np.prod(data.shape, dtype=object)) > WHOLE_VOXELS


def pick_boxes(
    shape: tuple[int, ...],
    chunks: Sequence[int | Sequence[int]],
    *,
    n_boxes: int = N_BOXES,
    voxels: int = BOX_VOXELS,
) -> list[Box]:
    """Choose boxes that no two stored blocks share.

    The image is cut into cells of whole blocks. Of equal stretches of the row of all cells one cell each is drawn, so
    that no region is left out, and in each cell the place of the box is drawn.

    Parameters
    ----------
    shape : tuple of int
        Time and space, ``T[Z]YX``.
    chunks : sequence, one for each axis
        The edge of the stored blocks, or the edges of all of them (dask); 1 where the array lies in one piece.
    n_boxes, voxels : int
        At most so many boxes of at most so many voxels.

    Returns
    -------
    list of Box
        Each of length 1 in time; the same for the same shape and chunks.
    """
    rng = np.random.default_rng(SEED)
    cuts = _cuts(shape, chunks, voxels)
    n_cells = int(np.prod([len(c) - 1 for c in cuts], dtype=object))
    n = min(n_boxes, n_cells)
    bounds = [n_cells * i // n for i in range(n + 1)]
    cells = [first + int(rng.random() * (last - first)) for first, last in pairwise(bounds)]
    return [_box(_cell(cell, cuts, shape), voxels, rng) for cell in cells]


def _cuts(shape: tuple[int, ...], chunks: Sequence[int | Sequence[int]], voxels: int) -> list[Sequence[int]]:
    """Give the borders of the cells along each axis; the last may lie beyond the image."""
    regular = [min(edge, n) if isinstance(edge, int) else max(edge) for edge, n in zip(chunks, shape, strict=True)]
    cell = _grown(regular, shape, voxels)
    return [
        range(0, n + size, size) if isinstance(edge, int) else [0, *accumulate(edge)]
        for edge, size, n in zip(chunks, cell, shape, strict=True)
    ]


def _grown(cell: list[int], shape: tuple[int, ...], voxels: int) -> list[int]:
    """Put whole blocks together in space until they hold a box."""
    cell = list(cell)
    while np.prod(cell[1:], dtype=object) < voxels:
        short = [a for a in range(1, len(shape)) if cell[a] < shape[a]]
        if not short:
            break
        axis = min(short, key=lambda a: cell[a])
        cell[axis] = min(2 * cell[axis], shape[axis])
    return cell


def _cell(index: int, cuts: list[Sequence[int]], shape: tuple[int, ...]) -> list[tuple[int, int]]:
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
