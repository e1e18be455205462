"""See whether objects are dark on a bright ground where a model knows bright ones, and let it invert such images.

A network that knows bright nuclei on a dark ground finds dark ones in the inverted image. That needs no learning, and
nothing is forgotten: images of the old kind are told by their darkness, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.normalise import brightness
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.resize import resize_nearest
from napari_unet.core.pipeline.channels import read_samples
from napari_unet.core.pipeline.evaluate import predict_samples, score_kept
from napari_unet.core.pipeline.predictor import make_engine
from napari_unet.core.pipeline.rehearsal import can_rehearse, imagine
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.pipeline.evaluate import Kept
    from napari_unet.core.store.training_set import Sample

CLEARLY = 0.2
"""By so much more the inverted images have to agree with the annotations: contrast and score together."""

APART = 0.15
"""Between the medians of images that are inverted and of those that are not; else they cannot be told apart."""

MOST = 8
"""Images that are looked at."""

BRIGHT = 0.3
"""Median of a normalised image: above it the ground is bright, however much brighter the annotated images were."""


def choose_polarity(model: Model, samples: Sequence[Sample]) -> Model:
    """Let a model invert images such as these, if what it finds there agrees better with what is annotated.

    Parameters
    ----------
    model : Model
        Not changed.
    samples : sequence of Sample
        Those that are brighter than what the model knows (generated images) are looked at as they are and inverted.

    Returns
    -------
    Model
        With the same weights; the model itself where nothing is to be inverted, or it already inverts some images.
    """
    return look_both_ways(model, samples)[0]


def look_both_ways(model: Model, samples: Sequence[Sample]) -> tuple[Model, list[Kept] | None]:
    """Give also what the chosen model makes of the samples, where all of them were looked at.

    Parameters
    ----------
    model, samples
        As for `choose_polarity`.
    """
    usual = model.normalisation
    can_invert = usual.kind == "percentile" and usual.invert_above is None and model.spec.target == "instances"
    known = [sample for sample in samples if sample.annotated is None or sample.annotated.any()]
    if not known or not can_invert or not can_rehearse(model):
        return model, None
    medians = [brightness(usual, read_samples(sample.image, model.spec, None)) for sample in known]
    dark = max(brightness(usual, read_samples(image, model.spec, None)) for image in imagine(model))
    bright = [sample for sample, median in zip(known, medians, strict=True) if median > dark + APART]
    looked_at = bright[:: max(1, ceil(len(bright) / MOST))]
    if not bright:
        return model, None
    lowest = min(median for median in medians if median > dark + APART)
    highest = max([dark, *(median for median in medians if median <= dark + APART)])
    inverting = _inverting(model, min(BRIGHT, (lowest + highest) / 2))
    engine = make_engine(model, SegmentOptions())
    as_it_is, inverted = (predict_samples(one, looked_at, engine=engine) for one in (model, inverting))
    is_better = _agreement(inverting, inverted) >= _agreement(model, as_it_is) + CLEARLY
    chosen, kept = (inverting, inverted) if is_better else (model, as_it_is)
    return chosen, kept if len(kept) == len(known) else None


def _inverting(model: Model, above: float) -> Model:
    normalisation = replace(model.normalisation, invert_above=float(above))
    return Model(replace(model.spec, normalisation=asdict(normalisation)), model.weights)


def _agreement(model: Model, kept: Sequence[Kept]) -> float:
    """Give how well a model's output agrees with annotations: contrast, which a single cell shows, and score."""
    return float(np.mean([_contrast(one) for one in kept])) + score_kept(model, kept)


def _contrast(kept: Kept) -> float:
    """Give how much higher the foreground is inside of annotated objects than beside them, -1 to 1."""
    labels, annotated = kept.sample.labels[kept.box], kept.sample.annotated
    found = resize_nearest(kept.prediction.maps[0][0], labels.shape).astype(np.float32)
    known = np.ones(labels.shape, bool) if annotated is None else annotated[kept.box] > 0
    inside, beside = found[known & (labels > 0)], found[known & (labels == 0)]
    if not inside.size or not beside.size:
        return 0.0
    return float(inside.mean() - beside.mean())
