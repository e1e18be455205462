"""Scores of instances: hand-computed values, a slow oracle and invariants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics import instances, overlap
from napari_unet.core.metrics.instances import (
    Counts,
    average_precision,
    f1,
    match_counts,
    mean_average_precision,
    panoptic_quality,
    pool,
    precision,
    recall,
)
from napari_unet.core.synthetic.nuclei import nuclei_2d

small_labels = arrays(np.int32, (5, 6), elements=st.integers(0, 4))


def _row(*runs: tuple[int, int]) -> np.ndarray:
    """Write labels as (label, length) runs."""
    return np.concatenate([np.full(n, label) for label, n in runs])


def test_match_counts_when_one_object_is_shifted_then_the_iou_decides() -> None:
    truth = _row((1, 10), (0, 5), (2, 10))
    pred = _row((7, 8), (0, 7), (3, 10))  # IoU 8/10 and 10/10

    counts = match_counts(pred, truth, (0.5, 0.8, 0.85))

    assert counts.tp == (2, 2, 1)
    assert counts.fp == counts.fn == (0, 0, 1)
    np.testing.assert_allclose(counts.iou_sum, (1.8, 1.8, 1.0))


def test_scores_when_counts_are_known_then_they_follow_the_definitions() -> None:
    counts = Counts((0.5,), (6,), (2,), (1,), (4.8,))

    assert average_precision(counts) == pytest.approx((6 / 9,))
    assert f1(counts) == pytest.approx((12 / 15,))
    assert panoptic_quality(counts) == pytest.approx((4.8 / 7.5,))
    assert precision(counts) == pytest.approx((6 / 8,))
    assert recall(counts) == pytest.approx((6 / 7,))


def test_mean_average_precision_when_thresholds_differ_then_is_the_mean_over_them() -> None:
    counts = Counts((0.5, 0.75), (3, 1), (1, 3), (0, 2), (2.0, 0.8))

    assert mean_average_precision(counts) == pytest.approx((3 / 4 + 1 / 6) / 2)


def test_precision_and_recall_when_one_side_is_empty_then_are_0() -> None:
    empty, full = np.zeros((3, 3), int), np.ones((3, 3), int)

    assert set(precision(match_counts(empty, full))) == set(recall(match_counts(empty, full))) == {0.0}
    assert set(precision(match_counts(full, empty))) == set(recall(match_counts(full, empty))) == {0.0}


def test_match_counts_when_a_merge_holds_two_exact_halves_then_only_one_of_them_matches() -> None:
    truth, pred = _row((1, 4), (2, 4)), _row((1, 8))  # both have an IoU of exactly 0.5

    counts = match_counts(pred, truth, (0.5,))

    assert (counts.tp, counts.fp, counts.fn) == ((1,), (0,), (1,))


def test_match_counts_when_greedy_would_lose_a_pair_then_the_most_pairs_count() -> None:
    # Predicted 1 overlaps both true objects, predicted 2 only the first: greedy by IoU would take (1, 1) alone.
    truth = _row((1, 10), (2, 6))
    pred = _row((2, 4), (1, 12))  # IoU: (1, 1) 6/16, (1, 2) 6/12, (2, 1) 4/10

    counts = match_counts(pred, truth, (0.3,))

    assert counts.tp == (2,)
    assert counts.iou_sum[0] == pytest.approx(0.5 + 0.4)


def test_counts_when_added_then_they_equal_the_counts_of_the_joined_image() -> None:
    rng = np.random.default_rng(0)
    pred, truth = rng.integers(0, 5, (2, 2, 8, 8))
    apart = pool(match_counts(p, t) for p, t in zip(pred, truth, strict=True))

    joined = match_counts(*(np.stack([x[0], np.where(x[1] > 0, x[1] + 10, 0)]) for x in (pred, truth)))

    assert apart.tp == joined.tp
    assert apart.fp == joined.fp
    assert apart.fn == joined.fn


def test_counts_when_thresholds_differ_then_they_cannot_be_added() -> None:
    one = np.ones((2, 2), int)
    with pytest.raises(UserError, match="cannot be pooled"):
        match_counts(one, one, (0.5,)) + match_counts(one, one, (0.6,))


def test_scores_when_nothing_is_there_then_both_agree() -> None:
    empty = np.zeros((3, 3), np.uint16)

    counts = match_counts(empty, empty)

    assert set(average_precision(counts)) == set(f1(counts)) == set(panoptic_quality(counts)) == {1.0}
    assert set(precision(counts)) == set(recall(counts)) == {1.0}


def test_match_counts_when_labels_need_more_than_16_bits_then_all_are_found() -> None:
    labels = np.arange(1, 2**16 + 2, dtype=np.uint32).reshape(1, -1)

    assert match_counts(labels, labels).tp[-1] == 2**16 + 1


def test_overlaps_when_the_table_is_too_large_then_the_sorted_way_gives_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pred, truth = np.random.default_rng(1).integers(0, 9, (2, 40, 40))
    dense = match_counts(pred, truth, (0.05, 0.1, 0.5))

    monkeypatch.setattr(overlap, "DENSE_TABLE_CELLS", 0)

    assert match_counts(pred, truth, (0.05, 0.1, 0.5)) == dense


@pytest.mark.parametrize(
    ("pred", "truth", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "shape"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "prediction is no label image"),
        (np.zeros((2, 2), int), np.full((2, 2), -1), "truth is no label image"),
    ],
)
def test_match_counts_when_input_is_no_pair_of_labels_then_says_so(
    pred: np.ndarray, truth: np.ndarray, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        match_counts(pred, truth)


def _oracle(pred: np.ndarray, truth: np.ndarray, threshold: float) -> tuple[int, float]:
    """Compute every IoU from its masks and solve one assignment over all objects."""
    predicted, true = (sorted(set(labels.ravel()) - {0}) for labels in (pred, truth))
    table = np.zeros((len(predicted), len(true)))
    for row, p in enumerate(predicted):
        for column, t in enumerate(true):
            table[row, column] = ((pred == p) & (truth == t)).sum() / ((pred == p) | (truth == t)).sum()
    table = np.where(table >= threshold, table, 0)
    at = linear_sum_assignment(table + 100 * (table > 0), maximize=True)
    return int((table[at] > 0).sum()), float(table[at].sum())


def test_overlaps_when_labels_have_gaps_then_names_them_by_their_labels() -> None:
    pred, truth = _row((70, 4), (0, 1), (9, 3)), _row((5, 2), (0, 4), (8, 2))

    pred_ids, true_ids, iou = instances.overlaps(pred, truth)

    assert dict(zip(zip(pred_ids, true_ids, strict=True), iou, strict=True)) == {(70, 5): 2 / 4, (9, 8): 2 / 3}


@settings(max_examples=60, deadline=None)
@given(small_labels, small_labels, st.sampled_from([0.1, 0.25, 0.5, 0.75]))
def test_match_counts_when_compared_with_the_slow_oracle_then_they_agree(
    pred: np.ndarray, truth: np.ndarray, threshold: float
) -> None:
    counts = match_counts(pred, truth, (threshold,))
    tp, iou_sum = _oracle(pred, truth, threshold)

    assert counts.tp == (tp,)
    assert counts.iou_sum[0] == pytest.approx(iou_sum)


@settings(max_examples=40, deadline=None)
@given(small_labels, small_labels, st.permutations(range(1, 5)))
def test_scores_when_swapped_or_renumbered_then_they_stay_the_same_and_within_0_and_1(
    pred: np.ndarray, truth: np.ndarray, order: list[int]
) -> None:
    renumbered = np.array([0, *(1000 * k for k in order)])[pred]
    for score in (average_precision, f1, panoptic_quality):
        values = score(match_counts(pred, truth))
        assert values == pytest.approx(score(match_counts(truth, pred)))
        assert values == pytest.approx(score(match_counts(renumbered, truth)))
        assert all(0 <= v <= 1 for v in values)
        assert set(score(match_counts(pred, pred))) == {1.0}
    assert precision(match_counts(pred, truth)) == recall(match_counts(truth, pred))


def test_panoptic_quality_when_computed_by_monai_then_is_the_same() -> None:
    monai = pytest.importorskip("monai.metrics")
    made = nuclei_2d(3, shape=(160, 160), n=25).labels
    # Shifted so that about half of the matches are lost; one object is missing.
    pred = np.where(made == 3, 0, np.roll(made, (5, 3), (0, 1)))
    tensors = torch.from_numpy(pred.astype(np.int64)), torch.from_numpy(made.astype(np.int64))

    counts = match_counts(pred, made, (0.5,))

    assert 0 < counts.fn[0] < counts.tp[0] + counts.fn[0]
    for name, score in (("pq", panoptic_quality), ("rq", f1)):
        expected = monai.compute_panoptic_quality(*tensors, metric_name=name)
        assert score(counts)[0] == pytest.approx(float(expected), abs=1e-5)
