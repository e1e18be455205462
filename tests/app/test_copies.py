"""Copies of labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.app.copies import copied, is_same, room_like

LABELS = hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=20), elements=st.integers(0, 2))


@given(LABELS, st.data())
def test_is_same_when_at_most_one_voxel_differs_then_it_is_noticed(labels, data):
    other = labels.copy()
    assert is_same(labels, other)
    where = tuple(data.draw(st.integers(0, n - 1)) for n in labels.shape)
    other[where] += 1
    assert not is_same(labels, other)
    assert not is_same(labels, labels[None])


@pytest.mark.parametrize(
    ("room", "is_used"),
    [
        (np.ones((3, 4), np.int32), True),
        (np.ones((4, 3), np.int32), False),
        (np.ones((3, 4), np.uint8), False),
        (None, False),
    ],
)
def test_copied_when_the_room_fits_then_it_is_used_else_new_memory(room, is_used):
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    found = copied(labels, room)
    assert (found is room) is is_used
    assert found is not labels
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == labels.dtype


def test_room_like_when_the_memory_is_too_small_then_there_is_none(monkeypatch):
    def full(*args):
        raise MemoryError

    labels = np.zeros((3, 4), np.uint16)
    assert (room_like(labels).shape, room_like(labels).dtype) == (labels.shape, labels.dtype)
    monkeypatch.setattr(np, "full", full)
    assert room_like(labels) is None
