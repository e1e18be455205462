"""Scores of surfaces: hand-computed values, empty masks, all pairs of voxels and MONAI as second opinions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage as ndi
from scipy.spatial.distance import cdist

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.surfaces import (
    hausdorff,
    hausdorff95,
    mean_surface_distance,
    surface_dice,
    surface_distances,
)

if TYPE_CHECKING:
    from collections.abc import Callable

masks = arrays(np.bool_, (6, 7))


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


@pytest.mark.parametrize("score", [hausdorff, hausdorff95, mean_surface_distance])
def test_hausdorff_when_masks_are_empty_then_the_result_is_defined(score: Callable[..., float]) -> None:
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)

    assert score(empty, empty) == 0.0
    assert score(full, empty) == score(empty, full) == float("inf")


def test_surface_dice_when_masks_are_empty_then_the_result_is_defined() -> None:
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)

    assert surface_dice(empty, empty, 1.0) == 1.0
    assert surface_dice(full, empty, 1e9) == surface_dice(empty, full, 1e9) == 0.0


def test_surface_dice_when_a_line_is_moved_then_the_tolerance_decides_in_micrometres() -> None:
    truth, pred = np.zeros((9, 4), bool), np.zeros((9, 4), bool)
    truth[2], pred[5] = True, True  # all of it is surface, 3 voxels of 0.1 µm apart
    truth[8, 0] = pred[8, 0] = True  # one voxel agrees

    assert surface_dice(pred, truth, 0.3, (0.1, 0.1)) == 1.0
    assert surface_dice(pred, truth, 0.29, (0.1, 0.1)) == pytest.approx(2 / 10)
    assert mean_surface_distance(pred, truth, (0.1, 0.1)) == pytest.approx(8 * 0.3 / 10)


def test_hausdorff_when_the_voxel_size_does_not_fit_then_says_so() -> None:
    with pytest.raises(UserError, match="voxel size"):
        hausdorff(np.ones((3, 3), bool), np.ones((3, 3), bool), (1.0, 1.0, 1.0))


def test_surface_distances_when_there_are_four_axes_then_says_so() -> None:
    with pytest.raises(UserError, match="4 axes"):
        surface_distances(np.ones((1, 2, 3, 3), bool), np.ones((1, 2, 3, 3), bool))


@pytest.mark.parametrize("tolerance", [-1.0, math.inf, math.nan])
def test_surface_dice_when_the_tolerance_is_no_length_then_says_so(tolerance: float) -> None:
    with pytest.raises(UserError, match="tolerance"):
        surface_dice(np.ones((3, 3), bool), np.ones((3, 3), bool), tolerance)


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
    nearest = np.concatenate([distance.min(1), distance.min(0)])
    assert mean_surface_distance(pred, truth, voxel_size) == pytest.approx(nearest.mean(), rel=1e-4)


def _rim(mask: np.ndarray) -> np.ndarray:
    """Keep the voxels that have a background voxel, or the border, beside them."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


@settings(max_examples=40, deadline=None)
@given(masks, masks, st.floats(0, 4))
def test_scores_of_surfaces_when_swapped_then_stay_the_same_and_in_order(
    pred: np.ndarray, truth: np.ndarray, tolerance: float
) -> None:
    found, swapped = surface_distances(pred, truth), surface_distances(truth, pred)

    assert found.hausdorff == swapped.hausdorff >= found.hausdorff95
    assert found.hausdorff >= found.mean == pytest.approx(swapped.mean)
    assert 0 <= found.dice(tolerance) == swapped.dice(tolerance) <= found.dice(tolerance + 1)
    assert hausdorff(pred, pred) == mean_surface_distance(pred, pred) == 0.0
    assert surface_dice(pred, pred, 0.0) == 1.0


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # within MONAI
@pytest.mark.parametrize(("shape", "voxel_size"), [((40, 50), (0.5, 0.2)), ((10, 24, 26), (1.0, 0.25, 0.25))])
def test_scores_of_surfaces_when_computed_by_monai_then_are_the_same(
    shape: tuple[int, ...], voxel_size: tuple[float, ...]
) -> None:
    monai = pytest.importorskip("monai.metrics")
    noise = np.random.default_rng(0).normal(size=(2, *shape))
    pred, truth = (ndi.gaussian_filter(one, 3) > 0.02 for one in noise)
    tensors = torch.from_numpy(pred[None, None]), torch.from_numpy(truth[None, None])
    options = {"include_background": True, "spacing": voxel_size}

    found = surface_distances(pred, truth, voxel_size)

    assert found.hausdorff == pytest.approx(monai.compute_hausdorff_distance(*tensors, **options).item())
    expected = monai.compute_hausdorff_distance(*tensors, percentile=95, **options).item()
    assert found.hausdorff95 == pytest.approx(expected)
    expected = monai.compute_average_surface_distance(*tensors, symmetric=True, **options).item()
    assert found.mean == pytest.approx(expected)
    for tolerance in (0.3, 0.9):
        expected = monai.compute_surface_dice(*tensors, [tolerance], **options).item()
        assert 0.05 < expected < 0.95
        assert found.dice(tolerance) == pytest.approx(expected)
