"""The instant stage: it repairs a model that is off, leaves a good one, and learns from what is annotated only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.core.pipeline import instant
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.instant import refit
from napari_unet.core.store.models import Model
from tests.core.phantoms import blobs

OTHER = blobs(7, shape=(96, 96), n=8)


def shifted(weights):
    """Let the head answer too low."""
    weights["head.bias"][:2] -= torch.tensor([3.0, 0.3])


def flat(weights):
    """Let no distance rise high enough for a peak."""
    weights["head.weight"][1] *= 0.4
    weights["head.bias"][1] *= 0.4


def off(model, spoil=shifted):
    """Give a model that is wrong everywhere."""
    weights = {name: value.clone() for name, value in model.weights.items()}
    spoil(weights)
    return Model(model.spec, weights)


def some(sample, side=slice(0, 60)):
    """Annotate a part of a sample."""
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[side] = 1
    return replace(sample, annotated=annotated)


@pytest.mark.parametrize("spoil", [shifted, flat])
def test_refit_when_a_model_is_off_then_other_images_are_segmented_better_and_it_stays_as_it_was(taught, spoil):
    model = off(taught[0], spoil)
    before = {name: value.clone() for name, value in model.weights.items()}
    found = refit(model, [some(taught[1])], device="cpu")
    assert found is not None
    assert score(found, [OTHER]) > score(model, [OTHER]) + 0.2
    assert all(torch.equal(value, model.weights[name]) for name, value in before.items())


def test_refit_when_only_what_is_not_annotated_differs_then_the_result_is_the_same(taught):
    model, sample = off(taught[0]), some(taught[1])
    labels = sample.labels.copy()
    labels[sample.annotated == 0] = np.random.default_rng(0).integers(0, 50, int((sample.annotated == 0).sum()))
    first, second = (refit(model, [replace(sample, labels=one)], device="cpu") for one in (sample.labels, labels))
    assert all(torch.equal(value, second.weights[name]) for name, value in first.weights.items())


def test_refit_when_the_model_finds_all_that_is_annotated_then_it_stays(taught):
    assert refit(taught[0], [taught[1]], device="cpu") is None


def test_refit_when_nothing_is_annotated_then_the_model_stays(taught):
    model, sample = off(taught[0]), taught[1]
    assert refit(model, [replace(sample, annotated=np.zeros_like(sample.labels, np.uint8))], device="cpu") is None


def test_refit_when_many_objects_are_annotated_then_it_learns_from_whole_ones_that_lie_together(taught, monkeypatch):
    seen = []
    learn = instant.prepare_all
    monkeypatch.setattr(instant, "MOST_CELLS", {2: 3})
    monkeypatch.setattr(
        instant, "prepare_all", lambda some, *args, **given: seen.extend(some) or learn(some, *args, **given)
    )
    refit(off(taught[0]), [taught[1]], device="cpu")
    (sample,) = seen
    known = sample.annotated > 0
    taken = np.setdiff1d(sample.labels[known], [0])
    assert len(taken) == 3
    assert known[np.isin(sample.labels, taken)].all()
