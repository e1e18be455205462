"""Drawing an object anew: what it takes, what it leaves, and how an outline goes on through a stack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.draw import disk

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import EDITS, apply_edit, inverse
from napari_unet.core.edits.drawing import draw_outline

SHAPE = (60, 100)


def discs(*places: tuple[int, int, int]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    for number, (row, column, radius) in enumerate(places, start=1):
        labels[disk((row, column), radius, shape=SHAPE)] = number
    return labels


def circle(row: float, column: float, radius: float, z: int | None = None) -> np.ndarray:
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    points = np.stack([row + radius * np.sin(turns), column + radius * np.cos(turns)], axis=1)
    return points if z is None else np.insert(points, 0, z, axis=1)


def drawn(labels: np.ndarray, outline: np.ndarray, **parameters) -> np.ndarray:
    return apply_edit(labels, EDITS["draw"](labels, [], outline=outline, **parameters))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@given(
    hnp.arrays(np.int32, st.tuples(st.integers(4, 14), st.integers(4, 14)), elements=st.integers(0, 5)),
    hnp.arrays(np.float64, st.tuples(st.integers(3, 6), st.just(2)), elements=st.floats(-2, 15)),
    st.sets(st.integers(1, 5)),
)
@settings(deadline=None, max_examples=200)
def test_draw_when_anything_is_outlined_then_only_what_lies_under_it_changes(labels, outline, spared):
    inside = draw_outline(outline, labels.shape)
    assume(inside.any())
    under = set(np.unique(labels[inside]).tolist()) - {0}
    try:
        edit = EDITS["draw"](labels, [], outline=outline, spared=spared)
    except UserError:
        return
    after = apply_edit(labels, edit)
    np.testing.assert_array_equal(apply_edit(after, inverse(labels, edit)), labels)
    elsewhere = ~inside & ~np.isin(labels, sorted(under))
    np.testing.assert_array_equal(after[elsewhere], labels[elsewhere])
    assert not (after[~inside & (labels == 0)]).any()
    meant = {one for one in under if (labels[inside] == one).sum() > 0.5 * (labels == one).sum()}
    kept = np.isin(labels, sorted(spared - meant))
    np.testing.assert_array_equal(after[kept], labels[kept])
    one = np.unique(after[inside & ~np.isin(labels, sorted(spared))])
    assert len(one) <= 1
    assert 0 not in one


def test_draw_when_an_object_is_too_large_or_too_small_then_it_becomes_what_is_outlined():
    for radius in (13, 22):
        labels = discs((30, 40, radius))
        after = drawn(labels, circle(30, 42, 17))
        assert set(np.unique(after)) == {0, 1}
        assert iou(after == 1, discs((30, 42, 17)) > 0) > 0.95


def test_draw_when_an_object_is_outlined_again_then_nothing_is_left_of_the_first_attempt():
    first = circle(30, 40, 3)
    once = drawn(np.zeros(SHAPE, np.int32), first)
    again = circle(31.6, 41.6, 4)
    twice = drawn(once, again, earlier=[first])
    np.testing.assert_array_equal(twice, draw_outline(again, SHAPE))


def test_draw_when_several_pieces_are_outlined_then_they_are_one_with_the_number_of_the_largest():
    labels = discs((30, 40, 20))
    labels[labels > 0] = np.where(np.arange(100) < 35, 7, 9)[np.nonzero(labels)[1]]
    after = drawn(labels, circle(30, 40, 19.5))
    assert set(np.unique(after)) == {0, 9}


def test_draw_when_one_cell_of_two_in_an_object_is_outlined_then_the_other_keeps_the_number():
    truth = discs((30, 30, 15), (30, 57, 14))
    merged = (truth > 0).astype(np.int32)
    for one, (column, radius) in ((1, (30, 15)), (2, (57, 14))):  # also the larger one
        after = drawn(merged, circle(30, column, radius))
        assert iou(after == 2, truth == one) > 0.9
        assert iou(after == 1, truth == 3 - one) > 0.9


def test_draw_when_the_middle_one_of_three_is_outlined_then_all_are_apart():
    truth = discs((30, 20, 12), (30, 42, 12), (30, 64, 12))
    after = drawn((truth > 0).astype(np.int32), circle(30, 42, 12))
    middles = [int(after[30, column]) for column in (20, 42, 64)]
    assert len({*middles}) == 3
    assert 1 in middles


def test_draw_when_a_neighbour_is_accepted_then_it_keeps_its_voxels_and_redrawing_it_is_allowed():
    labels = discs((30, 30, 15), (30, 57, 14))
    beside = drawn(labels, circle(30, 40, 10), spared={2})
    np.testing.assert_array_equal(beside == 2, labels == 2)
    own = drawn(labels, circle(30, 58, 16), spared={2})
    assert iou(own == 2, discs((30, 58, 16)) > 0) > 0.9
    with pytest.raises(UserError, match="accepted"):
        drawn(labels, circle(30, 57, 5), spared={2})


def test_draw_when_labels_are_classes_then_all_inside_becomes_the_class():
    labels = discs((30, 30, 15), (30, 57, 14))
    after = drawn(labels, circle(30, 44, 10), is_semantic=True, new_id=3)
    inside = draw_outline(circle(30, 44, 10), SHAPE)
    assert (after[inside] == 3).all()
    np.testing.assert_array_equal(after[~inside], labels[~inside])


def ball(middle: tuple[int, int, int], radii: tuple[float, float, float]) -> np.ndarray:
    index = np.indices((40, *SHAPE))
    ways = (index - np.reshape(middle, (3, 1, 1, 1))) / np.reshape(radii, (3, 1, 1, 1))
    return (ways**2).sum(axis=0) <= 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_draw_when_a_stack_is_outlined_once_then_the_object_closes_above_and_below(axis):
    truth = ball((20, 30, 50), (10, 16, 16))
    outline = circle(30, 50, 16, z=20)[:, np.roll(np.arange(3), axis)]
    stack = np.zeros(truth.shape, np.int32).transpose(np.roll(np.arange(3), axis))
    size = tuple(np.roll((2.0, 1.0, 1.0), axis))
    after = drawn(stack, outline, voxel_size=size)
    assert iou(after > 0, truth.transpose(np.roll(np.arange(3), axis))) > 0.75


@pytest.mark.parametrize(("row", "column"), [(-6, 50), (65, 50), (-5, -6)])
def test_draw_when_the_image_cuts_an_object_off_then_it_closes_as_the_whole_one_does(row, column):
    truth = ball((20, row, column), (16, 16, 16))
    after = drawn(np.zeros(truth.shape, np.int32), circle(row, column, 16, z=20))
    assert iou(after > 0, truth) > 0.85


def test_draw_when_the_network_saw_the_object_then_it_ends_where_that_ends():
    truth = ball((20, 30, 50), (6, 16, 16))
    edges = ndimage.gaussian_filter(truth.astype(np.float32), 1)
    blind = drawn(np.zeros(truth.shape, np.int32), circle(30, 50, 16, z=20))
    seeing = drawn(np.zeros(truth.shape, np.int32), circle(30, 50, 16, z=20), edges=edges)
    assert iou(seeing > 0, truth) > iou(blind > 0, truth) + 0.15


def test_draw_when_an_object_is_outlined_again_in_another_slice_then_it_goes_through_both():
    truth = ball((20, 30, 50), (16, 16, 16))
    first, second = circle(30, 50, 16, z=20), circle(30, 50, 10, z=32)
    once = drawn(np.zeros(truth.shape, np.int32), first)
    twice = drawn(once, second, earlier=[first])
    assert set(np.unique(twice)) == {0, 1}
    for outline in (first, second):
        at = int(outline[0, 0])
        np.testing.assert_array_equal(twice[at] > 0, draw_outline(outline[:, 1:], SHAPE))
    assert iou(twice > 0, truth) > 0.85


def test_draw_when_a_far_outline_goes_on_then_it_is_the_object_outlined_last_whatever_lies_there():
    other = np.where(ball((35, 30, 50), (4, 16, 16)), 5, 0).astype(np.int32)
    first, second = circle(30, 50, 5, z=4), circle(30, 50, 7, z=35)
    once = drawn(other, first)
    assert drawn(once, second, earlier=[first])[35, 30, 50] != 6
    joined = drawn(once, second, earlier=[first], goes_on=True)
    assert (joined[4:36, 30, 50] == 6).all()
    for outline in (first, second):
        at = int(outline[0, 0])
        np.testing.assert_array_equal(joined[at] == 6, draw_outline(outline[:, 1:], SHAPE))


def test_draw_when_another_object_lies_above_then_it_keeps_its_voxels():
    above = ball((36, 30, 50), (8, 16, 16))
    stack = np.where(above, 5, 0).astype(np.int32)
    after = drawn(stack, circle(30, 50, 16, z=18))
    np.testing.assert_array_equal(after == 5, above)
    assert (after == 6)[18].any()
