"""What each correction tool does to a shape that shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.draw import disk
from skimage.morphology import convex_hull_image

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import EDITS, apply_edit
from napari_unet.core.edits.convex_hull import hull_of
from napari_unet.core.edits.find import find, highest_id


def do(tool: str, labels: np.ndarray, selection: list[int], **parameters: Any) -> np.ndarray:
    return apply_edit(labels, EDITS[tool](labels, selection, **parameters))


def discs(*places: tuple[int, int, int], shape: tuple[int, int] = (60, 100)) -> np.ndarray:
    """Draw discs (row, column, radius), numbered from 1."""
    labels = np.zeros(shape, np.int32)
    for number, (row, column, radius) in enumerate(places, start=1):
        labels[disk((row, column), radius, shape=shape)] = number
    return labels


def test_fill_holes_when_another_object_is_inside_then_only_background_is_filled():
    labels = discs((30, 30, 20), (30, 30, 10))
    labels[28:32, 28:32] = 0
    labels[30, 15] = 0
    filled = do("fill_holes", labels, [1])
    assert filled[30, 15] == 1
    np.testing.assert_array_equal(filled == 2, labels == 2)
    assert not (filled[28:32, 28:32] > 0).any() or (filled[28:32, 28:32] == 1).all()


def test_fill_holes_when_a_hole_is_open_in_z_then_it_stays():
    tube = np.ones((3, 9, 9), np.int32)
    tube[:, 4, 4] = 0
    with pytest.raises(UserError, match="encloses"):
        do("fill_holes", tube, [1])
    assert do("fill_holes", tube[1], [1]).all()


def test_smooth_when_a_spike_and_a_notch_are_there_then_they_go_and_the_neighbour_stays():
    labels = discs((30, 30, 15), (30, 62, 15))
    labels[30, 45:50] = 1
    labels[28:33, 15:19] = 0
    smoothed = do("smooth", labels, [1], radius=3)
    assert not (smoothed[30, 48:50] == 1).any()
    assert smoothed[30, 18] == 1
    np.testing.assert_array_equal(smoothed == 2, labels == 2)


def test_smooth_when_voxels_are_flat_then_one_micrometre_is_fewer_slices():
    labels = np.zeros((9, 31, 31), np.int32)
    labels[2:7, 8:23, 8:23] = 1
    fine = do("smooth", labels, [1], radius=2, unit="µm", voxel_size=(1, 1, 1))
    coarse = do("smooth", labels, [1], radius=2, unit="µm", voxel_size=(5, 1, 1))
    assert (coarse[2] > 0).sum() > (fine[2] > 0).sum()


@pytest.mark.parametrize(("unit", "expected"), [("px", 22), ("µm", 26)])
def test_grow_when_a_length_is_given_then_the_boundary_moves_by_it(unit, expected):
    labels = np.zeros((60, 60), np.int32)
    labels[20:40, 20:40] = 1
    grown = do("grow", labels, [1], by=1.0 if unit == "px" else 1.5, unit=unit, voxel_size=(0.5, 0.5))
    assert (grown[30] > 0).sum() == expected


def test_grow_when_a_thin_neighbour_is_in_the_way_then_it_is_neither_eaten_nor_jumped():
    labels = np.zeros((20, 40), np.int32)
    labels[:, :10], labels[:, 12:14] = 1, 2
    grown = do("grow", labels, [1], by=8)
    assert (grown[:, 10:12] == 1).all()
    assert (grown[:, 12:14] == 2).all()
    assert not (grown[:, 14:] == 1).any()


def test_grow_when_two_meet_then_each_gets_its_half():
    labels = np.zeros((5, 30), np.int32)
    labels[:, :5], labels[:, 25:] = 1, 2
    grown = do("grow", labels, [1, 2], by=20)
    assert (grown[:, :15] == 1).all()
    assert (grown[:, 15:] == 2).all()


def test_shrink_when_the_image_cuts_an_object_then_its_boundary_there_stays():
    labels = np.zeros((20, 20), np.int32)
    labels[:, :10] = 1
    shrunk = do("shrink", labels, [1], by=3)
    np.testing.assert_array_equal(shrunk > 0, np.arange(20)[None].repeat(20, 0) < 7)
    with pytest.raises(UserError, match="vanish"):
        do("shrink", discs((30, 30, 4)), [1], by=9)


def test_convex_hull_when_an_object_is_a_crescent_then_it_is_filled_around_its_neighbour():
    labels = discs((30, 30, 20))
    labels[disk((30, 45), 14)] = 0
    labels[disk((30, 45), 3)] = 2
    hull = do("convex_hull", labels, [1])
    assert hull[30, 40] == 1
    np.testing.assert_array_equal(hull == 2, labels == 2)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12)))
@settings(deadline=None, max_examples=60)
def test_hull_when_compared_with_scikit_image_then_it_is_the_same_in_the_plane_and_in_a_stack(mask):
    if mask.any():
        expected = convex_hull_image(mask)
        np.testing.assert_array_equal(hull_of(mask), expected)
        np.testing.assert_array_equal(hull_of(np.stack([mask] * 3)), np.stack([expected] * 3))


def test_parts_when_an_object_is_in_three_then_the_largest_keeps_the_id():
    labels = discs((30, 20, 12), (30, 50, 6), (30, 80, 9))
    one = (labels > 0).astype(np.uint8)
    np.testing.assert_array_equal(do("keep_largest", one, [1]), labels == 1)
    apart = do("separate", one, [1])
    assert set(np.unique(apart)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(apart == 1, labels == 1)
    assert ndimage.label(apart == 2)[1] == 1


@pytest.mark.parametrize(("unit", "size", "left"), [("px", 200.0, {1, 3}), ("µm", 65.0, {1})])
def test_remove_small_when_a_size_is_given_then_what_is_below_goes(unit, size, left):
    labels = discs((30, 20, 12), (30, 50, 6), (30, 80, 9))
    parameters = {"size": size, "unit": unit, "voxel_size": (0.5, 0.5)}
    assert set(np.unique(do("remove_small", labels, [], **parameters))) - {0} == left
    assert set(np.unique(do("remove_small", labels, [2], **parameters))) - {0} == {1, 3}


def test_clear_border_when_ends_are_left_out_then_only_the_sides_count():
    labels = np.zeros((4, 20, 20), np.int32)
    labels[0, 8:12, 8:12], labels[1:3, 0, 5], labels[2, 15, 15] = 1, 2, 3
    assert set(np.unique(do("clear_border", labels, []))) == {0, 3}
    assert set(np.unique(do("clear_border", labels, [], ends=False))) == {0, 1, 3}


def test_relabel_when_the_id_is_taken_then_it_is_refused():
    labels = discs((30, 20, 12), (30, 50, 6))
    np.testing.assert_array_equal(do("relabel", labels, [2], to=9) == 9, labels == 2)
    assert 3 in do("relabel", labels, [2])
    with pytest.raises(UserError, match="object 1 already"):
        do("relabel", labels, [2], to=1)


def test_renumber_when_there_are_gaps_then_the_order_stays():
    labels = np.array([[0, 70_000, 5, 900, 5]], np.int32)
    np.testing.assert_array_equal(do("renumber", labels, []), [[0, 3, 1, 2, 1]])


def test_split_when_seeds_are_placed_then_each_gets_a_part():
    labels = np.zeros((40, 110), np.int32)
    for column in (20, 50, 80):
        labels[disk((20, column), 17)] = 1
    parted = do("split", labels, [1], seeds=[(20, 20), (20, 50), (20, 80)])
    assert len({int(parted[20, column]) for column in (20, 50, 80)}) == 3
    assert len(np.unique(parted)) == 4
    with pytest.raises(UserError, match="1 of the 2 seeds"):
        do("split", labels, [1], seeds=[(20, 20), (0, 0)])


def test_draw_when_an_outline_is_rough_then_it_is_fitted_to_the_map_and_leaves_the_neighbour():
    truth = discs((30, 40, 14), (30, 68, 13))
    edges = ndimage.gaussian_filter((truth > 0).astype(np.float32), 1)
    labels = np.where(truth == 2, 2, 0).astype(np.int32)
    rough = [(18, 29), (18, 52), (43, 50), (40, 27)]
    drawn = do("draw", labels, [], outline=rough)
    fitted = do("draw", labels, [], outline=rough, edges=edges, fit=True)
    assert iou(fitted == 3, truth == 1) > max(0.93, iou(drawn == 3, truth == 1))
    np.testing.assert_array_equal(fitted == 2, labels == 2)


def test_draw_when_a_stroke_lies_inside_then_the_object_around_it_is_found():
    truth = discs((30, 40, 9))
    edges = ndimage.gaussian_filter((truth > 0).astype(np.float32), 1)
    found = do("draw", np.zeros_like(truth), [], stroke=[(30, 36), (30, 44)], edges=edges, reach=16.0)
    assert iou(found > 0, truth > 0) > 0.9


def test_draw_when_it_cannot_be_then_it_says_so():
    with pytest.raises(UserError, match="other objects"):
        do("draw", np.ones((20, 20), np.int32), [], stroke=[(5, 5), (5, 9)])
    with pytest.raises(UserError, match="Nothing is drawn"):
        do("draw", np.ones((20, 20), np.int32), [])
    with pytest.raises(UserError, match="outside"):
        do("draw", np.zeros((20, 20), np.int32), [], outline=[(50, 50), (50, 60), (60, 60)])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_interpolate_when_a_disc_grows_and_moves_then_the_middle_is_between(axis):
    stack = np.zeros((9, 60, 100), np.int32)
    stack[0], stack[8] = discs((30, 30, 8)), discs((30, 70, 16))
    filled = np.moveaxis(do("interpolate", np.moveaxis(stack, 0, axis), [1], axis=axis), axis, 0)
    expected = discs((30, 50, 12))
    assert iou(filled[4] > 0, expected > 0) > 0.9
    np.testing.assert_array_equal(filled[[0, 8]], stack[[0, 8]])


def test_interpolate_when_no_slice_is_empty_then_it_says_so():
    with pytest.raises(UserError, match="No empty slice"):
        do("interpolate", np.ones((3, 9, 9), np.int32), [1])


def test_copy_on_when_a_map_is_given_then_the_copy_follows_the_object():
    stack = np.zeros((3, 60, 100), np.int32)
    stack[1] = discs((30, 40, 12))
    edges = np.zeros(stack.shape, np.float32)
    edges[2] = ndimage.gaussian_filter((discs((30, 44, 12)) > 0).astype(np.float32), 1)
    same = do("copy_on", stack, [1], at=1)
    np.testing.assert_array_equal(same[2], stack[1])
    fitted = do("copy_on", stack, [1], at=1, edges=edges, reach=8.0)
    assert iou(fitted[2] > 0, discs((30, 44, 12)) > 0) > 0.93
    back = do("copy_on", stack, [1], at=1, to="previous")
    np.testing.assert_array_equal(back[0], stack[1])
    with pytest.raises(UserError, match="no next"):
        do("copy_on", stack, [1], at=2)


def test_copy_on_when_another_object_is_there_then_it_keeps_its_voxels():
    stack = np.zeros((2, 60, 100), np.int32)
    stack[0], stack[1] = discs((30, 40, 12)), 5 * (discs((30, 50, 12)) > 0)
    copied = do("copy_on", stack, [1])
    np.testing.assert_array_equal(copied[1] == 5, stack[1] == 5)
    assert (copied[1] == 1).any()


@pytest.mark.parametrize("tool", ["smooth", "grow", "shrink", "remove_small"])
def test_lengths_when_they_make_no_sense_then_the_tool_says_so(tool):
    labels = discs((30, 30, 10))
    name = {"smooth": "radius", "remove_small": "size"}.get(tool, "by")
    with pytest.raises(UserError, match="voxel size of this image is not known"):
        do(tool, labels, [1], unit="µm")
    with pytest.raises(UserError, match="above 0"):
        do(tool, labels, [1], **{name: 0.0})
    with pytest.raises(UserError, match="no unit"):
        do(tool, labels, [1], unit="inch")


class Counted:
    """Labels on a disk that count what is read of them."""

    def __init__(self, array: np.ndarray, chunks: tuple[int, ...]) -> None:
        self.array, self.chunks, self.n_read = array, chunks, 0
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, array.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        part = self.array[key]
        self.n_read += part.size
        return part


def test_find_when_labels_are_stored_then_each_block_is_read_once_and_the_objects_once_more():
    labels = discs((30, 30, 10), (30, 70, 10))
    stored = Counted(labels, (20, 50))
    found = find(stored, [2], [1, 1])  # type: ignore[arg-type]
    assert found.box == (slice(20, 41), slice(60, 81))
    assert stored.n_read == labels.size + found.labels.size
    assert highest_id(stored) == 2  # type: ignore[arg-type]


def test_find_when_ids_are_huge_then_objects_have_their_own_boxes():
    labels = np.zeros((6, 40), np.int64)
    labels[2, 3:5], labels[4, 30:39] = 2**40, 7
    found = find(labels, [2**40, 7])
    assert dict(found.objects())[2**40] == (slice(0, 1), slice(0, 2))
    assert dict(found.objects([1, 1]))[7] == (slice(1, 3), slice(26, 36))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())
