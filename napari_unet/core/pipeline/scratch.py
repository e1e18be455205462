"""Train a new model from scratch: the network, patch and normalisation follow from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.normalise import Normalisation
from napari_unet.core.base.progress import Report, silent, within
from napari_unet.core.nets import preset
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.fine_tune import augment_for
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.recipe import scratch_recipe
from napari_unet.core.pipeline.scale import object_diameter, sampling_of
from napari_unet.core.pipeline.train import Stop, TrainResult, never, train
from napari_unet.core.pipeline.tune import tune
from napari_unet.core.store.models import Model, initial_model
from napari_unet.core.store.spec import ModelSpec
from napari_unet.core.targets import DecodeSettings, get_target

if TYPE_CHECKING:
    from napari_unet.core.base.options import TrainOptions
    from napari_unet.core.store.training_set import Sample

ENOUGH_TO_VALIDATE = 30
"""Images from which on a tenth is held out for early stopping; with fewer every one is worth more as a teacher."""

TUNE_ON = 12
"""Samples that the thresholds are tuned on."""


def describe_data(samples: Sequence[Sample], options: TrainOptions, name: str) -> ModelSpec:
    """Derive a model's description from the data it will be trained on.

    Parameters
    ----------
    samples : sequence of Sample
        All of one number of dimensions and channels.
    options : TrainOptions
        Preset, target and, if given, dimensions.
    name : str
        Of the model.

    Raises
    ------
    UserError
        When the samples differ in kind, or the options do not fit them.
    """
    dims = {sample.image.dims for sample in samples}
    channels = {sample.image.n_channels for sample in samples}
    colours = {sample.image.rgb for sample in samples}
    mixed_gray = channels <= {1, 3} and len(channels) == 2 and True in colours
    if len(dims) != 1 or (len(channels) != 1 and not mixed_gray):
        raise UserError(
            f"The images have {sorted(dims)} dimensions and {sorted(channels)} channels.",
            "Train on images of one kind.",
        )
    dim = dims.pop()
    if options.dims is not None and options.dims != dim:
        raise UserError(f"A {options.dims}D model was asked for; the images are {dim}D.", "Leave the dimensions out.")
    highest = max(int(sample.labels.max(initial=0)) for sample in samples)
    if options.target == "semantic" and not 1 <= highest <= 254:
        raise UserError(
            f"The class labels go up to {highest}; 1 to 254 are possible.", "Are these instances? Choose that target."
        )
    classes = tuple(f"class {n}" for n in range(1, highest + 1)) if options.target == "semantic" else ()
    n_in = max(channels)
    n_out = get_target(options.target).n_outputs(dim, len(classes))
    net, config = preset(options.net, dims=dim, in_channels=n_in, out_channels=n_out)
    return ModelSpec(
        name=name,
        title=f"{options.target} in {dim}D",
        description="Trained from scratch.",
        net=net,
        net_config=config.to_dict(),
        target=options.target,
        classes=classes,
        dims=dim,
        channels=n_in,
        colour="repeat" if True in colours else ("luminance" if n_in == 1 else "exact"),
        voxel_size=_common_voxel_size(samples),
        object_size=_object_size(samples) if options.target == "instances" else None,
        normalisation=asdict(Normalisation("zscore" if _is_mri(samples) else "percentile")),
        decode=DecodeSettings(min_size=10 if options.target == "instances" else 0).to_dict(),
        seed=options.seed,
        data={sample.name: sample.digest() for sample in samples},
    )


def _common_voxel_size(samples: Sequence[Sample]) -> tuple[float, ...] | None:
    """Give the median voxel size; None where any is unknown."""
    sizes = [sample.image.voxel_size for sample in samples]
    if any(size is None for size in sizes):
        return None
    return tuple(float(v) for v in np.median(np.asarray(sizes, dtype=float), axis=0))


def _object_size(samples: Sequence[Sample]) -> float | None:
    found = [object_diameter(s.labels, sampling_of(s.image.voxel_size, s.image.dims)) for s in samples]
    known = [size for size in found if size is not None]
    return float(np.median(known)) if known else None


def _is_mri(samples: Sequence[Sample]) -> bool:
    """Guess MRI from the file format: NIfTI is what scanners' images are kept in."""
    return all(".nii" in sample.image.source for sample in samples)


def train_new(
    samples: Sequence[Sample],
    options: TrainOptions,
    name: str,
    report: Report = silent,
    stop: Stop = never,
    checkpoint: Path | None = None,
    *,
    start: Model | None = None,
) -> tuple[Model, TrainResult]:
    """Train a new model on samples.

    Parameters
    ----------
    samples : sequence of Sample
        At least one.
    options : TrainOptions
        What the user fixed.
    name : str
        Of the model.
    report, stop, checkpoint
        As in ``train``.

    Returns
    -------
    Model
        With tuned thresholds.
    TrainResult
        History, and the score on the held-out tenth where there is one.

    Raises
    ------
    UserError
        When the samples cannot be trained on.
    """
    if not samples:
        raise UserError("There is nothing to learn from.", "Give at least one image with labels.")
    spec = describe_data(samples, options, name)
    held = list(samples[::10]) if len(samples) >= ENOUGH_TO_VALIDATE else []
    teachers = [sample for sample in samples if not any(sample is other for other in held)]
    prepared = [prepare(sample, spec) for sample in teachers]
    start = initial_model(spec, options.seed)
    recipe = scratch_recipe(options, start.net_config, prepared, augment_for(start))
    rate = (lambda model: score(model, held)) if held else None
    result = train(
        start, prepared, recipe, rate=rate, report=within(report, 0.0, 0.98), stop=stop, checkpoint=checkpoint
    )
    model = tune(result.model, (held or teachers)[:TUNE_ON], within(report, 0.98, 1.0))
    facts = {
        "steps": result.steps,
        "learning_rate": recipe.learning_rate,
        "batch": recipe.batch,
        "patch": list(recipe.patch),
    }
    scores = {} if result.score is None else {"held-out": float(result.score)}
    return Model(replace(model.spec, training=facts, scores=scores), model.weights), result
