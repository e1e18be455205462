"""Match predicted with true objects, one to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from napari_unet.core.metrics.overlap import Overlap


def match_pairs(found: Overlap, threshold: float) -> NDArray[np.int64]:
    """Choose the pairs of objects that match.

    Each object matches at most one other. Among all such matchings the one with the most pairs counts, and among those
    the one with the largest sum of IoU. A group of pairs that share objects is solved by itself. Above an IoU of 0.5
    every group is a single pair, because no object can share more than half of itself with two others; so hardly
    anything is left for the solver.

    Parameters
    ----------
    found : Overlap
        All pairs.
    threshold : float, above 0 and at most 1
        The IoU that a pair needs.

    Returns
    -------
    (matched,) int64
        Places in the lists of pairs.
    """
    iou = found.iou
    pairs = np.flatnonzero(iou >= threshold)
    rows, columns = found.rows[pairs], found.columns[pairs]
    if not len(pairs):
        return pairs
    contested = (np.bincount(rows)[rows] > 1) | (np.bincount(columns)[columns] > 1)
    if not contested.any():
        return pairs
    matched = [pairs[~contested]]
    pairs, rows, columns = pairs[contested], rows[contested], columns[contested]
    n_rows = int(rows.max()) + 1
    size = n_rows + int(columns.max()) + 1
    links = coo_array((np.ones(len(pairs)), (rows, n_rows + columns)), shape=(size, size))
    _, group = connected_components(links, directed=False)
    order = np.argsort(group[rows], kind="stable")
    starts = np.flatnonzero(np.diff(group[rows][order])) + 1
    parts = np.split(order, starts)
    matched.extend(pairs[part[_solve(rows[part], columns[part], iou[pairs[part]])]] for part in parts)
    return np.concatenate(matched)


def _solve(rows: NDArray[np.int64], columns: NDArray[np.int64], iou: NDArray[np.float64]) -> NDArray[np.int64]:
    row_ids, row = np.unique(rows, return_inverse=True)
    column_ids, column = np.unique(columns, return_inverse=True)
    place = np.full((len(row_ids), len(column_ids)), -1)
    place[row, column] = np.arange(len(iou))
    # One more pair outweighs any sum of IoU: that sum is at most the number of pairs.
    gain = np.where(place >= 0, iou[place] + min(place.shape) + 1, 0)
    chosen: NDArray[np.int64] = place[linear_sum_assignment(gain, maximize=True)]
    return chosen[chosen >= 0]
