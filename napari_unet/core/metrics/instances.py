"""Compare objects with objects: AP, F1 and panoptic quality over thresholds of the intersection over union (IoU)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import fastremap
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))

# Above this many cells a dense table of overlaps costs more memory than sorting the voxels does.
DENSE_TABLE_CELLS = 10_000_000

Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Counts:
    """Keep what every score of instances is made of; add the counts of images with ``+`` to pool them.

    Parameters
    ----------
    thresholds : tuple of float, 0 to 1
        A pair of objects matches when its IoU is at least the threshold.
    tp, fp, fn : tuple of int
        Matched pairs, predicted objects without a match and true objects without a match, for each threshold.
    iou_sum : tuple of float
        Sum of the IoU of the matched pairs, for each threshold.
    """

    thresholds: tuple[float, ...]
    tp: tuple[int, ...]
    fp: tuple[int, ...]
    fn: tuple[int, ...]
    iou_sum: tuple[float, ...]

    def __add__(self, other: Counts) -> Counts:
        """Pool the counts of two images."""
        if self.thresholds != other.thresholds:
            raise UserError(
                f"Counts at the IoU thresholds {self.thresholds} and {other.thresholds} cannot be pooled.",
                "Use the same thresholds for every image.",
            )
        return Counts(
            self.thresholds,
            tuple(a + b for a, b in zip(self.tp, other.tp, strict=True)),
            tuple(a + b for a, b in zip(self.fp, other.fp, strict=True)),
            tuple(a + b for a, b in zip(self.fn, other.fn, strict=True)),
            tuple(a + b for a, b in zip(self.iou_sum, other.iou_sum, strict=True)),
        )


def no_counts(thresholds: tuple[float, ...] = THRESHOLDS) -> Counts:
    """Give the counts of no image at all: the start of a sum."""
    none = (0,) * len(thresholds)
    return Counts(thresholds, none, none, none, (0.0,) * len(thresholds))


def pool(counts: Iterable[Counts], thresholds: tuple[float, ...] = THRESHOLDS) -> Counts:
    """Add up the counts of many images."""
    return sum(counts, start=no_counts(thresholds))


def match_counts(pred: Labels, truth: Labels, thresholds: tuple[float, ...] = THRESHOLDS) -> Counts:
    """Count matched, superfluous and missed objects.

    Each object matches at most one other. Among all such matchings the one with the most pairs counts, and among those
    the one with the largest sum of IoU.

    Parameters
    ----------
    pred, truth : integer array, any number of axes, the same shape
        Instances; 0 is background. Needs about 20 bytes for each voxel while it counts.
    thresholds : tuple of float, above 0 and at most 1
        Where the IoU of a pair starts to count as a match.

    Returns
    -------
    Counts
        One entry for each threshold.

    Raises
    ------
    UserError
        When the shapes differ, or the arrays do not hold labels.
    """
    check_pair(pred, truth)
    predicted, true = _number(pred), _number(truth)
    n_pred, n_true = len(predicted.ids), len(true.ids)
    rows, columns, iou = _overlaps(predicted, true)
    tp, fp, fn, iou_sum = [], [], [], []
    for threshold in thresholds:
        matched = _matching(rows, columns, iou, threshold)
        tp.append(len(matched))
        fp.append(n_pred - len(matched))
        fn.append(n_true - len(matched))
        iou_sum.append(float(matched.sum()))
    return Counts(tuple(thresholds), tuple(tp), tuple(fp), tuple(fn), tuple(iou_sum))


def overlaps(pred: Labels, truth: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """List the pairs of objects that share voxels.

    Parameters
    ----------
    pred, truth : integer array, the same shape
        Instances; 0 is background.

    Returns
    -------
    pred_ids, true_ids : (pairs,) int64
        The labels of the predicted and of the true object of each pair.
    iou : (pairs,) float64, above 0 and at most 1
        Intersection over union of each pair.

    Raises
    ------
    UserError
        When the shapes differ, or the arrays do not hold labels.
    """
    check_pair(pred, truth)
    predicted, true = _number(pred), _number(truth)
    rows, columns, iou = _overlaps(predicted, true)
    return predicted.ids[rows], true.ids[columns], iou


def average_precision(counts: Counts) -> tuple[float, ...]:
    """Give TP / (TP + FP + FN) at each threshold, 0 to 1; 1 where there is no object at all.

    References
    ----------
    Schmidt et al., Cell Detection with Star-convex Polygons, MICCAI 2018, doi:10.1007/978-3-030-00934-2_30.
    """
    return tuple(_ratio(tp, tp + fp + fn) for tp, fp, fn in zip(counts.tp, counts.fp, counts.fn, strict=True))


def f1(counts: Counts) -> tuple[float, ...]:
    """Give 2 TP / (2 TP + FP + FN) at each threshold, 0 to 1; 1 where there is no object at all."""
    return tuple(_ratio(2 * tp, 2 * tp + fp + fn) for tp, fp, fn in zip(counts.tp, counts.fp, counts.fn, strict=True))


def panoptic_quality(counts: Counts) -> tuple[float, ...]:
    """Give the sum of matched IoU / (TP + FP/2 + FN/2) at each threshold, 0 to 1; 1 where there is no object at all.

    References
    ----------
    Kirillov et al., Panoptic Segmentation, CVPR 2019, doi:10.1109/CVPR.2019.00963, equation 1.
    """
    rows = zip(counts.iou_sum, counts.tp, counts.fp, counts.fn, strict=True)
    return tuple(_ratio(iou, tp + fp / 2 + fn / 2) for iou, tp, fp, fn in rows)


def check_pair(pred: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    """Refuse two arrays that cannot be compared as labels.

    Raises
    ------
    UserError
        When the shapes differ, or the values are not integers of 0 and above.
    """
    if pred.shape != truth.shape:
        raise UserError(
            f"The prediction has the shape {pred.shape} and the truth {truth.shape}.",
            "Compare labels of the same image on the same grid.",
        )
    for name, labels in (("prediction", pred), ("truth", truth)):
        if labels.dtype.kind not in "bui" or (labels.dtype.kind == "i" and labels.size and labels.min() < 0):
            raise UserError(
                f"The {name} is no label image: it holds {labels.dtype} values.",
                "Labels are integers, 0 is background.",
            )


@dataclass(frozen=True)
class _Numbered:
    """Keep the objects of an image, numbered 1 to n, as one row of voxels; `ids` are their labels."""

    voxels: NDArray[np.integer]
    ids: NDArray[np.int64]


def _number(labels: Labels) -> _Numbered:
    flat = labels.ravel()
    numbered, mapping = fastremap.renumber(flat.astype(np.uint8) if flat.dtype == bool else flat, in_place=False)
    ids = np.zeros(len(mapping) + 1, np.int64)
    for old, new in mapping.items():
        ids[int(new)] = int(old)
    return _Numbered(numbered, ids[1 : len(mapping) + 1 - (0 in mapping)])


def _overlaps(
    predicted: _Numbered, true: _Numbered
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """List the pairs of objects that share voxels by their places in `ids`, and their IoU."""
    n_pred, width = len(predicted.ids), len(true.ids) + 1
    codes = predicted.voxels.astype(np.int64) * width + true.voxels
    if (n_pred + 1) * width <= DENSE_TABLE_CELLS:
        table = np.bincount(codes, minlength=(n_pred + 1) * width)
        found = np.flatnonzero(table)
        shared = table[found]
    else:
        found, shared = fastremap.unique(codes, return_counts=True)
    rows, columns = found // width, found % width
    pred_size = np.bincount(rows, weights=shared, minlength=n_pred + 1)
    true_size = np.bincount(columns, weights=shared, minlength=width)
    pair = (rows > 0) & (columns > 0)
    rows, columns, shared = rows[pair], columns[pair], shared[pair]
    iou = shared / (pred_size[rows] + true_size[columns] - shared)
    return rows - 1, columns - 1, iou


def _matching(
    rows: NDArray[np.int64], columns: NDArray[np.int64], iou: NDArray[np.float64], threshold: float
) -> NDArray[np.float64]:
    """Give the IoU of each matched pair.

    A group of pairs that share objects is solved by itself. Above an IoU of 0.5 every group is a single pair, because
    no object can share more than half of itself with two others; so hardly anything is left for the solver.
    """
    enough = iou >= threshold
    rows, columns, iou = rows[enough], columns[enough], iou[enough]
    if not len(iou):
        return iou
    contested = (np.bincount(rows)[rows] > 1) | (np.bincount(columns)[columns] > 1)
    if not contested.any():
        return iou
    matched = [iou[~contested]]
    rows, columns, iou = rows[contested], columns[contested], iou[contested]
    n_rows = int(rows.max()) + 1
    size = n_rows + int(columns.max()) + 1
    _, group = connected_components(coo_array((iou, (rows, n_rows + columns)), shape=(size, size)), directed=False)
    order = np.argsort(group[rows], kind="stable")
    starts = np.flatnonzero(np.diff(group[rows][order])) + 1
    matched.extend(_solve(rows[part], columns[part], iou[part]) for part in np.split(order, starts))
    return np.concatenate(matched)


def _solve(rows: NDArray[np.int64], columns: NDArray[np.int64], iou: NDArray[np.float64]) -> NDArray[np.float64]:
    row_ids, row = np.unique(rows, return_inverse=True)
    column_ids, column = np.unique(columns, return_inverse=True)
    table = np.zeros((len(row_ids), len(column_ids)))
    table[row, column] = iou
    # One more pair outweighs any sum of IoU: that sum is at most the number of pairs.
    gain = table + (table > 0) * (min(table.shape) + 1)
    at = linear_sum_assignment(gain, maximize=True)
    chosen: NDArray[np.float64] = table[at]
    return chosen[chosen > 0]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 1.0
