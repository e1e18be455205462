"""Corrections are found by comparison, whatever tool made them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.app.annotations import (
    accept,
    at_time,
    changes,
    checked_box,
    decided_voxels,
    done_mask,
    mark_background,
    mark_done,
    mark_sure,
    mark_unsure,
    start,
    states,
    unaccept,
    unmark_done,
)
from napari_unet.app.summary import Summary, summary
from napari_unet.core.base.errors import UserError
from tests.app.strategies import corrected

WHOLE = (slice(None), slice(None))


def two_cells() -> np.ndarray:
    labels = np.zeros((8, 12), np.int32)
    labels[1:4, 1:4] = 1
    labels[4:7, 6:10] = 2
    return labels


def test_changes_when_nothing_was_touched_then_nothing_is_edited():
    found = changes(start(two_cells()), two_cells())
    assert found.edited == frozenset()
    assert not found.erased.any()


def test_changes_when_an_object_gains_a_voxel_then_it_is_edited_and_nothing_is_erased():
    labels = two_cells()
    labels[4, 1] = 1
    found = changes(start(two_cells()), labels)
    assert found.edited == {1}
    assert not found.erased.any()


def test_changes_when_an_object_loses_a_voxel_then_it_is_edited_and_the_voxel_is_erased():
    labels = two_cells()
    labels[1, 1] = 0
    found = changes(start(two_cells()), labels)
    assert found.edited == {1}
    assert np.argwhere(found.erased).tolist() == [[1, 1]]


def test_changes_when_an_object_is_deleted_then_it_is_erased_and_not_edited():
    labels = np.where(two_cells() == 1, 0, two_cells())
    found = changes(start(two_cells()), labels)
    assert found.edited == frozenset()
    np.testing.assert_array_equal(found.erased, two_cells() == 1)


def test_changes_when_voxels_go_from_one_object_to_another_then_both_are_edited():
    labels = two_cells()
    labels[4, 6] = 1
    assert changes(start(two_cells()), labels).edited == {1, 2}


def test_changes_when_painting_is_taken_back_then_nothing_is_edited():
    labels = two_cells()
    labels[0, 0] = 9
    labels[0, 0] = 0
    assert changes(start(two_cells()), labels).edited == frozenset()


def test_start_when_the_labels_change_afterwards_then_the_kept_prediction_does_not():
    labels = two_cells()
    c = start(labels)
    labels[:] = 0
    assert changes(c, labels).erased.any()
    with pytest.raises(ValueError, match="read-only"):
        c.predicted[0, 0] = 1


def test_changes_when_the_shape_differs_then_it_is_refused():
    with pytest.raises(UserError, match="shape"):
        changes(start(two_cells()), two_cells()[:-1])


@given(corrected())
@settings(deadline=None)
def test_verbs_when_used_then_the_old_corrections_stay_as_they_were(made):
    c, labels = made
    before = states(c, labels)
    mark_done(mark_background(accept(c, [1]), np.ones(labels.shape, bool)), (slice(None),) * labels.ndim)
    mark_unsure(c, [2])
    assert states(c, labels) == before


@given(corrected(), st.sets(st.integers(1, 8)))
@settings(deadline=None)
def test_accept_when_taken_back_then_acceptance_is_as_without(made, ids):
    c, _ = made
    accepted = accept(c, ids)
    assert ids <= accepted.accepted
    assert not accepted.accepted & accepted.unsure
    assert not ids & unaccept(accepted, ids).accepted


def test_states_when_objects_differ_then_each_has_its_own():
    labels = two_cells()
    labels[0, 11], labels[7, 0], labels[7, 11] = 3, 4, 5
    c = mark_unsure(accept(start(labels), [2]), [4])
    labels[0, 10] = 3
    assert states(c, labels) == {1: "predicted", 2: "accepted", 3: "edited", 4: "unsure", 5: "predicted"}
    assert states(mark_sure(c, [4]), labels)[4] == "predicted"


def test_decided_voxels_when_an_object_is_drawn_over_background_then_it_counts_no_more():
    c = mark_background(start(two_cells()), (slice(0, 1), slice(0, 3)))
    labels = two_cells()
    labels[0, 0] = 7
    assert np.argwhere(decided_voxels(c, labels)).tolist() == [[0, 1], [0, 2]]


def test_mark_done_when_the_box_reaches_out_then_it_is_cut_and_counts_once():
    c = mark_done(start(two_cells()), (slice(-3, None), slice(5, 99)))
    assert c.done == ((slice(5, 8), slice(5, 12)),)
    assert mark_done(c, c.done[0]) is c
    assert done_mask(c).sum() == 21
    assert unmark_done(c, 0).done == ()


@pytest.mark.parametrize("box", [(slice(0, 2),), (slice(20, 30), slice(0, 2)), (slice(3, 3), slice(0, 2))])
def test_checked_box_when_it_does_not_fit_then_it_is_refused(box):
    with pytest.raises(UserError):
        checked_box(box, (8, 12))


def test_mark_background_when_strokes_do_not_fit_then_they_are_refused():
    with pytest.raises(UserError, match="background strokes"):
        mark_background(start(two_cells()), np.ones((2, 2), bool))


def test_accept_when_labels_are_classes_then_it_is_refused():
    with pytest.raises(UserError, match="classes"):
        accept(start(two_cells(), semantic=True), [1])


def test_at_time_when_a_point_is_taken_then_only_its_regions_are_there():
    movie = np.stack([two_cells(), two_cells(), two_cells()])
    c = mark_done(mark_done(start(movie), (slice(0, 2), *WHOLE)), (slice(2, 3), slice(0, 4), slice(0, 4)))
    c = mark_background(c, movie == 0)
    assert at_time(c, 1).done == ((slice(0, 8), slice(0, 12)),)
    assert at_time(c, 2).done == ((slice(0, 4), slice(0, 4)),)
    np.testing.assert_array_equal(at_time(c, 2).background, two_cells() == 0)
    assert at_time(start(movie), 0).background is None


def test_summary_when_all_kinds_are_there_then_each_is_said_once():
    labels = two_cells()
    c = mark_done(accept(start(labels), [1, 77]), WHOLE)
    labels[0, 0], labels[5, 7] = 8, 0
    found = summary(c, labels)
    assert found == Summary(n_accepted=1, n_edited=2, n_background=1, n_done=1, n_images=1)
    assert found.text == "1 accepted cell, 2 corrected cells, 1 background voxel and 1 finished region"
    both = found + Summary(n_accepted=11, n_done=2, n_images=1)
    assert both.text.startswith("12 accepted cells, 2 corrected cells,")
    assert both.text.endswith("3 finished regions in 2 images")


def test_summary_when_only_predicted_then_it_is_empty():
    found = summary(start(two_cells()), two_cells())
    assert found.is_empty
    assert found.text == "nothing yet"


def test_summary_when_classes_are_painted_then_voxels_are_counted():
    labels = two_cells()
    labels[0, :5] = 2
    assert summary(start(two_cells(), semantic=True), labels).text == "5 painted voxels"
