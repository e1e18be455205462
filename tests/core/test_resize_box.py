"""Boxes that are resampled by themselves, against the whole volume resampled at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base.resize import resize_linear, resize_nearest
from napari_unet.core.base.resize_box import nearest_index, resize_box, source_box

SHAPES = st.sampled_from([(37, 50), (9, 23, 31), (5, 40)])


def _some_box(shape, data):
    box = []
    for n in shape:
        start = data.draw(st.integers(0, n - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, n))))
    return tuple(box)


@given(SHAPES, st.data())
def test_resize_box_when_given_any_box_then_is_what_the_whole_gives_there(shape, data):
    new = tuple(max(1, round(n * data.draw(st.sampled_from([0.25, 0.3, 0.62, 1, 1.4, 3.1])))) for n in shape)
    volume = np.random.default_rng(0).random((2, *shape), np.float32)
    box = _some_box(new, data)
    read = source_box(shape, new, box)
    found = resize_box(volume[(slice(None), *read)], shape, new, box)
    np.testing.assert_allclose(found, resize_linear(volume, new)[(slice(None), *box)], atol=1e-5)


def test_source_box_when_a_volume_shrinks_then_reads_little_more_than_what_lies_there():
    read = source_box((4000, 4000), (1000, 1000), (slice(100, 200), slice(0, 10)))
    assert read == (slice(pytest.approx(400, abs=5), pytest.approx(800, abs=5)), slice(0, pytest.approx(40, abs=5)))


@given(st.integers(1, 40), st.integers(1, 90), st.data())
def test_nearest_index_when_given_any_part_then_takes_what_the_whole_takes(old, new, data):
    (part,) = _some_box((new,), data)
    labels = np.arange(old)
    np.testing.assert_array_equal(labels[nearest_index(old, new, part)], resize_nearest(labels, (new,))[part])
