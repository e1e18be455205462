"""Rehearsal: what a model knew stays, in the share that was asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.rehearsal import WEIGHT, recall, rehearse
from napari_unet.core.pipeline.train import train
from napari_unet.core.store.models import initial_model
from tests.core.phantoms import blobs, tiny_recipe, tiny_spec


@pytest.mark.parametrize(
    ("spec", "n_targets"),
    [
        (tiny_spec(object_size=None), 6),
        (tiny_spec(dims=3, object_size=None), 7),
        (tiny_spec(dims=3, target="semantic", classes=("a", "b"), object_size=None), 3),
        (tiny_spec(target="semantic", classes=("a",), object_size=None), 3),
    ],
)
def test_rehearse_when_a_model_has_answers_then_they_are_all_known_and_have_the_share(spec, n_targets):
    model = initial_model(spec)
    samples = [prepare(blobs(shape=(32,) * spec.dims), spec, weight=weight) for weight in (1.0, 2.0)]
    found = rehearse(samples, recall(model, device="cpu"), 0.25)
    assert [one is other for one, other in zip(found, samples, strict=False)] == [True, True]
    found = found[2:]
    assert all(one.target.shape == (n_targets, *one.image.shape[1:]) for one in found)
    assert all(bool((one.target[-2:] == torch.tensor(WEIGHT).half()).all()) for one in found)
    assert all(bool(one.target.isfinite().all()) for one in found)
    assert sum(one.weight for one in found) == pytest.approx(1.0)


def test_rehearse_when_nothing_is_asked_for_or_channels_cannot_be_generated_then_nothing_comes():
    samples = [prepare(blobs(), tiny_spec())]
    assert rehearse(samples, samples, 0.0) == samples
    config = NetConfig(in_channels=2, out_channels=4, base=4, depth=2).to_dict()
    two = initial_model(tiny_spec(channels=2, colour="exact", net_config=config))
    assert recall(two) == []
    assert rehearse(samples, [], 0.5) == samples


def test_rehearse_when_another_kind_is_learned_then_less_is_forgotten(taught):
    model, known = taught
    dark = replace(blobs(5), image=replace(blobs(5).image, data=-blobs(5).image.data))
    samples = [prepare(dark, model.spec)]
    lost = []
    for share in (0.0, 0.5):
        learned = train(model, rehearse(samples, recall(model, device="cpu"), share), tiny_recipe(30, freeze_norm=True))
        old, new = (one.build()(prepare(known, model.spec).image[None].float())[0, 0] for one in (model, learned.model))
        lost.append(float(((old.sigmoid() - new.sigmoid()) ** 2).mean().detach()))
    assert lost[1] < 0.7 * lost[0]
    assert torch.isfinite(torch.tensor(lost)).all()
