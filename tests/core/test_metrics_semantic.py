"""Scores of masks and classes: hand-computed values, empty masks and invariants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.semantic import dice, dice_per_class, iou, pixel_accuracy
from napari_unet.core.metrics.surfaces import hausdorff, hausdorff95

if TYPE_CHECKING:
    from collections.abc import Callable

masks = arrays(np.bool_, (6, 7))


def test_overlap_when_three_of_four_voxels_are_shared_then_follows_the_definitions() -> None:
    truth, pred = np.zeros((2, 6), bool), np.zeros((2, 6), bool)
    truth[0, :4] = True
    pred[0, 1:5] = True

    assert dice(pred, truth) == 6 / 8
    assert iou(pred, truth) == 3 / 5
    assert pixel_accuracy(pred, truth) == 10 / 12


def test_dice_per_class_when_a_class_is_nowhere_then_both_agree_about_it() -> None:
    truth, pred = np.array([0, 1, 1, 2]), np.array([0, 1, 0, 0])

    assert dice_per_class(pred, truth, (1, 2, 3)) == {1: pytest.approx(2 / 3), 2: 0.0, 3: 1.0}


def test_hausdorff_when_one_square_is_moved_then_measures_the_shift_in_micrometres() -> None:
    truth, pred = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    truth[5:10, 5:10] = True
    pred[7:12, 5:10] = True

    assert hausdorff(pred, truth) == pytest.approx(2.0)
    assert hausdorff(pred, truth, (3.0, 0.5)) == pytest.approx(6.0)


def test_hausdorff95_when_a_single_voxel_is_far_away_then_ignores_it() -> None:
    truth = np.zeros((40, 60), bool)
    truth[5:35, 5:35] = True
    pred = truth.copy()
    pred[20, 55] = True

    assert hausdorff(pred, truth) == pytest.approx(21.0)
    assert hausdorff95(pred, truth) == pytest.approx(0.0)


@pytest.mark.parametrize("score", [hausdorff, hausdorff95])
def test_hausdorff_when_masks_are_empty_then_the_result_is_defined(score: Callable[..., float]) -> None:
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)

    assert score(empty, empty) == 0.0
    assert score(full, empty) == score(empty, full) == float("inf")


def test_overlap_when_masks_are_empty_then_the_result_is_defined() -> None:
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)

    assert dice(empty, empty) == iou(empty, empty) == pixel_accuracy(empty, empty) == 1.0
    assert dice(full, empty) == iou(empty, full) == 0.0


@pytest.mark.parametrize("score", [dice, iou, pixel_accuracy, hausdorff])
def test_scores_when_shapes_differ_then_say_so(score: Callable[..., float]) -> None:
    with pytest.raises(UserError, match="shape"):
        score(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


def test_hausdorff_when_the_voxel_size_does_not_fit_then_says_so() -> None:
    with pytest.raises(UserError, match="voxel size"):
        hausdorff(np.ones((3, 3), bool), np.ones((3, 3), bool), (1.0, 1.0, 1.0))


@settings(max_examples=50, deadline=None)
@given(masks, masks)
def test_scores_when_swapped_then_stay_the_same_and_within_their_range(pred: np.ndarray, truth: np.ndarray) -> None:
    for score in (dice, iou, pixel_accuracy):
        assert score(pred, truth) == score(truth, pred)
        assert 0 <= score(pred, truth) <= 1
        assert score(pred, pred) == 1.0
    assert hausdorff95(pred, truth) <= hausdorff(pred, truth) == hausdorff(truth, pred)
    assert hausdorff(pred, pred) == 0.0
    assert iou(pred, truth) <= dice(pred, truth)


@settings(max_examples=30, deadline=None)
@given(masks, masks, st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)))
def test_hausdorff_when_compared_with_all_pairs_of_voxels_then_agrees(
    pred: np.ndarray, truth: np.ndarray, voxel_size: tuple[float, float]
) -> None:
    if not pred.any() or not truth.any():
        return
    a, b = (np.argwhere(_rim(mask)) * voxel_size for mask in (pred, truth))
    distance = cdist(a, b)

    expected = max(distance.min(1).max(), distance.min(0).max())

    assert hausdorff(pred, truth, voxel_size) == pytest.approx(expected, rel=1e-4)


def _rim(mask: np.ndarray) -> np.ndarray:
    """Keep the voxels that have a background voxel, or the border, beside them."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
