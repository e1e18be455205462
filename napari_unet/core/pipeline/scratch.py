"""Train a new model: network, patch and normalisation follow from the data, or network and weights from a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.normalise import Normalisation
from napari_unet.core.base.progress import Report, silent, within
from napari_unet.core.nets import preset
from napari_unet.core.pipeline.distributed import from_first
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.fine_tune import augment_for
from napari_unet.core.pipeline.fingerprint import look_at
from napari_unet.core.pipeline.plan import Plan, make_plan
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.recipe import scratch_recipe
from napari_unet.core.pipeline.start import follow, take_weights
from napari_unet.core.pipeline.train import Stop, TrainResult, never, train
from napari_unet.core.pipeline.tune import tune
from napari_unet.core.store.models import Model, initial_model
from napari_unet.core.store.spec import ModelSpec
from napari_unet.core.targets import DecodeSettings, get_target

if TYPE_CHECKING:
    from napari_unet.core.base.options import TrainOptions
    from napari_unet.core.nets.config import NetConfig
    from napari_unet.core.pipeline.fingerprint import Fingerprint
    from napari_unet.core.store.training_set import Sample

ENOUGH_TO_VALIDATE = 30
"""Images from which on a tenth is held out for early stopping; with fewer every one is worth more as a teacher."""

TUNE_ON = 12
"""Samples that the thresholds are tuned on."""


def describe_data(
    samples: Sequence[Sample],
    options: TrainOptions,
    name: str,
    *,
    plan: Plan | None = None,
    start: Model | None = None,
) -> ModelSpec:
    """Derive a model's description from the data it will be trained on.

    Parameters
    ----------
    samples : sequence of Sample
        All of one number of dimensions and channels.
    options : TrainOptions
        Preset or network, norm, target and, if given, dimensions.
    name : str
        Of the model.
    plan : Plan or None
        Derived from the same samples; its network and voxel size are taken.
    start : Model or None
        Whose weights the training starts from: its network is taken where the user asked for no other, and its
        normalisation, which its weights know.

    Raises
    ------
    UserError
        When the samples differ in kind, or the options do not fit them.
    """
    facts = look_at(samples, options.dims)
    if options.target == "semantic" and not 1 <= facts.highest <= 254:
        raise UserError(
            f"The class labels go up to {facts.highest}; 1 to 254 are possible.",
            "Are these instances? Choose that target.",
        )
    classes = tuple(f"class {n}" for n in range(1, facts.highest + 1)) if options.target == "semantic" else ()
    n_out = get_target(options.target).n_outputs(facts.dims, len(classes))
    net, config = (plan.net, plan.config) if plan else choose_net(facts, options, n_out, start)
    normalisation = asdict(Normalisation("zscore" if facts.is_scanner else "percentile"))
    return ModelSpec(
        name=name,
        title=f"{options.target} in {facts.dims}D",
        description="Trained from scratch.",
        net=net,
        net_config=config.to_dict(),
        target=options.target,
        classes=classes,
        dims=facts.dims,
        channels=facts.channels,
        colour=facts.colour,
        voxel_size=plan.voxel_size if plan else facts.voxel_size,
        object_size=facts.object_size if options.target == "instances" else None,
        normalisation=start.spec.normalisation if start else normalisation,
        decode=DecodeSettings(min_size=10 if options.target == "instances" else 0).to_dict(),
        seed=options.seed,
        data={sample.name: sample.digest() for sample in samples},
    )


def choose_net(
    facts: Fingerprint, options: TrainOptions, n_out: int, start: Model | None = None
) -> tuple[str, NetConfig]:
    """Give the network that the user chose, or that of the model to start from where nothing was chosen.

    Parameters
    ----------
    facts : Fingerprint
        Of the data.
    options : TrainOptions
        Preset or network, norm and deep supervision.
    n_out : int
        Channels of the network's output.
    start : Model or None
        Whose weights the training starts from.

    Raises
    ------
    UserError
        When the preset is not made for the data's dimensions.
    """
    if start is not None and options.net == type(options)().net:
        net, config = follow(start, dims=facts.dims, in_channels=facts.channels, out_channels=n_out)
    else:
        net, config = preset(options.net, dims=facts.dims, in_channels=facts.channels, out_channels=n_out)
    if options.norm != "auto":
        config = replace(config, norm=options.norm)
    return net, replace(config, deep_supervision=options.deep_supervision == "on")


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
    start : Model or None
        Whose weights are taken where they fit; with a new head where it segments something else.

    Returns
    -------
    Model
        With tuned thresholds.
    TrainResult
        History, and the score on the held-out tenth where there is one.

    Raises
    ------
    UserError
        When the samples cannot be trained on, or no weights can be taken from `start`.
    """
    # Several processes may find different amounts of free memory, but have to train the same network.
    plan = from_first(lambda: make_plan(samples, options)) if options.net == "plan" else None
    spec = describe_data(samples, options, name, plan=plan, start=start)
    held = list(samples[::10]) if len(samples) >= ENOUGH_TO_VALIDATE else []
    teachers = [sample for sample in samples if not any(sample is other for other in held)]
    prepared = [prepare(sample, spec, weighting=options.weighting) for sample in teachers]
    first = initial_model(spec, options.seed)
    if start is not None:
        first = take_weights(first, start)
    recipe = scratch_recipe(options, first.net_config, prepared, augment_for(first))
    if plan is not None:
        recipe = replace(recipe, patch=plan.patch, batch=plan.batch)
    rate = (lambda model: score(model, held)) if held else None
    result = train(
        first, prepared, recipe, rate=rate, report=within(report, 0.0, 0.98), stop=stop, checkpoint=checkpoint
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
