"""Compare objects by the area that they cover: aggregated Jaccard index, SEG, over- and under-segmentation.

Unlike the scores of `instances` they need no threshold of the IoU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.metrics.overlap import Labels, Overlap, overlap
from napari_unet.core.metrics.ratio import ratio


@dataclass(frozen=True)
class Regions:
    """Keep what the scores of areas are made of; add those of images with ``+`` to pool them.

    Parameters
    ----------
    intersection, union : int, voxels
        Of the true objects and their best partners, with what was predicted in vain: the two sums of the aggregated
        Jaccard index.
    iou_sum : float
        Sum of the IoU of each true object with the predicted one that covers more than half of it.
    n_true, n_pred : int
        Objects.
    n_over, n_under : int
        True objects that are over-segmented, predicted objects that under-segment; see `regions`.
    """

    intersection: int
    union: int
    iou_sum: float
    n_true: int
    n_pred: int
    n_over: int
    n_under: int

    def __add__(self, other: Regions) -> Regions:
        """Pool two images."""
        return Regions(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


NO_REGIONS = Regions(0, 0, 0.0, 0, 0, 0, 0)
"""Of no image at all: the start of a sum."""


def regions(pred: Labels, truth: Labels) -> Regions:
    """Count areas and parts.

    A predicted object is a part of a true one when more than half of its voxels lie in that one. A true object with two
    or more parts is over-segmented (split). The other way round, a predicted object in which two or more true objects
    lie with more than half of their voxels under-segments (a merge). So no object is a part of two others, swapping
    prediction and truth swaps the two counts, and it does not matter how small the parts are.

    Parameters
    ----------
    pred, truth : integer array, any number of axes, the same shape
        Instances; 0 is background.

    Raises
    ------
    UserError
        When the shapes differ, or the arrays do not hold labels.

    References
    ----------
    Kumar et al., A Dataset and a Technique for Generalized Nuclear Segmentation for Computational Pathology, IEEE TMI
    36, 2017, doi:10.1109/TMI.2017.2677499, algorithm 1. The rule of one half is that of Matula et al., Cell Tracking
    Accuracy Measurement Based on Comparison of Acyclic Oriented Graphs, PLoS ONE 10, 2015,
    doi:10.1371/journal.pone.0144959.
    """
    return count_regions(overlap(pred, truth))


def count_regions(found: Overlap) -> Regions:
    """Count as `regions` does, from overlaps that are known already."""
    best = best_pairs(found.columns, found.iou)
    used = np.zeros(len(found.pred_ids), bool)
    used[found.rows[best]] = True
    alone = np.ones(len(found.true_ids), bool)
    alone[found.columns[best]] = False
    union = found.union[best].sum() + found.true_sizes[alone].sum() + found.pred_sizes[~used].sum()
    covered = 2 * found.shared > found.true_sizes[found.columns]
    in_pred, in_true = part_counts(found)
    return Regions(
        int(found.shared[best].sum()),
        int(union),
        float(found.iou[covered].sum()),
        len(found.true_ids),
        len(found.pred_ids),
        int(np.count_nonzero(in_true > 1)),
        int(np.count_nonzero(in_pred > 1)),
    )


def part_counts(found: Overlap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the parts of each object, as `regions` defines them.

    Returns
    -------
    in_pred, in_true : (n_pred,), (n_true,) int64
        True objects that lie mostly in each predicted one, and predicted objects that lie mostly in each true one.
    """
    true_inside = 2 * found.shared > found.true_sizes[found.columns]
    pred_inside = 2 * found.shared > found.pred_sizes[found.rows]
    in_pred = np.bincount(found.rows[true_inside], minlength=len(found.pred_ids))
    in_true = np.bincount(found.columns[pred_inside], minlength=len(found.true_ids))
    return in_pred, in_true


def best_pairs(group: NDArray[np.int64], iou: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the pair of the largest IoU in each group; the first of several equal ones.

    Parameters
    ----------
    group, iou : (pairs,)
        Which group each pair is in, and its IoU.

    Returns
    -------
    (groups,) int64
        Places of the pairs, sorted by group.
    """
    order = np.lexsort((-iou, group))
    _, first = np.unique(group[order], return_index=True)
    best: NDArray[np.int64] = order[first]
    return best


def aggregated_jaccard(counted: Regions) -> float:
    """Give the aggregated Jaccard index, 0 to 1; 1 where there is no object at all.

    Each true object takes the predicted one of the largest IoU, which others may take too. The intersections of these
    pairs, divided by their unions, true objects without a partner and predicted objects that nobody took.

    References
    ----------
    Kumar et al. 2017, see `regions`.
    """
    return float(jaccard_rate(as_table([counted])[0]))


def seg(counted: Regions) -> float:
    """Give the mean IoU over true objects with the predicted one that covers more than half of each, 0 to 1.

    A true object without one counts 0, superfluous objects do not count. Without any true object it is 1 if nothing is
    predicted either, else 0.

    References
    ----------
    Maška et al., A benchmark for comparison of cell tracking algorithms, Bioinformatics 30, 2014,
    doi:10.1093/bioinformatics/btu080 (the measure SEG).
    """
    return float(seg_rate(as_table([counted])[0]))


def as_table(counted: Sequence[Regions]) -> NDArray[np.float64]:
    """Put images into one array that can be resampled: (n_images, 7) float64, the fields of `Regions` in order."""
    return np.array([astuple(one) for one in counted], np.float64)


def jaccard_rate(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the aggregated Jaccard index of sums over images: (..., 7) to (...)."""
    return ratio(table[..., 0], table[..., 1])


def seg_rate(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute SEG of sums over images: (..., 7) to (...)."""
    return ratio(table[..., 2], table[..., 3], table[..., 4] == 0)
