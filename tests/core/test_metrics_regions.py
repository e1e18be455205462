"""Scores of areas: hand-computed values, the paper's algorithm written as loops, and invariants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.core.metrics.regions import NO_REGIONS, aggregated_jaccard, regions, seg

small_labels = arrays(np.int32, (5, 6), elements=st.integers(0, 4))


def _row(*runs: tuple[int, int]) -> np.ndarray:
    """Write labels as (label, length) runs."""
    return np.concatenate([np.full(n, label) for label, n in runs])


def test_aggregated_jaccard_when_objects_are_missed_and_superfluous_then_they_enlarge_the_union() -> None:
    truth = _row((1, 10), (0, 5), (2, 4), (0, 6))
    pred = _row((5, 8), (0, 13), (6, 4))

    # True 1 takes predicted 5 (8 of 10), true 2 has nothing (4), predicted 6 is superfluous (4).
    assert aggregated_jaccard(regions(pred, truth)) == pytest.approx(8 / (10 + 4 + 4))


def test_aggregated_jaccard_when_two_objects_are_merged_then_both_take_the_merge() -> None:
    truth, pred = _row((1, 4), (2, 4)), _row((9, 8))

    assert aggregated_jaccard(regions(pred, truth)) == pytest.approx((4 + 4) / (8 + 8))


def test_seg_when_an_object_is_covered_by_half_then_it_does_not_count() -> None:
    truth, pred = _row((1, 4), (2, 4), (3, 4)), _row((1, 2), (0, 2), (2, 3), (0, 5))

    assert seg(regions(pred, truth)) == pytest.approx((0 + 3 / 4 + 0) / 3)


@pytest.mark.parametrize(
    ("pieces", "over"),
    [
        (((1, 5), (2, 5)), 1),
        (((1, 1), (2, 1), (3, 1), (4, 7)), 1),  # parts may be small, and many
        (((1, 10),), 0),
        (((1, 4), (0, 6)), 0),  # one part that covers little is no split
        (((1, 8), (2, 2), (0, 1), (3, 1)), 1),
    ],
)
def test_regions_when_a_true_object_has_two_parts_or_more_then_it_is_over_segmented(
    pieces: tuple[tuple[int, int], ...], over: int
) -> None:
    pred = _row(*pieces)
    truth = np.zeros_like(pred)
    truth[:10] = 1

    assert regions(pred, truth).n_over == over
    assert regions(truth, pred).n_under == over
    assert regions(pred, truth).n_under == 0


def test_regions_when_a_neighbour_lies_half_inside_then_it_is_no_part() -> None:
    truth, pred = _row((1, 10), (0, 4)), _row((1, 6), (2, 8))  # predicted 2 lies with 4 of 8 voxels in true 1

    assert regions(pred, truth).n_over == 0


def test_regions_when_nothing_is_there_or_found_then_the_scores_are_defined() -> None:
    empty, full = np.zeros((3, 3), np.uint8), np.ones((3, 3), np.uint8)

    for score in (aggregated_jaccard, seg):
        assert score(regions(empty, empty)) == score(NO_REGIONS) == 1.0
        assert score(regions(empty, full)) == score(regions(full, empty)) == 0.0


def test_regions_when_added_then_they_equal_those_of_the_joined_image() -> None:
    pred, truth = np.random.default_rng(0).integers(0, 5, (2, 2, 8, 8))
    apart = regions(pred[0], truth[0]) + regions(pred[1], truth[1])

    joined = regions(*(np.stack([x[0], np.where(x[1] > 0, x[1] + 10, 0)]) for x in (pred, truth)))

    assert replace(apart, iou_sum=0.0) == replace(joined, iou_sum=0.0)
    assert apart.iou_sum == pytest.approx(joined.iou_sum)


def _paper(pred: np.ndarray, truth: np.ndarray) -> set[float]:
    """Follow the algorithm of Kumar et al. 2017 mask by mask; several results where best partners are equally good."""
    states = {(0, 0, frozenset[int]())}
    for t in set(truth.ravel()) - {0}:
        true = truth == t
        rated = {int(p): (true & (pred == p)).sum() / (true | (pred == p)).sum() for p in set(pred[true]) - {0}}
        best = [p for p, value in rated.items() if value == max(rated.values())]
        steps = [((true & (pred == p)).sum(), (true | (pred == p)).sum(), {p}) for p in best] or [
            (0, true.sum(), set())
        ]
        states = {(c + dc, u + du, used | taken) for c, u, used in states for dc, du, taken in steps}
    ends = {(c, u + sum((pred == p).sum() for p in set(pred.ravel()) - {0} - used)) for c, u, used in states}
    return {float(c / u) if u else 1.0 for c, u in ends}


@settings(max_examples=60, deadline=None)
@given(small_labels, small_labels)
def test_aggregated_jaccard_when_compared_with_the_paper_then_they_agree(pred: np.ndarray, truth: np.ndarray) -> None:
    found = aggregated_jaccard(regions(pred, truth))

    assert any(found == pytest.approx(one) for one in _paper(pred, truth))


@settings(max_examples=40, deadline=None)
@given(small_labels, small_labels, st.permutations(range(1, 5)))
def test_regions_when_renumbered_or_swapped_then_scores_follow(
    pred: np.ndarray, truth: np.ndarray, order: list[int]
) -> None:
    renumbered = np.array([0, *(1000 * k for k in order)])[pred]
    found, swapped = regions(pred, truth), regions(truth, pred)

    assert regions(renumbered, truth) == found
    assert (found.n_over, found.n_under) == (swapped.n_under, swapped.n_over)
    for score in (aggregated_jaccard, seg):
        assert 0 <= score(found) <= 1
        assert score(regions(pred, pred)) == 1.0
