"""Tune the decode settings on annotations; the network runs once, the settings are tried on what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.pipeline.evaluate import predict_samples, score_kept
from napari_unet.core.pipeline.split import count_objects
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.store.training_set import Sample
    from napari_unet.core.targets import DecodeSettings

MUST_GAIN, FEW_GAIN = 0.01, 3.0
"""Settings are changed only for more than this: small gains are chance. The second is in objects, so that it counts
where few are annotated: after trainings on 10 to 30 cells of another kind, settings that were better by less on these
cells were worse on other images in seven of seven cases, and no better where held-out cells had chosen them (two)."""


def tune(model: Model, samples: Sequence[Sample], report: Report = silent) -> Model:
    """Give the model the decode settings that score best on samples.

    Parameters
    ----------
    model : Model
        Its settings stay unless others are clearly better.
    samples : sequence of Sample
        Annotated, wholly or in part.
    report : Report
        Called after each setting that was tried; may raise `Cancelled`.

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
    scores = np.zeros(len(grid))
    for index, settings in enumerate(grid):
        report(Progress(index, len(grid), "tuning the thresholds"))
        scores[index] = score_kept(model, kept, settings)
    positions = np.array([_position(settings, grid) for settings in grid])
    near = np.abs(positions[:, None] - positions[None]).max(axis=2) <= 1
    smooth = (near * scores).sum(axis=1) / near.sum(axis=1)
    best = int(smooth.argmax())
    now = int(np.argmin([_distance(settings, model.decode) for settings in grid]))
    own = score_kept(model, kept)
    # Settings off the grid may be worse than the nearest ones on it, or better than all of it.
    n_objects = sum(count_objects(sample) for sample in samples)
    margin = max(MUST_GAIN, FEW_GAIN / max(1, n_objects)) if model.spec.target == "instances" else MUST_GAIN
    if smooth[best] <= min(smooth[now], own) + margin or scores[best] < own:
        return model
    return Model(replace(model.spec, decode=grid[best].to_dict()), model.weights)


AXES = ("foreground", "seed", "split")
"""The settings that are tuned together."""


def _position(settings: DecodeSettings, grid: Sequence[DecodeSettings]) -> list[int]:
    """Give the place of settings on each axis of their grid."""
    return [sorted({getattr(one, name) for one in grid}).index(getattr(settings, name)) for name in AXES]


def _distance(one: DecodeSettings, other: DecodeSettings) -> float:
    return float(sum(abs(getattr(one, name) - getattr(other, name)) for name in AXES))
