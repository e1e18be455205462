"""Pre-train a network on images without labels: it learns to restore what is hidden from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from math import prod, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Generator

from napari_unet.core.augment.presets import NONE
from napari_unet.core.base.catalogue import AUGMENTS, look_up
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.normalise import Normalisation
from napari_unet.core.base.parts import check_image
from napari_unet.core.base.progress import Report, silent
from napari_unet.core.pipeline.fine_tune import augment_for
from napari_unet.core.pipeline.fingerprint import look_at
from napari_unet.core.pipeline.hiding import Hiding, HidingModel
from napari_unet.core.pipeline.plan import Plan, make_plan
from napari_unet.core.pipeline.prepare import Prepared, prepare
from napari_unet.core.pipeline.recipe import Augment, Recipe, scratch_recipe
from napari_unet.core.pipeline.sampler import Sampler
from napari_unet.core.pipeline.scale import sampling_of
from napari_unet.core.pipeline.scratch import choose_net
from napari_unet.core.pipeline.train import Stop, TrainResult, never, train
from napari_unet.core.store.models import Model, initial_model
from napari_unet.core.store.spec import PRETRAINED, ModelSpec
from napari_unet.core.store.training_set import Sample

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.options import TrainOptions

ENOUGH_TO_JUDGE = 10
"""Images from which on a tenth is not learnt from, to judge by."""

JUDGED = 8
"""Batches that the restoration is judged on."""


def pretrain(
    images: Sequence[Image],
    options: TrainOptions,
    name: str,
    report: Report = silent,
    stop: Stop = never,
    checkpoint: Path | None = None,
) -> tuple[Model, TrainResult]:
    """Pre-train a network on images.

    Parameters
    ----------
    images : sequence of Image
        At least one, all of one kind; every time point counts as an image.
    options : TrainOptions
        Network, norm, budget, patch and so on; target, loss and weights are not used.
    name : str
        Of the model.
    report, stop, checkpoint
        As in ``train``.

    Returns
    -------
    Model
        To start trainings from.
    TrainResult
        Its history, and where images were held out, the share of the hidden variance that is restored in them.

    Raises
    ------
    UserError
        When there is no image, one cannot be used, they differ in kind, or the network cannot restore images.
    """
    samples = _frames(images)
    plan = make_plan(samples, options) if options.net == "plan" else None
    spec = _describe(samples, options, name, plan)
    held = samples[::10] if len(samples) >= ENOUGH_TO_JUDGE else []
    prepared = [_prepare(sample, spec) for sample in samples if not any(sample is other for other in held)]
    first = initial_model(spec, options.seed)
    hider = HidingModel(spec, first.weights, Hiding(sampling_of(spec.voxel_size, spec.dims)))
    recipe = scratch_recipe(options, first.net_config, prepared, "none")
    recipe = replace(recipe, augment=_augment(first, options), loss="auto")
    if plan is not None:
        recipe = replace(recipe, patch=plan.patch, batch=plan.batch)
    result = train(hider, prepared, recipe, report=report, stop=stop, checkpoint=checkpoint)
    judged = restored(result.model, [_prepare(sample, spec) for sample in held], recipe, hider.hiding) if held else None
    facts = {"steps": result.steps, "learning_rate": recipe.learning_rate, "patch": list(recipe.patch)}
    scores = {} if judged is None else {"restored of held-out images": judged}
    model = Model(replace(spec, training=facts, scores=scores), result.model.weights)
    return model, replace(result, model=model, score=judged)


def _frames(images: Sequence[Image]) -> list[Sample]:
    """Make a sample without labels, of a name of its own, from each image and time point."""
    samples: dict[str, Sample] = {}
    for image in images:
        check_image(image)
        for time in range(image.n_times):
            frame = image
            if "T" in image.axes:
                frame = replace(image, data=image.data[time], axes=image.axes.replace("T", ""))
            name = image.name if image.name not in samples else f"{image.name}-{len(samples)}"
            samples[name] = Sample(frame, np.zeros(frame.spatial_shape, np.uint8), None, name)
    return list(samples.values())


def _describe(samples: Sequence[Sample], options: TrainOptions, name: str, plan: Plan | None) -> ModelSpec:
    facts = look_at(samples, options.dims)
    net, config = (plan.net, plan.config) if plan else choose_net(facts, options, facts.channels)
    # The hiding needs one output, of the input's size.
    config = replace(config, out_channels=facts.channels, deep_supervision=False)
    if config.padding != "same":
        raise UserError(
            f"The network '{options.net}' gives less than it sees: it cannot restore images.", "Choose another one."
        )
    return ModelSpec(
        name=name,
        title=f"Pre-trained in {facts.dims}D",
        description="Pre-trained on images without labels: a start for trainings; it segments nothing by itself.",
        net=net,
        net_config=config.to_dict(),
        target=PRETRAINED,
        classes=tuple(f"channel {n}" for n in range(facts.channels)),
        dims=facts.dims,
        channels=facts.channels,
        colour=facts.colour,
        voxel_size=plan.voxel_size if plan else facts.voxel_size,
        normalisation=asdict(Normalisation("zscore" if facts.is_scanner else "percentile")),
        seed=options.seed,
        data={sample.name: sample.digest() for sample in samples},
    )


def _prepare(sample: Sample, spec: ModelSpec) -> Prepared:
    """Normalise and rescale; larger images give more patches."""
    return prepare(sample, spec, weight=sqrt(prod(sample.labels.shape)))


def _augment(model: Model, options: TrainOptions) -> Augment:
    """Turn and bend as a training does; intensities stay, for they are what is restored."""
    chosen = augment_for(model) if options.augment == "auto" else options.augment
    pair = look_up(AUGMENTS, chosen, "augmentation") if isinstance(chosen, str) else chosen
    return pair[0], NONE[1]


def restored(model: Model, samples: Sequence[Prepared], recipe: Recipe, hiding: Hiding) -> float:
    """Give the share of the variance of what was hidden that a model restores.

    Parameters
    ----------
    model : Model
        Pre-trained.
    samples : sequence of Prepared
        That it has not learnt from.
    recipe, hiding
        Of the pre-training; no augmentation.

    Returns
    -------
    float
        1 for a perfect restoration, 0 for what filling in each patch's mean gives.
    """
    network, dice = model.build(), Generator().manual_seed(0)
    sampler = Sampler(samples, recipe.patch, recipe.batch, augment=NONE, vectors=False, seed=0)
    missed = total = 0.0
    with torch.inference_mode():
        for _ in range(JUDGED):
            image = sampler.draw().image
            spoilt, hidden = hiding.spoil(image, dice)
            mean = image.mean(dim=tuple(range(2, image.ndim)), keepdim=True)
            missed += float(((network(spoilt) - image).square() * hidden).sum())
            total += float(((mean - image).square() * hidden).sum())
    return 1 - missed / max(total, 1e-12)
