"""Thresholds: changed only where that clearly helps, and the weights never."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_unet.core.base.errors import Cancelled
from napari_unet.core.pipeline import tune as module
from napari_unet.core.pipeline.evaluate import predict_samples, score, score_kept
from napari_unet.core.pipeline.tune import tune
from napari_unet.core.store.models import Model
from napari_unet.core.targets import DecodeSettings
from tests.core.phantoms import blobs


def with_settings(model, **settings):
    return Model(replace(model.spec, decode=DecodeSettings(**settings).to_dict()), model.weights)


@pytest.mark.parametrize(
    "settings",
    [{}, {"foreground": 0.95}, {"foreground": 0.05}, {"seed": 0.95}, {"split": 0.01}, {"split": 0.9}, {"smooth": 0.0}],
)
def test_tune_when_started_anywhere_then_improves_or_leaves(taught, settings):
    model, sample = taught
    start = with_settings(model, **settings)
    tuned = tune(start, [sample])
    kept = predict_samples(start, [sample])
    before, after = (score_kept(m, kept) for m in (start, tuned))
    assert after >= before
    assert tuned.weights is start.weights


def test_tune_when_the_start_is_worse_than_the_nearest_setting_on_the_grid_then_changes(taught, monkeypatch):
    model, sample = taught
    start = with_settings(model, min_size=11)
    monkeypatch.setattr(module, "score_kept", lambda m, kept, settings=None: 0.2 if settings is None else 0.9)
    assert tune(start, [sample]) is not start


def test_tune_when_settings_are_useless_then_finds_better_ones(taught):
    model, sample = taught
    start = with_settings(model, seed=0.97)
    assert score(start, [sample]) < 0.3
    assert score(tune(start, [sample]), [sample]) > 0.8


def test_tune_when_settings_are_good_then_leaves_the_model(taught):
    model, sample = taught
    once = tune(model, [sample])
    assert tune(once, [sample]) is once


def test_tune_when_it_changes_thresholds_then_other_settings_stay(taught):
    model, sample = taught
    tuned = tune(with_settings(model, seed=0.97, min_size=17, smooth=0.7), [sample])
    assert (tuned.decode.min_size, tuned.decode.smooth) == (17, 0.7)


def test_tune_when_cancelled_then_stops(taught):
    model, sample = taught

    def cancel(_):
        raise Cancelled

    with pytest.raises(Cancelled):
        tune(model, [sample], cancel)


def test_tune_when_there_is_nothing_to_tune_on_then_leaves_the_model(oracle):
    model = oracle()
    assert tune(model, []) is model
    assert tune(model, [blobs(n=0)]) is model
