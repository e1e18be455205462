"""Compare masks with masks: Dice, IoU, precision, recall and accuracy of voxels.

Empty masks have a defined score everywhere: two empty masks agree (1), a mask compared with an empty one does not (0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.core.metrics.overlap import Overlap

Mask = NDArray[np.bool_] | NDArray[np.integer]


@dataclass(frozen=True)
class Agreement:
    """Keep what all scores of two masks are made of.

    Parameters
    ----------
    n_both, n_pred, n_true : int, voxels
        In both masks, in the predicted and in the true one.
    """

    n_both: int
    n_pred: int
    n_true: int

    @property
    def dice(self) -> float:
        """Give 2 |A and B| / (|A| + |B|)."""
        size = self.n_pred + self.n_true
        return 2 * self.n_both / size if size else 1.0

    @property
    def iou(self) -> float:
        """Give |A and B| / |A or B|."""
        union = self.n_pred + self.n_true - self.n_both
        return self.n_both / union if union else 1.0

    @property
    def precision(self) -> float:
        """Give |A and B| / |A|, A the prediction."""
        return self.n_both / self.n_pred if self.n_pred else float(self.n_true == 0)

    @property
    def recall(self) -> float:
        """Give |A and B| / |B|, B the truth."""
        return self.n_both / self.n_true if self.n_true else float(self.n_pred == 0)


def agreement(pred: Mask, truth: Mask) -> Agreement:
    """Count the voxels of two masks.

    Parameters
    ----------
    pred, truth : bool or integer array, the same shape
        Everything but 0 belongs to the mask.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    a, b = as_masks(pred, truth)
    return Agreement(int(np.count_nonzero(a & b)), int(np.count_nonzero(a)), int(np.count_nonzero(b)))


def agreement_of_foreground(found: Overlap) -> Agreement:
    """Count the voxels of all objects together."""
    return Agreement(int(found.shared.sum()), int(found.pred_sizes.sum()), int(found.true_sizes.sum()))


def agreement_of_class(found: Overlap, label: int) -> Agreement:
    """Count the voxels of one class, from the overlaps of two images of classes."""
    rows, columns = found.pred_ids == label, found.true_ids == label
    both = found.shared[rows[found.rows] & columns[found.columns]]
    return Agreement(int(both.sum()), int(found.pred_sizes[rows].sum()), int(found.true_sizes[columns].sum()))


def dice(pred: Mask, truth: Mask) -> float:
    """Give the Dice coefficient 2 |A and B| / (|A| + |B|), 0 to 1.

    Parameters
    ----------
    pred, truth : bool or integer array, the same shape
        Everything but 0 belongs to the mask.

    Returns
    -------
    float, 0 to 1
        1 where both are empty.

    Raises
    ------
    UserError
        When the shapes differ.

    References
    ----------
    Dice, Measures of the amount of ecologic association between species, Ecology 26, 1945, doi:10.2307/1932409.
    """
    return agreement(pred, truth).dice


def iou(pred: Mask, truth: Mask) -> float:
    """Give the intersection over union (Jaccard index), 0 to 1; parameters and errors as `dice`."""
    return agreement(pred, truth).iou


def precision(pred: Mask, truth: Mask) -> float:
    """Give the share of predicted voxels that are right, 0 to 1; parameters and errors as `dice`.

    An empty prediction has 1 where the truth is empty too, else 0.
    """
    return agreement(pred, truth).precision


def recall(pred: Mask, truth: Mask) -> float:
    """Give the share of true voxels that are found, 0 to 1; parameters and errors as `dice`.

    An empty truth gives 1 where the prediction is empty too, else 0.
    """
    return agreement(pred, truth).recall


def pixel_accuracy(pred: Mask, truth: Mask) -> float:
    """Give the share of voxels that have the same class in both, background included.

    Parameters
    ----------
    pred, truth : bool or integer array, the same shape
        Classes; 0 is background.

    Returns
    -------
    float, 0 to 1
        1 where there is no voxel at all.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    _check_shapes(pred, truth)
    return np.count_nonzero(pred == truth) / truth.size if truth.size else 1.0


def dice_per_class(pred: Mask, truth: Mask, classes: Sequence[int]) -> dict[int, float]:
    """Give the Dice coefficient of each class.

    Parameters
    ----------
    pred, truth : integer array, the same shape
        Classes; 0 is background.
    classes : sequence of int
        The classes to compare, without the background.

    Returns
    -------
    dict of int to float
        Class to Dice, 0 to 1; 1 for a class that neither of them has.
    """
    return {k: dice(pred == k, truth == k) for k in classes}


def as_masks(pred: Mask, truth: Mask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Make two masks of what is not 0.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    _check_shapes(pred, truth)
    return np.asarray(pred) != 0, np.asarray(truth) != 0


def _check_shapes(pred: Mask, truth: Mask) -> None:
    if pred.shape != truth.shape:
        raise UserError(
            f"The prediction has the shape {pred.shape} and the truth {truth.shape}.",
            "Compare masks of the same image on the same grid.",
        )
