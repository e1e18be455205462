"""The list of objects: partners, sizes and what was matched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.instances import match_counts
from napari_unet.core.metrics.objects import ObjectScore, score_objects, score_pieces
from napari_unet.core.metrics.regions import regions

small_labels = arrays(np.int32, (5, 6), elements=st.integers(0, 4))


def _row(*runs: tuple[int, int]) -> np.ndarray:
    """Write labels as (label, length) runs."""
    return np.concatenate([np.full(n, label) for label, n in runs])


def test_score_objects_when_some_match_then_lists_both_sides_by_label() -> None:
    truth = _row((20, 10), (3, 10), (0, 4))
    pred = _row((7, 8), (0, 8), (5, 4), (8, 4))

    assert score_objects(pred, truth) == [
        ObjectScore("truth", 3, 10, partner=5, iou=4 / 10, matched=False, n_parts=1),
        ObjectScore("truth", 20, 10, partner=7, iou=8 / 10, matched=True, n_parts=1),
        ObjectScore("prediction", 5, 4, partner=3, iou=4 / 10, matched=False, n_parts=0),
        ObjectScore("prediction", 7, 8, partner=20, iou=8 / 10, matched=True, n_parts=1),
        ObjectScore("prediction", 8, 4, partner=0, iou=0.0, matched=False, n_parts=0),
    ]


def test_score_objects_when_two_halves_are_equally_good_then_the_matched_one_is_the_partner() -> None:
    truth, pred = _row((1, 4), (2, 4)), _row((1, 8))

    found = score_objects(pred, truth)

    merge = found[2]
    assert merge.matched
    assert merge.n_parts == 2
    assert [one.label for one in found[:2] if one.matched] == [merge.partner]


@settings(max_examples=50, deadline=None)
@given(small_labels, small_labels, st.sampled_from([0.2, 0.5, 0.75]))
def test_score_objects_when_counted_then_gives_the_counts_of_the_image(
    pred: np.ndarray, truth: np.ndarray, threshold: float
) -> None:
    found = score_objects(pred, truth, threshold)
    sides = {side: [one for one in found if one.side == side] for side in ("truth", "prediction")}
    counts, areas = match_counts(pred, truth, (threshold,)), regions(pred, truth)

    for side, lonely in (("truth", counts.fn), ("prediction", counts.fp)):
        assert sum(one.matched for one in sides[side]) == counts.tp[0]
        assert sum(not one.matched for one in sides[side]) == lonely[0]
    assert sum(one.n_voxels for one in sides["truth"]) == np.count_nonzero(truth)
    assert sum(one.n_parts > 1 for one in sides["truth"]) == areas.n_over
    assert sum(one.n_parts > 1 for one in sides["prediction"]) == areas.n_under
    partners = {one.label: one.partner for one in sides["truth"] if one.matched}
    assert {p: t for t, p in partners.items()} == {o.label: o.partner for o in sides["prediction"] if o.matched}


def test_score_pieces_when_a_mask_has_two_pieces_then_each_is_an_object() -> None:
    truth, pred = np.zeros((2, 5, 9), bool), np.zeros((2, 5, 9), bool)
    truth[:, 0:2, 0:4] = truth[:, 2:5, 4:9] = True  # they touch along an edge, not a face
    pred[:, 0:2, 0:4] = True

    found = score_pieces(pred, truth)

    assert [(one.side, one.n_voxels, one.matched) for one in found] == [
        ("truth", 16, True),
        ("truth", 30, False),
        ("prediction", 16, True),
    ]


def test_score_pieces_when_there_are_four_axes_then_says_so() -> None:
    with pytest.raises(UserError, match="4 axes"):
        score_pieces(np.ones((1, 2, 2, 2), int), np.ones((1, 2, 2, 2), int))
