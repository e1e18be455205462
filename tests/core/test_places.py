"""Knowing where objects are changes nothing but the time; not even where it is not true any more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import EDITS, LabelEdit
from napari_unet.core.edits.find import find
from napari_unet.core.edits.places import Places

ARRAYS = hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=8), elements=st.integers(0, 5))
TOOLS = sorted(name for name, tool in EDITS.items() if "places" in tool.takes())
IDS = st.lists(st.integers(0, 6), max_size=3)


def places_of(labels: np.ndarray) -> Places:
    ids = np.unique(labels[labels > 0]).astype(np.int64)
    where = [np.argwhere(labels == one) for one in ids]
    none = np.zeros((0, labels.ndim), np.int64)
    low = np.array([at.min(axis=0) for at in where]) if where else none
    high = np.array([at.max(axis=0) + 1 for at in where]) if where else none
    return Places(ids, low, high, np.array([len(at) for at in where], np.int64))


def edit_or_refusal(name: str, labels: np.ndarray, ids: list[int], **parameters: Any) -> LabelEdit | str:
    try:
        return EDITS[name](labels, ids, **parameters)
    except UserError as error:
        return error.message


@given(ARRAYS, st.sampled_from(TOOLS), IDS)
@settings(deadline=None, max_examples=200)
def test_any_tool_when_it_knows_where_objects_are_then_it_does_the_same(labels, name, ids):
    plain = edit_or_refusal(name, labels, ids)
    quick = edit_or_refusal(name, labels, ids, places=places_of(labels))
    if isinstance(plain, str) or isinstance(quick, str):
        assert plain == quick
        return
    assert plain.box == quick.box
    np.testing.assert_array_equal(plain.mask, quick.mask)
    np.testing.assert_array_equal(plain.new_values(), quick.new_values())


@given(ARRAYS, st.lists(st.integers(1, 5), min_size=1, max_size=3), st.data())
@settings(deadline=None, max_examples=100)
def test_find_when_the_labels_were_changed_unseen_then_it_still_finds_all(labels, ids, data):
    old = places_of(labels)
    changed = np.where(data.draw(hnp.arrays(bool, labels.shape)), labels[::-1], 0)
    try:
        expected = find(changed, ids).box
    except UserError as error:
        with pytest.raises(UserError, match=error.message):
            find(changed, ids, places=old)
        return
    near = old.box(ids)
    n_near = 0 if near is None else int(np.isin(changed[near], ids).sum())
    if n_near != old.n_voxels(ids) or n_near == np.isin(changed, ids).sum():  # else nothing tells that it has moved
        assert find(changed, ids, places=old).box == expected


def test_places_when_one_slice_is_meant_then_they_are_those_in_it():
    labels = np.zeros((3, 4, 4), np.int32)
    labels[0, 1:3, 1] = 7
    labels[1:, 2, 2:] = 9
    there = places_of(labels).inside((1, None))
    assert (there.highest, there.has(7)) == (9, False)
    assert there.box([9]) == (slice(2, 3), slice(2, 4))
    assert there.box([7]) is None
