"""Scores of masks and classes: hand-computed values, empty masks, invariants and MONAI as a second opinion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.overlap import overlap
from napari_unet.core.metrics.semantic import (
    agreement,
    agreement_of_class,
    agreement_of_foreground,
    dice,
    dice_per_class,
    iou,
    pixel_accuracy,
    precision,
    recall,
)

if TYPE_CHECKING:
    from collections.abc import Callable

masks = arrays(np.bool_, (6, 7))
classes = arrays(np.uint8, (5, 6), elements=st.integers(0, 3))


def test_overlap_when_three_of_four_voxels_are_shared_then_follows_the_definitions() -> None:
    truth, pred = np.zeros((2, 6), bool), np.zeros((2, 6), bool)
    truth[0, :4] = True
    pred[0, 1:5] = True

    assert dice(pred, truth) == 6 / 8
    assert iou(pred, truth) == 3 / 5
    assert precision(pred, truth[::-1]) == 0.0
    assert precision(pred[:, :5], truth[:, :5]) == 1 - 1 / 4
    assert recall(pred, truth) == 3 / 4
    assert pixel_accuracy(pred, truth) == 10 / 12


def test_dice_per_class_when_a_class_is_nowhere_then_both_agree_about_it() -> None:
    truth, pred = np.array([0, 1, 1, 2]), np.array([0, 1, 0, 0])

    assert dice_per_class(pred, truth, (1, 2, 3)) == {1: pytest.approx(2 / 3), 2: 0.0, 3: 1.0}


def test_overlap_when_masks_are_empty_then_the_result_is_defined() -> None:
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)

    assert dice(empty, empty) == iou(empty, empty) == pixel_accuracy(empty, empty) == 1.0
    assert precision(empty, empty) == recall(empty, empty) == 1.0
    assert dice(full, empty) == iou(empty, full) == 0.0
    assert precision(empty, full) == recall(empty, full) == precision(full, empty) == recall(full, empty) == 0.0


@pytest.mark.parametrize("score", [dice, iou, pixel_accuracy, precision])
def test_scores_when_shapes_differ_then_say_so(score: Callable[..., float]) -> None:
    with pytest.raises(UserError, match="shape"):
        score(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


@settings(max_examples=50, deadline=None)
@given(masks, masks)
def test_scores_when_swapped_then_stay_the_same_and_within_their_range(pred: np.ndarray, truth: np.ndarray) -> None:
    for score in (dice, iou, pixel_accuracy):
        assert score(pred, truth) == score(truth, pred)
    for score in (dice, iou, pixel_accuracy, precision, recall):
        assert 0 <= score(pred, truth) <= 1
        assert score(pred, pred) == 1.0
    assert precision(pred, truth) == recall(truth, pred)
    assert iou(pred, truth) <= dice(pred, truth)


@settings(max_examples=30, deadline=None)
@given(classes, classes)
def test_agreement_when_counted_from_overlaps_then_equals_that_of_the_masks(
    pred: np.ndarray, truth: np.ndarray
) -> None:
    found = overlap(pred, truth)

    assert agreement_of_foreground(found) == agreement(pred, truth)
    for k in range(1, 4):
        assert agreement_of_class(found, k) == agreement(pred == k, truth == k)


def test_scores_of_voxels_when_computed_by_monai_then_are_the_same() -> None:
    monai = pytest.importorskip("monai.metrics")
    pred, truth = np.random.default_rng(0).random((2, 1, 1, 12, 13)) < 0.4
    tensors = torch.from_numpy(pred).float(), torch.from_numpy(truth).float()
    matrix = monai.get_confusion_matrix(*tensors)

    assert dice(pred, truth) == pytest.approx(monai.compute_dice(*tensors).item())
    assert iou(pred, truth) == pytest.approx(monai.compute_iou(*tensors).item())
    for name, score in (("precision", precision), ("recall", recall), ("accuracy", pixel_accuracy)):
        assert score(pred, truth) == pytest.approx(monai.compute_confusion_matrix_metric(name, matrix).item())
