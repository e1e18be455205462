"""Tune the decode settings on annotations; the network runs once, the settings are tried on what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.pipeline.evaluate import predict_samples, score_kept
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.store.training_set import Sample
    from napari_unet.core.targets import DecodeSettings

MUST_GAIN = 0.01
"""Settings are changed only for more than this: the annotations are few, and small gains are chance."""


def tune(model: Model, samples: Sequence[Sample]) -> Model:
    """Give the model the decode settings that score best on samples.

    Parameters
    ----------
    model : Model
        Its settings stay unless others are clearly better.
    samples : sequence of Sample
        Annotated, wholly or in part.

    Returns
    -------
    Model
        With the same weights.

    Notes
    -----
    Each setting is judged together with its neighbours on the grid: a lonely peak on a few cells is chance.
    """
    kept = predict_samples(model, samples)
    grid = model.target.grid(model.decode)
    scores = np.array([score_kept(model, kept, settings) for settings in grid])
    positions = np.array([_position(settings, grid) for settings in grid])
    near = np.abs(positions[:, None] - positions[None]).max(axis=2) <= 1
    smooth = (near * scores).sum(axis=1) / near.sum(axis=1)
    best = grid[int(smooth.argmax())]
    now = int(np.argmin([_distance(settings, model.decode) for settings in grid]))
    if smooth.max() <= smooth[now] + MUST_GAIN:
        return model
    return Model(replace(model.spec, decode=best.to_dict()), model.weights)


def _position(settings: DecodeSettings, grid: Sequence[DecodeSettings]) -> tuple[int, int]:
    """Give the row and column of settings on their grid."""
    rows = sorted({one.foreground for one in grid})
    columns = sorted({one.seed for one in grid})
    return rows.index(settings.foreground), columns.index(settings.seed)


def _distance(one: DecodeSettings, other: DecodeSettings) -> float:
    return abs(one.foreground - other.foreground) + abs(one.seed - other.seed)
