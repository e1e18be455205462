"""Learn from a few cells within a second: a dozen small steps, distances brought to their height, then a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.resize import resize_nearest
from napari_unet.core.base.tiles import bounding_box, grow
from napari_unet.core.pipeline.evaluate import Kept, predict_samples, score_kept
from napari_unet.core.pipeline.fine_tune import augment_corrections
from napari_unet.core.pipeline.polarity import look_both_ways
from napari_unet.core.pipeline.prepare import Prepared, centres_of, prepare_all
from napari_unet.core.pipeline.recipe import fine_tune_recipe
from napari_unet.core.pipeline.train import train
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.store.training_set import Sample

MOST_CELLS = {2: 20, 3: 10}
"""By the axes of the labels: of more, so many that lie together are learnt from and looked at. More take longer."""

RING = 4
"""Voxels of background around the outermost of them."""

EDGE = {2: 128, 3: 32}
"""Of the one patch in each step."""

MUST_GAIN = 0.01
"""In the score; less is chance, and the model stays as it is."""

GOOD = 0.5
"""Score from which on a model stays as it is: with this one, four of four such steps made it worse elsewhere."""

HIGH = 0.95
"""Quantile of the distances inside of objects that is brought back to where it belongs."""

MOST_GAIN = 4.0
"""After few steps distances are near their mean, so that no object has a peak; they are stretched by this at most."""

DISTANCE = 1
"""Channel of the boundary distance in the maps, and row of the last layer."""


def refit(model: Model, samples: Sequence[Sample], *, seed: int = 0, device: str = "auto") -> Model | None:
    """Take a few steps towards annotations, if that finds them better.

    Parameters
    ----------
    model : Model
        Where it starts; not changed.
    samples : sequence of Sample
        What it learns from.
    seed : int
        Of the choice of cells and patches.
    device : str
        As in ``TrainOptions``.

    Returns
    -------
    Model or None
        None where it finds what is annotated no better, the old one finds most of it, or nothing is annotated. One
        that inverts images such as these where that is better (``polarity.choose_polarity``).

    Notes
    -----
    All layers learn: norms and the last layer alone gain half as much, and a last layer fitted in closed form made
    other kinds of images worse (docs/training.md). So few steps hardly learn cells by heart: those they were taken on
    can judge them. Nothing is rehearsed; this is to be looked at while the training that follows brings back what was
    forgotten.
    """
    few = _few(samples, np.random.default_rng(seed), by_object=model.spec.target == "instances")
    if not few:
        return None
    start, kept = look_both_ways(model, few)
    before = score_kept(start, kept or predict_samples(start, few))
    unlearnt = None if start is model else start
    if before >= GOOD:
        return unlearnt
    prepared = prepare_all(few, start.spec, also_small=True)
    options = TrainOptions(seed=seed, device=device, batch=1, patch=EDGE[model.spec.dims])
    recipe = fine_tune_recipe(options, model.net_config, augment_corrections(model), "instant")
    learnt = train(start, prepared, recipe).model
    kept = predict_samples(learnt, few)
    if model.target.vectors and "head.weight" in learnt.weights:
        gain = _gain(kept, prepared, model.spec.dims)
        learnt, kept = _stretched(learnt, gain), [_higher(one, gain) for one in kept]
    return learnt if score_kept(learnt, kept) >= before + MUST_GAIN else unlearnt


def _few(samples: Sequence[Sample], rng: np.random.Generator, *, by_object: bool) -> list[Sample]:
    """Choose samples until there are enough objects; classes are taken as they are."""
    known = [sample for sample in samples if sample.annotated is None or sample.annotated.any()]
    if not by_object or not known:
        return known
    left = MOST_CELLS[known[0].labels.ndim]
    chosen: list[Sample] = []
    for index in rng.permutation(len(known)):
        near, n = _nearby(known[int(index)], left, rng)
        if n:
            chosen.append(near)
            left -= n
        if not left:
            break
    return chosen


def _nearby(sample: Sample, most: int, rng: np.random.Generator) -> tuple[Sample, int]:
    """Forget all but so many annotated objects that lie nearest to one of them, and what is between them."""
    annotated = np.ones(sample.labels.shape, np.uint8) if sample.annotated is None else sample.annotated
    box = bounding_box(annotated > 0)
    labels = np.where(annotated[box] > 0, sample.labels[box], 0)
    ids = np.unique(labels[labels > 0])
    if len(ids) <= most:
        return sample, len(ids)
    centres = centres_of(labels)
    distances = ((centres - centres[int(rng.integers(len(ids)))]) ** 2).sum(axis=1)
    mine = np.isin(labels, ids[np.argsort(distances)[:most]])
    room = grow(bounding_box(mine), (RING,) * mine.ndim, mine.shape)
    mine[room] |= labels[room] == 0
    fewer = np.zeros_like(annotated)
    fewer[box] = np.where(mine, annotated[box], 0)
    return replace(sample, annotated=fewer), most


def _gain(kept: Sequence[Kept], prepared: Sequence[Prepared], dims: int) -> float:
    """Give the factor by which distances inside of objects are too low."""
    found = [_inside(one) for one in kept]
    wanted = [one.target[dims + DISTANCE][(one.target[dims] > 0.5) & (one.target[-1] > 0)].numpy() for one in prepared]
    if not sum(map(len, found)) or not sum(map(len, wanted)):
        return 1.0
    high = [float(np.quantile(np.concatenate(parts).astype(np.float32), HIGH)) for parts in (wanted, found)]
    return min(max(high[0] / max(high[1], 1e-3), 1.0), MOST_GAIN)


def _inside(kept: Kept) -> NDArray[np.float16]:
    """Give the distances that were found inside of annotated objects."""
    labels, annotated = kept.sample.labels[kept.box], kept.sample.annotated
    known = (labels > 0) if annotated is None else (labels > 0) & (annotated[kept.box] == 1)
    return resize_nearest(kept.prediction.maps[0][DISTANCE], labels.shape)[known]


def _stretched(model: Model, gain: float) -> Model:
    weights = dict(model.weights)
    for name in ("head.weight", "head.bias"):
        if name in weights:
            weights[name] = weights[name].clone()
            weights[name][DISTANCE] *= gain
    return Model(model.spec, weights)


def _higher(kept: Kept, gain: float) -> Kept:
    """Do to the maps what was done to the last layer."""
    maps = kept.prediction.maps[0].copy()
    maps[DISTANCE] = np.minimum(maps[DISTANCE] * np.float16(gain), 1)
    return replace(kept, prediction=replace(kept.prediction, maps=(maps,)))
