"""Another grid: labels keep their ids, intensities keep their mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.core.base.resize import resize_linear, resize_nearest

any_labels = hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=7), elements=st.integers(0, 5))


@given(any_labels, st.data())
def test_resize_nearest_when_given_any_shape_then_makes_no_new_labels(labels, data):
    shape = tuple(data.draw(st.integers(1, 12)) for _ in labels.shape)
    out = resize_nearest(labels, shape)
    assert out.shape == shape
    assert out.dtype == labels.dtype
    assert set(np.unique(out)) <= set(np.unique(labels))


@given(any_labels, st.integers(1, 4))
def test_resize_nearest_when_enlarged_by_whole_numbers_and_back_then_is_the_same(labels, factor):
    larger = resize_nearest(labels, tuple(n * factor for n in labels.shape))
    np.testing.assert_array_equal(larger, np.kron(labels, np.ones((factor,) * labels.ndim, np.int32)))
    np.testing.assert_array_equal(resize_nearest(larger, labels.shape), labels)


@given(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9), st.floats(-5, 5), st.data())
def test_resize_linear_when_the_image_is_constant_then_stays_so(shape, value, data):
    wanted = tuple(data.draw(st.integers(1, 12)) for _ in shape)
    out = resize_linear(np.full((2, *shape), value), wanted)
    assert out.shape == (2, *wanted)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, value, atol=1e-5)


@pytest.mark.parametrize(("shape", "wanted"), [((60, 60), (20, 20)), ((24, 24, 24), (8, 8, 8))])
def test_resize_linear_when_it_shrinks_then_averages_the_noise(shape, wanted):
    noise = np.random.default_rng(0).standard_normal((1, *shape))
    out = resize_linear(noise, wanted)
    assert abs(out.mean() - noise.mean()) < 0.05
    assert out.std() < 0.6


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("dims", [2, 3])
def test_resize_linear_when_labels_are_resized_too_then_both_stay_aligned(dims, factor):
    labels = np.zeros((24,) * dims, np.int32)
    labels[(slice(6, 16),) * dims] = 1
    shape = tuple(int(n * factor) for n in labels.shape)
    image = resize_linear(labels[np.newaxis].astype(float), shape)[0]
    assert ((image > 0.5) != resize_nearest(labels, shape)).mean() < 0.02


@given(st.integers(2, 3), st.integers(8, 33), st.integers(4, 40))
def test_resize_linear_when_the_image_is_a_ramp_then_nothing_moves(dims, size, wanted):
    ramp = np.broadcast_to(np.arange(size, dtype=float), (1, *(5,) * (dims - 1), size))
    out = resize_linear(ramp, (*(5,) * (dims - 1), wanted))[0].reshape(-1, wanted)[0]
    scale = size / wanted
    expected = (np.arange(wanted) + 0.5) * scale - 0.5
    middle = (expected > scale + 1) & (expected < size - 2 - scale)  # at the edges there is nothing to average
    np.testing.assert_allclose(out[middle], expected[middle], atol=0.1 * max(1, scale))
