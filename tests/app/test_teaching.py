"""What teaches, and above all what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import disk

from napari_unet.app.annotations import (
    accept,
    changes,
    decided_voxels,
    done_mask,
    mark_background,
    mark_done,
    mark_unsure,
    start,
    unique_ids,
)
from napari_unet.app.preflight import find_problems
from napari_unet.app.summary import summary
from napari_unet.app.teaching import (
    annotated_mask,
    take_snapshot,
    teaching_labels,
    to_samples,
    with_unique_names,
)
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from tests.app.strategies import corrected, predictions


def cells() -> np.ndarray:
    labels = np.zeros((100, 100), np.int32)
    labels[disk((30, 30), 12)] = 1
    labels[disk((30, 60), 12)] = 2
    labels[disk((75, 50), 12)] = 3
    return labels


def image_of(labels: np.ndarray, axes: str = "YX") -> Image:
    data = np.random.default_rng(0).random(labels.shape).astype(np.float32)
    return Image(data, axes, name="a/b: 1")


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_teaching_when_only_predictions_differ_then_it_learns_the_same(data):
    c, labels = data.draw(corrected())
    annotated = annotated_mask(c, labels)
    taught = teaching_labels(labels, annotated)
    touched = list(c.accepted | changes(c, labels).edited | c.unsure)
    free = (annotated == 0) & (labels > 0) & ~np.isin(labels, touched)
    assert not taught[annotated == 0].any()
    if not free.any():
        return
    one = int(labels[free][0])  # rename one predicted object that teaches nothing
    if ((labels == one) & (annotated > 0)).any():
        return
    renamed, predicted = np.where(labels == one, 99, labels), np.where(labels == one, 99, c.predicted)
    again = annotated_mask(replace(c, predicted=predicted), renamed)
    np.testing.assert_array_equal(again, annotated)
    np.testing.assert_array_equal(teaching_labels(renamed, again), taught)


@given(corrected())
@settings(deadline=None, max_examples=100)
def test_annotated_when_objects_differ_then_each_kind_has_its_value(made):
    c, labels = made
    annotated = annotated_mask(c, labels)
    taught = (c.accepted | changes(c, labels).edited) - c.unsure
    assert (annotated[np.isin(labels, list(taught)) & (labels > 0)] == 1).all()
    assert not annotated[np.isin(labels, list(c.unsure)) & (labels > 0)].any()
    assert (annotated[decided_voxels(c, labels)] == 1).all()
    done = done_mask(c)
    assert annotated[done & ~np.isin(labels, list(c.unsure))].all()
    assert not (annotated[~done] == 2).any()
    untouched = ~done & (labels > 0) & ~np.isin(labels, list(taught))
    assert not annotated[untouched].any()


@given(corrected(semantic=True))
@settings(deadline=None, max_examples=100)
def test_annotated_when_labels_are_classes_then_painted_and_done_teach_and_nothing_else(made):
    c, labels = made
    np.testing.assert_array_equal(annotated_mask(c, labels) > 0, decided_voxels(c, labels) | done_mask(c))


@given(corrected(), st.data())
@settings(deadline=None, max_examples=50)
def test_to_samples_when_made_then_labels_and_mask_fit_and_nothing_unknown_is_labelled(made, data):
    c, labels = made
    image = Image(data.draw(predictions(labels.shape)), "ZYX"[-labels.ndim :])
    for sample in to_samples(take_snapshot(image, labels, c)):
        assert sample.annotated.any()
        assert not sample.labels[sample.annotated == 0].any()
        assert unique_ids(sample.labels) <= unique_ids(labels)


def test_annotated_when_nothing_was_done_then_nothing_is_known():
    assert not annotated_mask(start(cells()), cells()).any()
    assert to_samples(take_snapshot(image_of(cells()), cells(), start(cells()))) == ()


def test_annotated_when_a_cell_is_accepted_then_a_quarter_of_its_diameter_around_it_is_background():
    annotated = annotated_mask(accept(start(cells()), [1]), cells())
    assert annotated[30, 14:47].all()  # 23 px across, and 5 px on both sides
    assert not annotated[30, :14].any()
    assert not annotated[30, 47:].any()
    assert not annotated[cells() == 2].any()


def test_annotated_when_voxels_are_anisotropic_then_the_ring_is_as_wide_in_um():
    labels = np.zeros((15, 60, 60), np.int32)
    labels[5:10, 20:40, 20:40] = 1
    annotated = annotated_mask(accept(start(labels), [1]), labels, (4.0, 1.0, 1.0))
    assert annotated[4, 30, 30]
    assert not annotated[3, 30, 30]  # 8 µm away; the ring is about 6
    assert annotated[7, 30, 15]


def test_annotated_when_a_cell_was_drawn_in_single_slices_then_nothing_is_said_of_those_between():
    labels = np.zeros((15, 60, 60), np.int32)
    labels[[5, 9], 20:40, 20:40] = 1
    annotated = annotated_mask(accept(start(labels), [1]), labels)
    assert annotated[[5, 9], 30, 17:43].all()
    assert not np.delete(annotated, [5, 9], axis=0).any()


def test_annotated_when_a_region_cuts_a_cell_then_its_class_teaches_and_its_shape_does_not():
    c = mark_done(start(cells()), (slice(0, 60), slice(0, 60)))
    annotated = annotated_mask(c, cells())
    assert (annotated[cells() == 1] == 1).all()
    assert (annotated[:60, :60][cells()[:60, :60] == 2] == 2).all()
    assert not annotated[:, 60:].any()
    assert set(np.unique(teaching_labels(cells(), annotated))) == {0, 1, 2}


def test_annotated_when_two_regions_cover_a_cell_together_then_it_is_whole():
    c = mark_done(start(cells()), (slice(0, 60), slice(0, 60)))
    c = mark_done(c, (slice(0, 60), slice(60, 100)))
    assert (annotated_mask(c, cells())[:60] == 1).all()


def test_annotated_when_a_cell_touches_the_image_border_then_it_is_whole():
    labels = np.zeros((40, 40), np.int32)
    labels[:8, 10:20] = 1
    assert (annotated_mask(mark_done(start(labels), (slice(None), slice(None))), labels) == 1).all()


def test_to_samples_when_there_is_time_then_only_points_with_something_known_teach():
    movie = np.stack([cells(), cells(), cells()])
    c = mark_done(start(movie), (slice(1, 2), slice(0, 50), slice(0, 50)))
    samples = to_samples(take_snapshot(image_of(movie, "TYX"), movie, c))
    assert [sample.name for sample in samples] == ["a-b-1-t0001"]
    assert samples[0].image.axes == "YX"
    np.testing.assert_array_equal(samples[0].annotated[:50, :50] > 0, True)


def test_take_snapshot_when_the_user_goes_on_painting_then_it_stays():
    labels = cells()
    snapshot = take_snapshot(image_of(labels), labels, accept(start(labels), [1]))
    labels[:] = 0
    assert to_samples(snapshot)[0].labels.max() == 1


def test_take_snapshot_when_labels_do_not_fit_then_it_is_refused():
    with pytest.raises(UserError, match="shape"):
        take_snapshot(image_of(cells()), cells()[:-1], start(cells()))


def test_with_unique_names_when_two_images_are_called_the_same_then_both_are_kept():
    sample = to_samples(take_snapshot(image_of(cells()), cells(), accept(start(cells()), [1]), "..."))[0]
    assert [one.name for one in with_unique_names([sample] * 3)] == ["image", "image-2", "image-3"]


def problems(c, labels, **how):
    samples = to_samples(take_snapshot(image_of(labels), labels, c))
    return find_problems(samples, summary(c, labels), **how)


def test_find_problems_when_nothing_teaches_then_it_blocks():
    assert [problem.blocks for problem in problems(start(cells()), cells())] == [True]


def test_find_problems_when_a_region_with_enough_is_done_then_there_are_none():
    assert problems(mark_done(start(cells()), (slice(None), slice(None))), cells()) == ()


def test_find_problems_when_two_cells_are_accepted_then_few_and_no_background_are_said():
    texts = [problem.text for problem in problems(accept(start(cells()), [1, 2]), cells())]
    assert [("Only two" in text, "background" in text) for text in texts] == [(True, False), (False, True)]


def test_find_problems_when_an_object_has_a_stray_voxel_then_it_is_named():
    labels = cells()
    labels[0, 0] = 1
    found = problems(mark_done(start(labels), (slice(None), slice(None))), labels)
    assert len(found) == 1
    assert "1 in 'a-b-1'" in found[0].text


def test_find_problems_when_an_accepted_cell_touches_a_predicted_one_then_it_is_said():
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 10:20], labels[10:20, 20:30] = 1, 2
    c = mark_background(accept(start(labels), [1]), (slice(35, 40), slice(0, 40)))
    texts = " ".join(problem.text for problem in problems(c, labels))
    assert "1 object(s) touch" in texts
    assert "touch" not in " ".join(problem.text for problem in problems(accept(c, [2]), labels))


def test_find_problems_when_a_cell_is_unsure_then_it_does_not_teach():
    c = mark_unsure(accept(start(cells()), [1, 2, 3]), [1])
    assert "Only two" in problems(c, cells())[0].text


@pytest.mark.parametrize(("painted", "expected"), [(2, "Only class 2"), (0, "Only background")])
def test_find_problems_when_one_class_is_marked_then_it_is_said(painted, expected):
    labels = np.ones((9, 9), np.int32)
    c = start(labels, semantic=True)
    labels[0] = painted
    assert expected in problems(c, labels, semantic=True)[0].text
    labels[1] = 3
    assert problems(c, labels, semantic=True) == ()
