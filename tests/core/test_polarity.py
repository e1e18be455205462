"""Polarity: a model that knows bright objects inverts images of dark ones, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.polarity import choose_polarity
from napari_unet.core.pipeline.segment import INVERTED, segment
from napari_unet.core.store.models import initial_model
from tests.core.phantoms import blobs, tiny_spec


def dark(sample):
    """Show the same objects dark on a bright ground."""
    return replace(sample, image=replace(sample.image, data=5 - sample.image.data))


def test_choose_polarity_when_objects_are_dark_then_such_images_are_inverted_and_the_old_kind_is_not(taught):
    model, known = taught
    found = choose_polarity(model, [dark(known)])
    assert found.weights is model.weights
    other = blobs(7, n=8)
    assert score(found, [dark(other)]) > score(model, [dark(other)]) + 0.5
    np.testing.assert_array_equal(segment(found, known.image).labels, segment(model, known.image).labels)
    assert [INVERTED in segment(found, one.image).notes for one in (known, dark(known))] == [False, True]
    assert choose_polarity(found, [dark(known)]) is found


@pytest.mark.parametrize("n_dark", [0, 1])
def test_choose_polarity_when_some_images_are_of_the_old_kind_then_only_dark_objects_count(taught, n_dark):
    model, known = taught
    found = choose_polarity(model, [known, *[dark(blobs(3))] * n_dark])
    assert (found is model) == (n_dark == 0)
    assert score(found, [known]) == score(model, [known])


@pytest.mark.parametrize(
    "spec",
    [
        tiny_spec(object_size=None),
        tiny_spec(target="semantic", classes=("a",), object_size=None),
        tiny_spec(object_size=None, normalisation={"kind": "zscore"}),
    ],
)
def test_choose_polarity_when_nothing_is_gained_or_brightness_means_nothing_then_the_model_stays(spec):
    model = initial_model(spec)
    assert choose_polarity(model, [dark(blobs())]) is model


def test_choose_polarity_when_nothing_is_annotated_then_the_model_stays(taught):
    sample = dark(taught[1])
    assert choose_polarity(taught[0], [replace(sample, annotated=np.zeros(sample.labels.shape, np.uint8))]) is taught[0]
