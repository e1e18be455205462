"""A second prediction never takes away what a person did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.app.annotations import (
    accept,
    changes,
    decided_voxels,
    done_mask,
    mark_background,
    mark_done,
    mark_unsure,
    start,
    states,
    unique_ids,
)
from napari_unet.app.merging import merge_prediction
from napari_unet.core.base.errors import UserError
from tests.app.strategies import boxes, corrected, predictions


@st.composite
def merges(draw, semantic: bool = False):
    """Corrections, labels, a new prediction and perhaps a box."""
    c, labels = draw(corrected(semantic))
    box = draw(st.none() | boxes(labels.shape))
    shape = labels.shape if box is None else labels[box].shape
    return c, labels, draw(predictions(shape)), box


@given(merges())
@settings(deadline=None, max_examples=100)
def test_merge_when_objects_are_protected_then_they_keep_their_voxels_and_ids(made):
    c, labels, prediction, box = made
    new, _ = merge_prediction(c, labels, prediction, box)
    for one in (c.accepted | changes(c, labels).edited) & unique_ids(labels):
        np.testing.assert_array_equal(new == one, labels == one)


@given(merges())
@settings(deadline=None, max_examples=100)
def test_merge_when_voxels_were_deleted_then_they_stay_background_for_ever(made):
    c, labels, prediction, box = made
    decided = decided_voxels(c, labels)
    new, c = merge_prediction(c, labels, prediction, box)
    assert not new[decided].any()
    again, _ = merge_prediction(c, new, np.full(labels.shape, 3, np.int32))
    assert not again[decided].any()


@given(merges())
@settings(deadline=None, max_examples=100)
def test_merge_when_a_stroke_crosses_objects_that_nobody_touched_then_they_lose_it(made):
    c, labels, prediction, _ = made
    if c.background is None:
        return
    protected = list(c.accepted | changes(c, labels).edited | unique_ids(labels[done_mask(c)]))
    new, _ = merge_prediction(c, labels, np.resize(prediction, labels.shape))
    assert not new[c.background & ~np.isin(labels, protected)].any()


@given(merges(), st.booleans())
@settings(deadline=None, max_examples=100)
def test_merge_when_a_region_is_done_then_nothing_changes_in_it(made, twice):
    c, labels, prediction, box = made
    new, c = merge_prediction(c, labels, prediction, box)
    if twice:
        new, c = merge_prediction(c, new, np.full(labels.shape, 3, np.int32))
    np.testing.assert_array_equal(new[done_mask(c)], labels[done_mask(c)])


@given(merges(), st.booleans())
@settings(deadline=None, max_examples=100)
def test_merge_when_there_is_a_box_then_nothing_changes_outside(made, semantic):
    c, labels, prediction, box = made
    if box is None:
        return
    new, _ = merge_prediction(c, labels, prediction, box)
    outside = np.ones(labels.shape, bool)
    outside[box] = False
    np.testing.assert_array_equal(new[outside], labels[outside])


@given(merges())
@settings(deadline=None, max_examples=100)
def test_merge_when_done_then_what_the_user_decided_is_still_known(made):
    c, labels, prediction, box = made
    before = labels.copy()
    new, merged = merge_prediction(c, labels, prediction, box)
    np.testing.assert_array_equal(labels, before)
    assert changes(merged, new).edited == changes(c, labels).edited
    decided, was = decided_voxels(merged, new), decided_voxels(c, labels)
    assert decided[was].all()
    if c.background is None:
        np.testing.assert_array_equal(decided, was)
    else:
        assert c.background[decided & ~was].all()  # a stroke over a prediction that is gone now
    assert {i for i in c.accepted if i in unique_ids(labels)} == merged.accepted


@given(merges())
@settings(deadline=None, max_examples=100)
def test_merge_when_a_predicted_object_survives_then_at_least_half_of_it_does(made):
    c, labels, prediction, box = made
    new, _ = merge_prediction(c, labels, prediction, box)
    written = new if box is None else new[box]
    old = labels if box is None else labels[box]
    for one in unique_ids(prediction):
        inside = prediction == one
        free = inside & (written > 0) & ~(written == old)
        if free.any() and not np.isin(written[free], old).any():
            assert 2 * free.sum() >= inside.sum()


@given(merges(semantic=True))
@settings(deadline=None, max_examples=100)
def test_merge_when_labels_are_classes_then_painted_and_done_voxels_stay_and_the_rest_is_predicted(made):
    c, labels, prediction, box = made
    keep = decided_voxels(c, labels) | done_mask(c)
    new, merged = merge_prediction(c, labels, prediction, box)
    np.testing.assert_array_equal(new[keep], labels[keep])
    where = box or (slice(None),) * labels.ndim
    stroke = np.zeros(labels.shape, bool) if c.background is None else c.background
    free = ~(keep | stroke)[where]
    np.testing.assert_array_equal(new[where][free], prediction[free])
    assert not new[where][(stroke & ~keep)[where]].any()
    assert (decided_voxels(merged, new) | done_mask(merged))[keep].all()


def scene() -> np.ndarray:
    labels = np.zeros((20, 20), np.int32)
    labels[2:6, 2:6] = 5
    labels[10:16, 10:16] = 9
    return labels


def test_merge_when_nothing_is_protected_then_the_prediction_replaces_all_with_ids_from_one():
    prediction = np.where(scene() > 0, 40, 0).astype(np.int32)
    new, c = merge_prediction(start(scene()), scene(), prediction)
    np.testing.assert_array_equal(new, np.where(scene() > 0, 1, 0))
    assert states(c, new) == {1: "predicted"}


def test_merge_when_new_objects_come_then_their_ids_follow_those_that_stay():
    prediction = np.zeros((20, 20), np.int32)
    prediction[2:6, 2:6], prediction[18:, :3] = 1, 2
    new, c = merge_prediction(accept(start(scene()), [9]), scene(), prediction)
    assert set(np.unique(new)) == {0, 9, 10, 11}
    assert states(c, new) == {9: "accepted", 10: "predicted", 11: "predicted"}


def test_merge_when_more_than_half_lies_in_a_protected_object_then_the_predicted_one_is_dropped():
    prediction = np.zeros((20, 20), np.int32)
    prediction[2:6, 3:8] = 1  # 12 of 20 voxels in object 5
    prediction[10:16, 14:19] = 2  # 12 of 30 in object 9
    new, _ = merge_prediction(accept(start(scene()), [5, 9]), scene(), prediction)
    assert not new[2:6, 6:8].any()
    assert (new[10:16, 16:19] == 10).all()


def test_merge_when_an_object_was_deleted_then_its_rim_does_not_come_back():
    labels = np.where(scene() == 9, 0, scene())
    prediction = np.zeros((20, 20), np.int32)
    prediction[9:17, 9:17] = 1  # one voxel larger all around: 28 of 64 are new
    new, _ = merge_prediction(start(scene()), labels, prediction)
    assert not new[9:17, 9:17].any()


def test_merge_when_an_object_crosses_the_box_then_it_goes_on_under_its_id():
    box = (slice(0, 20), slice(0, 13))
    prediction = np.zeros((20, 13), np.int32)
    prediction[10:17, 10:13] = 1
    new, _ = merge_prediction(start(scene()), scene(), prediction, box)
    assert (new[10:16, 10:16] == 9).all()
    assert (new[16, 10:13] == 9).all()


def test_merge_when_a_piece_only_touches_a_crossing_object_then_it_is_a_new_one():
    box = (slice(0, 20), slice(0, 11))
    prediction = np.zeros((20, 11), np.int32)
    prediction[8:18, 3:11] = 1  # covers the 6 voxels of object 9 inside the box, but is 80
    new, _ = merge_prediction(start(scene()), scene(), prediction, box)
    assert (new[8:18, 3:11] == 10).all()
    assert (new[10:16, 11:16] == 9).all()


def test_merge_when_a_dropped_object_overlaps_a_crossing_one_most_then_the_other_continues_it():
    box = (slice(0, 20), slice(0, 13))
    prediction = np.zeros((20, 13), np.int32)
    prediction[0:14, 10:13] = 1  # 42 voxels, 30 of them in the finished region: dropped
    prediction[14:16, 10:13] = 2
    c = mark_done(start(np.zeros((20, 20), np.int32)), (slice(0, 10), slice(0, 20)))
    labels = np.where(np.arange(20)[:, np.newaxis] >= 10, scene(), 0)
    new, _ = merge_prediction(replace(c, predicted=labels), labels, prediction, box)
    assert not new[10:14, 10:13].any()
    assert (new[14:16, 10:13] == 9).all()


def test_merge_when_unsure_and_only_predicted_then_it_is_replaced_and_forgotten():
    new, c = merge_prediction(mark_unsure(start(scene()), [5]), scene(), np.zeros((20, 20), np.int32))
    assert not new.any()
    assert c.unsure == frozenset()


def test_merge_when_the_type_has_no_room_then_it_says_so():
    labels = np.full((2, 2), 255, np.uint8)
    labels[0, 0] = 0
    prediction = np.array([[1, 0], [0, 0]], np.int32)
    with pytest.raises(UserError, match="no room"):
        merge_prediction(accept(start(labels), [255]), labels, prediction)


def test_merge_when_the_prediction_does_not_fit_then_it_is_refused():
    with pytest.raises(UserError, match="prediction has the shape"):
        merge_prediction(start(scene()), scene(), scene(), (slice(0, 5), slice(0, 5)))


def test_merge_when_everything_happened_then_a_stroke_and_a_region_hold():
    c = mark_done(mark_background(start(scene()), (slice(18, 20), slice(0, 20))), (slice(0, 8), slice(0, 8)))
    new, _ = merge_prediction(c, scene(), np.ones((20, 20), np.int32))
    np.testing.assert_array_equal(new[:8, :8], scene()[:8, :8])
    assert not new[18:].any()
    assert (new[8:18] > 0).all()
