"""Confidence: right objects agree with their maps, wrong ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.core.pipeline.prediction import Prediction, confidence
from napari_unet.core.store.models import initial_model
from napari_unet.core.targets import TARGETS
from napari_unet.core.targets.confidence import object_confidence
from tests.core.phantoms import balls, tiny_spec

INSTANCES = TARGETS["instances"]


def right_maps(labels, sampling=(1.0, 1.0)):
    """Give what a perfect network says of objects."""
    return INSTANCES.encode(labels, None, sampling).target[:2].astype(np.float16)


@st.composite
def results(draw):
    """Draw labels, and maps that have nothing to do with them."""
    labels = draw(
        hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 5))
    )
    maps = draw(hnp.arrays(np.float16, (2, *labels.shape), elements=st.floats(0, 1, width=16)))
    return labels, maps


@given(results(), st.permutations(range(1, 9)))
def test_confidence_when_given_anything_then_is_0_to_1_and_goes_with_the_object_not_its_number(result, order):
    labels, maps = result
    sampling = (1.0,) * labels.ndim
    found = object_confidence(labels, maps, sampling)
    assert found.shape == (labels.max() + 1,)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[np.setdiff1d(np.arange(len(found)), labels[labels > 0])] == 0).all()

    other = np.array([0, *order], np.int32)
    again = object_confidence(other[labels], maps, sampling)
    for one in np.unique(labels[labels > 0]):
        assert again[other[one]] == pytest.approx(found[one], abs=1e-6)


@pytest.mark.parametrize(("shape", "sampling"), [((80, 90), (1.0, 1.0)), ((30, 60, 60), (3.0, 1.0, 1.0))])
def test_confidence_when_maps_are_those_of_the_objects_then_is_1(shape, sampling):
    labels, _ = balls(shape, 6, 8.0, sampling=sampling)
    found = object_confidence(labels, right_maps(labels, sampling), sampling)
    np.testing.assert_allclose(found[1:], 1, atol=1e-3)


def squares():
    labels = np.zeros((40, 90), np.int32)
    labels[10:30, 5:25], labels[10:30, 25:45], labels[10:30, 60:80] = 1, 2, 3  # the first two touch
    return labels


def wrong(how):
    labels = squares()
    if how == "merged":
        labels[labels == 2] = 1
    elif how == "split":
        labels[10:30, 15:25] = 2
        labels[10:30, 25:45] = 4
    elif how == "shifted":
        labels[:, :50] = np.roll(labels[:, :50], 6, axis=0)
    return labels


@pytest.mark.parametrize("how", ["merged", "split", "shifted"])
def test_confidence_when_an_object_is_wrong_then_is_lower_than_that_of_right_ones(how):
    found = object_confidence(wrong(how), right_maps(squares()), (1.0, 1.0))
    assert found[1] < 0.95
    assert found[3] == pytest.approx(1, abs=1e-3)


def test_confidence_when_the_network_is_unsure_of_the_foreground_then_is_lower():
    labels, maps = squares(), right_maps(squares())
    maps[0] = np.where(labels == 1, np.float16(0.5), maps[0])
    found = object_confidence(labels, maps, (1.0, 1.0))
    assert found[1] == pytest.approx(0.5**0.5, abs=1e-3)
    assert found[2] == pytest.approx(1, abs=1e-3)


def test_confidence_when_maps_are_kept_on_a_finer_grid_and_over_time_then_each_object_has_its_own():
    frames = np.stack([squares(), wrong("merged")])
    frames[1][frames[1] > 0] += 10
    fine = squares().repeat(2, 0).repeat(2, 1)
    prediction = Prediction((right_maps(fine),) * 2, (40, 90), (1.0, 1.0), zoom=4.0)
    found = confidence(prediction, frames, initial_model(tiny_spec()))
    assert found.shape == (14,)
    assert (found[[1, 2, 3, 13]] > 0.9).all()
    assert 0 < found[11] < 0.9
    assert (found[4:11] == 0).all()
