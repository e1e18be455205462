"""Compare objects with objects: AP, F1 and panoptic quality over thresholds of the intersection over union (IoU)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.matching import match_pairs
from napari_unet.core.metrics.overlap import Labels, Overlap, overlap
from napari_unet.core.metrics.ratio import ratio

if TYPE_CHECKING:
    from collections.abc import Iterable

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


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
    """Count matched, superfluous and missed objects, matched one to one as `match_pairs` says.

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
    return count_matches(overlap(pred, truth), thresholds)


def count_matches(found: Overlap, thresholds: tuple[float, ...] = THRESHOLDS) -> Counts:
    """Count matches as `match_counts` does, from overlaps that are known already."""
    n_pred, n_true, iou = len(found.pred_ids), len(found.true_ids), found.iou
    matched = [iou[match_pairs(found, threshold)] for threshold in thresholds]
    return Counts(
        tuple(thresholds),
        tuple(len(one) for one in matched),
        tuple(n_pred - len(one) for one in matched),
        tuple(n_true - len(one) for one in matched),
        tuple(float(one.sum()) for one in matched),
    )


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
    found = overlap(pred, truth)
    return found.pred_ids[found.rows], found.true_ids[found.columns], found.iou


def average_precision(counts: Counts) -> tuple[float, ...]:
    """Give TP / (TP + FP + FN) at each threshold, 0 to 1; 1 where there is no object at all.

    References
    ----------
    Schmidt et al., Cell Detection with Star-convex Polygons, MICCAI 2018, doi:10.1007/978-3-030-00934-2_30.
    """
    return _each("ap", counts)


def mean_average_precision(counts: Counts) -> float:
    """Give the mean of `average_precision` over the thresholds, 0 to 1; with the default ones the mSA of 0.5 to 0.95.

    References
    ----------
    Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods 16,
    2019, doi:10.1038/s41592-019-0612-7.
    """
    return float(np.mean(average_precision(counts)))


def f1(counts: Counts) -> tuple[float, ...]:
    """Give 2 TP / (2 TP + FP + FN) at each threshold, 0 to 1; 1 where there is no object at all."""
    return _each("f1", counts)


def precision(counts: Counts) -> tuple[float, ...]:
    """Give TP / (TP + FP) at each threshold, 0 to 1: the share of predicted objects that are right.

    Where nothing is predicted it is 1 if there is no true object either, else 0.
    """
    return _each("precision", counts)


def recall(counts: Counts) -> tuple[float, ...]:
    """Give TP / (TP + FN) at each threshold, 0 to 1: the share of true objects that are found.

    Where there is no true object it is 1 if nothing is predicted either, else 0.
    """
    return _each("recall", counts)


def panoptic_quality(counts: Counts) -> tuple[float, ...]:
    """Give the sum of matched IoU / (TP + FP/2 + FN/2) at each threshold, 0 to 1; 1 where there is no object at all.

    References
    ----------
    Kirillov et al., Panoptic Segmentation, CVPR 2019, doi:10.1109/CVPR.2019.00963, equation 1.
    """
    return _each("pq", counts)


Columns = NDArray[np.float64]
RATES: Mapping[str, Callable[[Columns, Columns, Columns, Columns], Columns]] = {
    "ap": lambda tp, fp, fn, _: ratio(tp, tp + fp + fn),
    "f1": lambda tp, fp, fn, _: ratio(2 * tp, 2 * tp + fp + fn),
    "pq": lambda tp, fp, fn, iou_sum: ratio(iou_sum, tp + fp / 2 + fn / 2),
    "precision": lambda tp, fp, fn, _: ratio(tp, tp + fp, fn == 0),
    "recall": lambda tp, fp, fn, _: ratio(tp, tp + fn, fp == 0),
}
"""Scores by name, of TP, FP, FN and the sum of IoU; the arrays may be of any shape."""


def as_table(counts: Sequence[Counts]) -> NDArray[np.float64]:
    """Put the counts of images into one array that can be resampled.

    Returns
    -------
    (n_images, 4, n_thresholds) float64
        TP, FP, FN and the sum of IoU; sums over images are pooled counts.
    """
    return np.array([(one.tp, one.fp, one.fn, one.iou_sum) for one in counts], np.float64)


def rate(name: str, table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute one score of `RATES` from pooled counts.

    Parameters
    ----------
    name : str
        A key of `RATES`.
    table : (..., 4, n_thresholds) float64
        As `as_table` gives it, or weighted sums of that over images.

    Returns
    -------
    (..., n_thresholds) float64, 0 to 1
        At each threshold.
    """
    return RATES[name](*np.moveaxis(table, -2, 0))


def _each(name: str, counts: Counts) -> tuple[float, ...]:
    return tuple(rate(name, as_table([counts])[0]).tolist())
