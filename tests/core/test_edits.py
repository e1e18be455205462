"""The correction tools: what they write, what they leave, what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.draw import disk

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import EDITS, LabelEdit, apply_edit, delete, inverse, merge, split

any_labels = hnp.arrays(
    st.sampled_from([np.int32, np.uint8, np.uint16, np.int64]),
    hnp.array_shapes(min_dims=2, max_dims=3, max_side=9),
    elements=st.integers(0, 5),
)
any_tool = st.sampled_from(sorted(EDITS))
any_selection = st.lists(st.integers(0, 6), max_size=3)


def dumbbell() -> np.ndarray:
    labels = np.zeros((60, 100), np.int32)
    labels[disk((30, 30), 18)] = 4
    labels[disk((30, 60), 18)] = 4
    labels[5:10, 90:95] = 7
    return labels


def edit_or_none(tool: str, labels: Any, selection: list[int]) -> LabelEdit | None:
    drawing = {"outline": np.array([[0.0] * labels.ndim, [3.0] * labels.ndim])} if tool == "draw" else {}
    try:
        return EDITS[tool](labels, selection, **drawing)
    except UserError:
        return None


@given(any_labels, any_tool, any_selection)
@settings(deadline=None, max_examples=200)
def test_any_edit_when_applied_and_inverted_then_labels_are_as_before(labels, tool, selection):
    before = labels.copy()
    edit = edit_or_none(tool, labels, selection)
    if edit is None:
        return
    back = inverse(labels, edit)
    corrected = apply_edit(labels, edit)
    assert edit.mask.any()
    assert edit.values.dtype == corrected.dtype == before.dtype
    assert edit.values.shape == edit.mask.shape == before[edit.box].shape
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(apply_edit(corrected, back), before)


@given(any_labels, any_tool, any_selection)
@settings(deadline=None, max_examples=200)
def test_any_edit_when_applied_then_other_objects_are_untouched(labels, tool, selection):
    acts_on_all = tool in ("renumber", "draw") or (EDITS[tool].needs == "any" and not selection)
    edit = edit_or_none(tool, labels, selection)
    if edit is None or acts_on_all:
        return
    corrected = apply_edit(labels, edit)
    chosen = np.isin(labels, selection)
    others = (labels > 0) & ~chosen
    np.testing.assert_array_equal(corrected[others], labels[others])
    assert not np.isin(corrected[~others & (corrected != labels)], labels[others]).any()


@given(any_labels, any_tool, any_selection)
@settings(deadline=None, max_examples=60)
def test_any_edit_when_labels_are_stored_then_it_is_the_same(labels, tool, selection):
    stored = zarr.create_array({}, data=labels, chunks=tuple(min(4, n) for n in labels.shape))
    expected = edit_or_none(tool, labels, selection)
    found = edit_or_none(tool, stored, selection)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        np.testing.assert_array_equal(apply_edit(labels, found), apply_edit(labels, expected))


@pytest.mark.parametrize("tool", sorted(EDITS))
def test_tool_when_it_is_shown_then_it_says_what_it_does_and_what_it_asks(tool):
    one = EDITS[tool]
    assert one.title
    assert one.tip.endswith((".", ":"))
    kind = one.parameters()
    asked = {} if kind is None else vars(kind())
    assert set(asked) <= one.takes()
    edit_or_none(tool, dumbbell(), [4])


@given(any_labels, st.integers(1, 5))
@settings(deadline=None, max_examples=50)
def test_split_when_it_succeeds_then_the_parts_cover_the_object_with_new_ids(labels, one):
    edit = edit_or_none("split", labels, [one])
    if edit is None:
        return
    corrected = apply_edit(labels, edit)
    inside = labels == one
    parts = np.unique(corrected[inside])
    assert len(parts) >= 2
    assert one in parts
    assert all(i == one or i > labels.max() for i in parts)


def test_merge_when_two_are_selected_then_both_get_the_first_id():
    labels = np.array([[3, 3, 0, 5, 9]])
    np.testing.assert_array_equal(apply_edit(labels, merge(labels, [5, 3])), [[5, 5, 0, 5, 9]])


def test_delete_when_an_object_is_selected_then_it_is_background_and_the_box_is_its_own():
    labels = dumbbell()
    edit = delete(labels, [7])
    assert edit.box == (slice(5, 10), slice(90, 95))
    assert 7 not in apply_edit(labels, edit)


@pytest.mark.parametrize("voxel_size", [None, (1.0, 1.0), (2.0, 1.0)])
def test_split_when_two_discs_touch_then_each_part_is_one_disc(voxel_size):
    labels = dumbbell()
    corrected = apply_edit(labels, split(labels, [4], voxel_size=voxel_size))
    assert corrected[30, 20] != corrected[30, 70]
    assert {int(corrected[30, 20]), int(corrected[30, 70])} == {4, 8}
    sizes = np.bincount(corrected.ravel())
    assert abs(int(sizes[4]) - int(sizes[8])) < 60


def test_split_when_three_parts_are_asked_of_a_chain_then_there_are_three():
    labels = np.zeros((40, 110), np.uint16)
    for column in (20, 50, 80):
        labels[disk((20, column), 17)] = 1
    corrected = apply_edit(labels, split(labels, [1], parts=3))
    assert len({int(corrected[20, column]) for column in (20, 50, 80)}) == 3


@pytest.mark.parametrize(("columns", "apart"), [((20, 44, 78), 78), ((20, 54, 78), 20)])
def test_split_when_a_chain_has_a_wide_and_a_narrow_neck_then_it_parts_at_the_narrow_one(columns, apart):
    labels = np.zeros((40, 110), np.int32)
    for column in columns:
        labels[disk((20, column), 18)] = 1
    corrected = apply_edit(labels, split(labels, [1]))
    together = {int(corrected[20, column]) for column in columns if column != apart}
    assert len(np.unique(corrected)) == 3
    assert together == {1}
    assert corrected[20, apart] == 2


def test_split_when_an_object_is_in_unconnected_pieces_then_each_is_one():
    labels = np.zeros((20, 60), np.int32)
    for column in (10, 30, 50):
        labels[disk((10, column), 8)] = 1
    assert len(np.unique(apply_edit(labels, split(labels, [1])))) == 4


def test_split_when_a_line_crosses_in_2d_then_the_object_parts_along_it():
    labels = dumbbell()
    corrected = apply_edit(labels, split(labels, [4], line=[(25, 25), (35, 25)]))  # does not reach both boundaries
    assert np.all(corrected[25:35, 14:24] == 8)
    assert np.all(corrected[25:35, 27:70] == 4)


def test_split_when_a_line_is_drawn_in_one_plane_of_3d_then_all_planes_part():
    labels = np.stack([dumbbell()] * 5)
    corrected = apply_edit(labels, split(labels, [4], line=[(2, 20, 45), (2, 40, 45)]))
    assert np.all(corrected[:, 30, 20] == corrected[0, 30, 20])
    assert np.all(corrected[:, 30, 20] != corrected[:, 30, 70])


def test_split_when_given_a_time_point_then_the_edit_can_be_lifted():
    movie = np.stack([np.zeros((60, 100), np.int32), dumbbell()])
    edit = split(movie[1], [4], new_id=50).at(1)
    corrected = apply_edit(movie, edit)
    assert not corrected[0].any()
    assert {4, 7, 50} == set(np.unique(corrected[1])) - {0}


def test_edit_when_it_is_of_one_slice_then_it_can_be_lifted_along_any_axis():
    stack = np.stack([dumbbell()] * 3, axis=1)
    corrected = apply_edit(stack, delete(stack[:, 2], [4]).at(None, 2))
    assert not (corrected[:, 2] == 4).any()
    np.testing.assert_array_equal(corrected[:, :2], stack[:, :2])


def test_indices_and_new_values_when_written_then_they_equal_the_applied_edit():
    labels = dumbbell()
    edit = split(labels, [4])
    written = labels.copy()
    written[edit.indices()] = edit.new_values()
    np.testing.assert_array_equal(written, apply_edit(labels, edit))
    assert edit.n_voxels == len(edit.new_values())


@pytest.mark.parametrize(
    ("tool", "selection", "parameters", "message"),
    [
        ("delete", [], {}, "No object"),
        ("delete", [0], {}, "background"),
        ("delete", [99], {}, "no object 99"),
        ("merge", [4], {}, "two objects"),
        ("merge", [4, 4], {}, "two objects"),
        ("merge", [99, 4], {}, "no object 99"),
        ("merge", [4, 99], {}, "no object 99"),
        ("split", [4, 7], {}, "one object"),
        ("split", [7], {"parts": 1}, "into 1"),
        ("split", [7], {}, "no narrow place"),
        ("split", [4], {"parts": 3}, "only 2"),
        ("split", [4], {"line": [(0, 0), (0, 90)]}, "does not touch"),
        ("split", [4], {"line": [(30, 30), (30, 30)]}, "single point"),
        ("split", [4], {"line": [(30, 13), (31, 13)]}, "one side"),
        ("split", [4], {"line": [(30, 30)]}, "does not fit"),
        ("split", [4], {"line": [(30, 30, 1), (1, 2, 3)]}, "does not fit"),
        ("split", [4], {"line": [(30, np.nan), (1, 2)]}, "does not fit"),
    ],
)
def test_tools_when_the_selection_cannot_be_used_then_they_say_why(tool, selection, parameters, message):
    with pytest.raises(UserError, match=message):
        EDITS[tool](dumbbell(), selection, **parameters)


def test_split_when_the_type_has_no_room_then_it_says_so():
    labels = np.where(dumbbell() == 4, 255, 0).astype(np.uint8)
    with pytest.raises(UserError, match="no room"):
        split(labels, [255])


def test_split_when_a_line_meets_4d_labels_then_it_is_refused():
    labels = np.ones((1, 3, 9, 9), np.int32)
    with pytest.raises(UserError, match="4D"):
        split(labels, [1], line=[(0, 1, 0, 4), (0, 1, 8, 4)])
