"""The gate against the model in use: fair where it has learnt a part, and told with an interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_unet.core.base.options import TrainOptions
from napari_unet.core.pipeline import fine_tune as module
from napari_unet.core.pipeline.compare import Comparison, Judged
from napari_unet.core.pipeline.fine_tune import fine_tune
from napari_unet.core.pipeline.train import Row, TrainResult
from napari_unet.core.store.models import Model
from tests.core.phantoms import blobs

QUICK = TrainOptions(budget="2steps", patch=16, batch=1, device="cpu", precision="fp32")


@pytest.fixture
def trainer(monkeypatch):
    """Replace the training by one whose result is known."""

    def install(result):
        def fake(model, prepared, recipe, **given):
            return TrainResult(Model(model.spec, result.weights), (Row(1, 0.5, None, 0.1),), False, None, 1, 0.1)

        monkeypatch.setattr(module, "train", fake)
        monkeypatch.setattr(module, "tune", lambda model, *_: model)
        monkeypatch.setattr(module, "recall", lambda *args, **kwargs: [])

    return install


def broken(model):
    """Make a model that finds nothing."""
    weights = {k: v.clone() for k, v in model.weights.items()}
    weights["head.bias"] -= 100
    return Model(model.spec, weights)


def test_rival_when_it_is_better_than_the_candidate_then_it_stays_although_the_base_is_worse(taught, trainer):
    model, sample = taught
    trainer(broken(model))
    found = fine_tune(broken(model), [sample], QUICK, rival=model)
    assert not found.accepted
    assert found.model is model
    assert found.before > 0.8


def test_rival_when_there_is_enough_new_then_only_that_judges_and_was_not_learnt(taught, trainer, monkeypatch):
    model, sample = taught
    trainer(model)
    known = replace(blobs(2, name="known"), annotated=np.ones((96, 96), np.uint8))
    learnt, judged = [], []
    monkeypatch.setattr(module, "prepare_all", lambda samples, *_, **__: learnt.append(samples) or samples)
    usual = module.judge
    monkeypatch.setattr(module, "judge", lambda old, new, held: judged.append(held) or usual(old, new, held))
    found = fine_tune(model, [known, sample], QUICK, rival=model, fresh=[sample])
    assert "new since" in found.held_out
    assert found.n_held_out == module.count_objects(sample)
    for fold, held in zip(learnt, judged, strict=False):
        assert {one.name for one in held} == {"blobs"}
        assert {one.name for one in fold} == {"known", "blobs"}
        (left,) = [one for one in fold if one.name == "blobs"]
        assert not any(((left.annotated > 0) & (one.annotated > 0)).any() for one in held)
    assert len(learnt[-1]) == 2
    assert learnt[-1][1].annotated is None


@pytest.mark.parametrize("n_new", [0, 3])
def test_rival_when_too_little_is_new_then_all_judges_and_that_is_said(taught, trainer, n_new):
    model, sample = taught
    trainer(model)
    fresh = [blobs(n=n_new, name="new")] if n_new else []
    found = fine_tune(model, [sample, *fresh], QUICK, rival=model, fresh=fresh)
    assert "had learnt a part" in found.held_out
    assert found.n_held_out == 10 + n_new


@pytest.mark.parametrize(
    ("n_new", "gained", "high", "is_accepted"),
    [
        (3, (2,), 0.05, True),
        (3, (2,), -0.01, False),
        (3, (), 0.05, False),
        (0, (), 0.05, False),
        (10, (2,), 0.05, False),
    ],
)
def test_rival_when_it_has_learnt_what_judges_then_a_lower_score_is_made_up_for_by_what_neither_knew(
    taught, trainer, monkeypatch, n_new, gained, high, is_accepted
):
    model, sample = taught
    trainer(model)
    fresh = [blobs(n=n_new, name="new")] if n_new else []
    box = tuple(slice(0, n) for n in sample.labels.shape)
    part = Judged("new", box, sample.labels, sample.labels, sample.labels, gained, (), (), (np.zeros(0), np.zeros(0)))
    verdict = Comparison(0.9, 0.88, -0.1, high, 13, "cells", (part,))
    monkeypatch.setattr(module, "compare", lambda *args, **kwargs: verdict)
    assert fine_tune(model, [sample, *fresh], QUICK, rival=model, fresh=fresh).accepted == is_accepted


@pytest.mark.parametrize(("edge", "is_fair"), [(48, True), (12, False)])
def test_rival_when_labels_are_classes_then_a_tenth_of_the_voxels_has_to_be_new(trainer, edge, is_fair):
    from napari_unet.core.store.models import initial_model
    from tests.core.phantoms import tiny_spec

    model = initial_model(tiny_spec(target="semantic", classes=("a",), object_size=None))
    trainer(model)
    sample = replace(blobs(), labels=(blobs().labels > 0).astype(np.int32))
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[:edge, :edge] = 1
    found = fine_tune(model, [sample], QUICK, rival=model, fresh=[replace(sample, annotated=annotated)])
    assert ("new since" in found.held_out) == is_fair


def test_result_when_judged_then_it_has_an_interval_and_what_was_lost(taught, trainer):
    model, sample = taught
    trainer(broken(model))
    found = fine_tune(model, [sample], QUICK)
    assert found.comparison.low <= found.after - found.before <= found.comparison.high < 0
    assert sum(len(part.lost) for part in found.comparison.parts) >= 8
