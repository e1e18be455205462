"""The instant stage: it repairs a head that is off, leaves a good one alone, and learns from what is annotated only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.instant import refit
from napari_unet.core.store.models import Model
from napari_unet.core.store.training_set import Sample
from tests.core.phantoms import blobs, oracle_model

OTHER = blobs(7, shape=(96, 96), n=8)


def off(model, **changes):
    """Give a model whose head answers too low."""
    weights = {name: value.clone() for name, value in model.weights.items()}
    weights["head.bias"][:2] -= torch.tensor([3.0, 0.3])
    return Model(replace(model.spec, **changes), weights)


def some(sample, side=slice(0, 60)):
    """Annotate a part of a sample."""
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[side] = 1
    return replace(sample, annotated=annotated)


def test_refit_when_the_head_is_off_then_other_images_are_segmented_better_and_all_but_the_head_stays(taught):
    model, sample = off(taught[0]), some(taught[1])
    found = refit(model, [sample], device="cpu")
    assert found is not None
    assert score(found, [OTHER]) > score(model, [OTHER]) + 0.2
    changed = {name for name, value in found.weights.items() if not torch.equal(value, model.weights[name])}
    assert changed <= {"head.weight", "head.bias"}
    assert not torch.equal(model.weights["head.bias"], found.weights["head.bias"])


def test_refit_when_only_what_is_not_annotated_differs_then_the_result_is_the_same(taught):
    model, sample = off(taught[0]), some(taught[1])
    labels = sample.labels.copy()
    labels[sample.annotated == 0] = np.random.default_rng(0).integers(0, 50, int((sample.annotated == 0).sum()))
    first, second = (refit(model, [replace(sample, labels=one)], device="cpu") for one in (sample.labels, labels))
    assert torch.equal(first.weights["head.weight"], second.weights["head.weight"])


def test_refit_when_the_old_head_does_as_well_then_it_stays(taught):
    assert refit(taught[0], [taught[1]], device="cpu") is None


@pytest.mark.parametrize("n_cells", [0, 1])
def test_refit_when_nothing_can_be_held_out_then_the_old_head_stays(taught, n_cells):
    model, sample = off(taught[0]), taught[1]
    annotated = (sample.labels == 1).astype(np.uint8) * n_cells
    assert refit(model, [replace(sample, annotated=annotated)], device="cpu") is None


def test_refit_when_the_network_has_no_such_head_then_the_model_stays(oracle):
    image = blobs()
    assert refit(oracle_model(), [Sample(image.image, image.labels)], device="cpu") is None
