"""Score a model on annotated samples; what is not annotated neither helps nor harms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.tiles import Box, bounding_box, grow
from napari_unet.core.metrics.instances import average_precision, match_counts, pool
from napari_unet.core.metrics.semantic import dice
from napari_unet.core.pipeline.predictor import make_engine
from napari_unet.core.pipeline.segment import Prediction, decode, segment
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.pipeline.engine import Runner
    from napari_unet.core.store.training_set import Sample
    from napari_unet.core.targets import DecodeSettings

THRESHOLDS = (0.5, 0.75)
"""IoU at which instances are scored: found at all, and found well."""


@dataclass(frozen=True)
class Kept:
    """A sample and the network's output around its annotated part."""

    sample: Sample
    prediction: Prediction
    box: Box


def predict_samples(
    model: Model, samples: Sequence[Sample], options: SegmentOptions | None = None, *, engine: Runner | None = None
) -> list[Kept]:
    """Run the network once over the annotated part of each sample; samples without one are left out.

    Parameters
    ----------
    model, samples, options
        As for ``segment``.
    engine : Runner or None
        Of a model with the same weights, where there is one.
    """
    options = options or SegmentOptions()
    known = [sample for sample in samples if sample.annotated is None or sample.annotated.any()]
    if engine is None and known:
        engine = make_engine(model, options)
    boxes = [_annotated_box(sample) for sample in known]
    return [
        Kept(sample, segment(model, sample.image, options, box=box, engine=engine).prediction, box)
        for sample, box in zip(known, boxes, strict=True)
    ]


def _annotated_box(sample: Sample) -> Box:
    """Give the box around what is annotated, with room for objects that reach out of it."""
    if sample.annotated is None:
        return tuple(slice(0, n) for n in sample.labels.shape)
    box = bounding_box(sample.annotated > 0)
    return grow(box, (16,) * len(box), sample.labels.shape)


def score_kept(model: Model, kept: Sequence[Kept], settings: DecodeSettings | None = None) -> float:
    """Score kept predictions under some decode settings.

    Returns
    -------
    float, 0..1
        Instances: mean of the pooled AP at IoU 0.5 and 0.75. Classes: mean Dice over those that occur.
    """
    if settings is not None:
        model = Model(replace(model.spec, decode=settings.to_dict()), model.weights)
    options = SegmentOptions()
    if model.spec.target == "instances":
        return _instances(model, kept, options)
    return _classes(model, kept, options)


def score(model: Model, samples: Sequence[Sample]) -> float:
    """Segment samples and score the result; see `score_kept`."""
    return score_kept(model, predict_samples(model, samples))


def _instances(model: Model, kept: Sequence[Kept], options: SegmentOptions) -> float:
    counts = []
    for one in kept:
        labels = decode(model, one.prediction, options)[0]
        counts.append(match_counts(*comparable(labels, one.sample, one.box), THRESHOLDS))
    return float(np.mean(average_precision(pool(counts, THRESHOLDS)))) if counts else 0.0


def comparable(labels: NDArray[Any], sample: Sample, box: Box) -> tuple[NDArray[Any], NDArray[Any]]:
    """Keep the objects that can be judged.

    Returns
    -------
    prediction, truth : int arrays
        True objects that are wholly known; predicted objects that lie mostly where all is known.
    """
    truth = sample.labels[box]
    if sample.annotated is None:
        return labels, truth
    annotated = sample.annotated[box]
    sizes = np.bincount(labels.ravel())
    judged = np.bincount(labels.ravel(), (annotated == 1).ravel(), minlength=len(sizes))
    keep = judged > 0.5 * sizes
    keep[0] = False
    return np.where(keep[labels], labels, 0), np.where(annotated == 1, truth, 0)


def _classes(model: Model, kept: Sequence[Kept], options: SegmentOptions) -> float:
    values = []
    for one in kept:
        labels = decode(model, one.prediction, options)[0]
        truth = one.sample.labels[one.box]
        if one.sample.annotated is not None:
            known = one.sample.annotated[one.box] > 0
            labels, truth = labels[known], truth[known]
        values += [dice(labels == c, truth == c) for c in np.unique(truth) if c > 0]
    return float(np.mean(values)) if values else 0.0
