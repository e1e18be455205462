"""Tune the decode settings on annotations; the network runs once, the settings are tried on what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari_unet.core.pipeline.evaluate import predict_samples, score_kept
from napari_unet.core.store.models import Model
from napari_unet.core.store.training_set import Sample

MUST_GAIN = 0.005
"""Settings are changed only for more than this: the annotations are few, and small gains are chance."""


def tune(model: Model, samples: Sequence[Sample]) -> Model:
    """Give the model the decode settings that score best on samples.

    Parameters
    ----------
    model : Model
        Its settings are the first that are tried.
    samples : sequence of Sample
        Annotated, wholly or in part.

    Returns
    -------
    Model
        With the same weights.
    """
    kept = predict_samples(model, samples)
    best, best_score = model.decode, score_kept(model, kept, model.decode) + MUST_GAIN
    for settings in model.target.grid(model.decode):
        value = score_kept(model, kept, settings)
        if value > best_score:
            best, best_score = settings, value
    return Model(replace(model.spec, decode=best.to_dict()), model.weights)
