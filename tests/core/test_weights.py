"""Weights of voxels: those between objects as in the 2015 paper, and those of rare classes."""

from __future__ import annotations

import math
import time

import edt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.core.base.errors import UserError
from napari_unet.core.targets import TARGETS
from napari_unet.core.targets.weights import SIGMA, W0, WEIGHTINGS, border_weights, class_weights, weight_map
from tests.core.phantoms import balls

CUT_OFF = W0 * math.exp(-8)
"""What an object at the end of the reach of 4 sigma would add."""

some_labels = hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 5))


def brute_force(labels, sampling, w0=W0, sigma=SIGMA):
    """Take the two smallest of the distances to all objects, each over the whole image."""
    unit = min(sampling)
    objects = [number for number in np.unique(labels) if number]
    if len(objects) < 2:
        return np.ones(labels.shape)
    distances = [edt.edt(labels != number, anisotropy=tuple(s / unit for s in sampling)) for number in objects]
    both = np.sort(np.stack(distances), axis=0)[:2].astype(np.float64).sum(0)
    return 1 + w0 * np.exp(-(both**2) / (2 * sigma**2))


@pytest.mark.parametrize(
    ("shape", "sampling", "radius"),
    [((120, 140), (1.0, 1.0), 8.0), ((90, 140), (1.0, 2.0), 7.0), ((16, 60, 60), (3.0, 1.0, 1.0), 8.0)],
)
def test_border_when_compared_with_all_distances_then_is_equal(shape, sampling, radius):
    labels, _ = balls(shape, 30, radius, seed=2, gap=1.0, sampling=sampling)
    assert labels.max() >= 8
    found = border_weights(labels, sampling)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, brute_force(labels, sampling), atol=CUT_OFF)


@given(some_labels, st.floats(0.3, 6))
def test_border_when_labels_are_anything_then_equals_all_distances(labels, sigma):
    sampling = (2.5, 1.0, 1.0)[-labels.ndim :]
    found = border_weights(labels, sampling, sigma=sigma)
    np.testing.assert_allclose(found, brute_force(labels, sampling, sigma=sigma), atol=CUT_OFF)


def test_border_when_two_bars_lie_3_apart_then_is_as_by_hand():
    labels = np.zeros((3, 12), np.uint8)
    labels[:, 2:5], labels[:, 8:11] = 7, 3  # three voxels of background between: distances 1 + 3, 2 + 2, 3 + 1
    weights = border_weights(labels, (1.0, 1.0))[1]
    gain = 10 * math.exp(-(4**2) / (2 * 5**2))
    np.testing.assert_allclose(weights[4:9], 1 + gain, rtol=1e-6)  # in the objects' edge 0 + 4 as well
    assert weights[2] == pytest.approx(1 + 10 * math.exp(-(6**2) / 50))
    assert weights[0] == pytest.approx(1 + 10 * math.exp(-((2 + 8) ** 2) / 50))


def test_border_when_voxels_are_large_then_distances_are_in_voxels_of_the_finest_axis():
    labels = np.zeros((9, 9), np.int32)
    labels[2], labels[6] = 1, 2
    once, scaled = border_weights(labels, (3.0, 1.0)), border_weights(labels, (1.5, 0.5))
    np.testing.assert_array_equal(once, scaled)
    assert once[4, 4] == pytest.approx(1 + 10 * math.exp(-(12**2) / 50))


@pytest.mark.parametrize("value", [0, 1])
def test_border_when_there_is_no_second_object_then_is_1(value):
    labels = np.zeros((20, 20), np.int32)
    labels[5:9, 5:9] = value
    np.testing.assert_array_equal(border_weights(labels, (1.0, 1.0)), 1)


def test_border_when_there_are_thousands_of_objects_then_is_fast():
    side = 24
    ids = np.arange(1, 1 + 45 * 45).reshape(45, 45)
    labels = np.kron(ids, np.pad(np.ones((side - 6, side - 6), np.int64), 3))
    start = time.process_time()
    weights = border_weights(labels, (1.0, 1.0))
    # Over the whole image each object takes some 10 ms; the bound leaves room for a slow machine.
    assert time.process_time() - start < 6
    assert weights.max() > 4


@given(some_labels, st.data())
def test_classes_when_weighed_then_rarer_ones_weigh_more_and_the_mean_is_1(labels, data):
    known = data.draw(hnp.arrays(np.bool_, labels.shape))
    weights = class_weights(labels.astype(np.float32), known)
    assert weights.dtype == np.float32
    assert np.isfinite(weights).all()
    if known.any():
        assert weights[known].mean() == pytest.approx(1, rel=1e-4)
    counts = {number: np.count_nonzero(known & (labels == number)) for number in np.unique(labels[known])}
    for number, count in counts.items():
        for other, more in counts.items():
            one, rare = (weights[labels == n].flat[0] for n in (number, other))
            assert one / rare == pytest.approx(math.sqrt(more / count), rel=1e-4)


def test_classes_when_three_quarters_are_background_then_is_as_by_hand():
    classes = np.array([[0, 0, 0, 2]], np.float32)
    # 1 / sqrt(3 / 4) and 1 / sqrt(1 / 4), divided by their mean over the four voxels
    mean = (3 * (4 / 3) ** 0.5 + 2) / 4
    expected = [(4 / 3) ** 0.5 / mean] * 3 + [2 / mean]
    np.testing.assert_allclose(class_weights(classes, np.ones((1, 4), bool))[0], expected, rtol=1e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weight_map_when_labels_change_where_nothing_is_known_then_stays_where_something_is(weighting):
    labels, _ = balls((60, 60), 8, 7.0, gap=1.0)
    annotated = np.ones(labels.shape, np.uint8)
    annotated[:, 30:] = 0
    changed = np.where(annotated, labels, 0)
    one, other = (
        weight_map(weighting, "instances", some, TARGETS["instances"].encode(some, annotated, (1.0, 1.0)), (1.0, 1.0))
        for some in (labels, changed)
    )
    np.testing.assert_array_equal(one[:, :30], other[:, :30])
    assert one[:, :30].std() > 0


@pytest.mark.parametrize(
    ("weighting", "target", "words"),
    [("magic", "instances", "no weighting 'magic'"), ("border", "semantic", "is for instances")],
)
def test_weight_map_when_it_does_not_fit_then_is_refused(weighting, target, words):
    labels = np.zeros((4, 4), np.int32)
    encoded = TARGETS[target].encode(labels, None, (1.0, 1.0))
    with pytest.raises(UserError, match=words) as caught:
        weight_map(weighting, target, labels, encoded, (1.0, 1.0))
    assert "none" in caught.value.hint
