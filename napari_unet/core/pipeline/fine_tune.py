"""Fine-tune on corrections; the new model replaces the old one only if it scores no worse on held-out ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import Report, silent, within
from napari_unet.core.pipeline.compare import UNCOMPARED, Comparison, Judged, compare, judge, net_gain
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.polarity import choose_polarity
from napari_unet.core.pipeline.prepare import prepare_all
from napari_unet.core.pipeline.recipe import Augment, Recipe, choose_stage, fine_tune_recipe
from napari_unet.core.pipeline.rehearsal import can_rehearse, recall, rehearse
from napari_unet.core.pipeline.split import Split, count_objects, split
from napari_unet.core.pipeline.train import Rate, Row, Stop, TrainResult, never, train
from napari_unet.core.pipeline.tune import tune
from napari_unet.core.pipeline.verdict import BLIND, refusal
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.pipeline.prepare import Prepared
    from napari_unet.core.store.training_set import Sample


FEWEST_NEW = 10
"""Objects annotated since the model in use was trained; with fewer it is judged on all."""

SHARE_NEW = 0.1
"""The same for classes, as a share of the annotated voxels."""


@dataclass(frozen=True)
class FineTuneResult:
    """What fine-tuning found.

    Parameters
    ----------
    model : Model
        The one to go on with: the candidate if it was accepted, else the old one.
    candidate : Model
        Trained on all corrections.
    accepted : bool
        Nothing speaks against it, see `verdict.refusal`.
    before, after : float, 0..1
        Scores of the old and the new model on what the new one did not learn from; NaN where nothing was held out.
    n_held_out : int
        Objects that were held out, all folds together.
    held_out : str
        In words: images, regions, or two folds of cells by place.
    history : tuple of Row
        Of the last training.
    stopped : bool
        The user stopped it.
    comparison : Comparison
        The same scores with their interval, and what both models made of the held-out samples.
    reason : str
        Why the candidate was refused; empty where it was accepted.
    """

    model: Model
    candidate: Model
    accepted: bool
    before: float
    after: float
    n_held_out: int
    held_out: str
    history: tuple[Row, ...] = field(repr=False)
    stopped: bool
    comparison: Comparison = field(default=UNCOMPARED, repr=False)
    reason: str = ""


def fine_tune(
    model: Model,
    samples: Sequence[Sample],
    options: TrainOptions | None = None,
    report: Report = silent,
    stop: Stop = never,
    checkpoint: Path | None = None,
    *,
    rival: Model | None = None,
    fresh: Sequence[Sample] | None = None,
) -> FineTuneResult:
    """Teach a model from corrections.

    Parameters
    ----------
    model : Model
        The base; training always starts from it, on all corrections so far.
    samples : sequence of Sample
        The corrections.
    options : TrainOptions or None
        None chooses everything automatically.
    report : Report
        Called after each step with a `Row`; may raise `Cancelled`.
    stop : function
        True ends the training at the next step; what was learned is kept and still judged.
    checkpoint : Path or None
        Folder of the last training's checkpoints.
    rival : Model or None
        The model in use, which the new one has to be as good as; None is the base.
    fresh : sequence of Sample or None
        What of the samples, under the same names, the rival has not learnt from: only that can judge it. None is all.

    Returns
    -------
    FineTuneResult

    Raises
    ------
    UserError
        When nothing teaches.

    Notes
    -----
    The held-out part is first learned without and judged; the model that is kept is then trained on all.
    """
    options = options or TrainOptions()
    _check(model, samples)
    rival = rival or model
    model = choose_polarity(model, samples)
    chosen = _hold_out(samples, fresh, semantic=model.spec.target == "semantic")
    recipe = _recipe(model, samples, options)
    n_runs = len(chosen.folds) + 1
    if recipe.seconds is not None:
        recipe = replace(recipe, seconds=recipe.seconds / n_runs)
    parts = [within(report, 0.98 * index / n_runs, 0.98 * (index + 1) / n_runs) for index in range(n_runs)]
    memories = _memories(model, recipe)
    learn = partial(_learn, model, recipe=recipe, weighting=options.weighting, memories=memories, stop=stop)
    found, cut_short = _judge(rival, chosen, learn, parts)
    # Stopped while it was judged: what that fold has learned is what there is to keep.
    result = cut_short or learn(samples, report=parts[-1], checkpoint=checkpoint)
    candidate = tune(result.model, samples, within(report, 0.98, 1.0))
    candidate = _described(candidate, model, samples, recipe, result, found.before, found.after)
    semantic = model.spec.target == "semantic"
    gain = None if chosen.fresh is None else net_gain(found.parts, chosen.fresh)
    reason = refusal(found, chosen.n_held_out, new_gain=gain, semantic=semantic)
    words = chosen.words
    if not reason and found.after < found.before:
        words += "; of what that had not learnt, the new one finds more"
    return FineTuneResult(
        rival if reason else candidate,
        candidate,
        not reason,
        found.before,
        found.after,
        chosen.n_held_out,
        words,
        result.history,
        result.stopped,
        found,
        reason,
    )


def _hold_out(samples: Sequence[Sample], fresh: Sequence[Sample] | None, *, semantic: bool) -> Split:
    """Hold out what the rival does not know either, where there is enough of it."""
    if fresh is None:
        return split(samples, semantic=semantic)
    if _is_enough(samples, fresh, semantic=semantic):
        chosen = split(fresh, semantic=semantic)
        folds = tuple(replace(fold, train=_without(samples, fold.held_out)) for fold in chosen.folds)
        if folds and all(fold.train for fold in folds):
            return replace(chosen, folds=folds, words=f"{chosen.words}, new since the old model")
    chosen = split(samples, semantic=semantic)
    if not chosen.folds:
        return chosen
    words = f"{chosen.words}, of which the old model had learnt a part"
    return replace(chosen, words=words, fresh=tuple(fresh))


def _is_enough(samples: Sequence[Sample], fresh: Sequence[Sample], *, semantic: bool) -> bool:
    """Tell whether what is new can judge alone: so many objects, or of classes such a share of the voxels."""
    if not semantic:
        return sum(count_objects(sample) for sample in fresh) >= FEWEST_NEW
    new, known = (sum(_n_known(one) for one in some) for some in (fresh, samples))
    return new >= SHARE_NEW * known > 0


def _n_known(sample: Sample) -> int:
    return sample.labels.size if sample.annotated is None else int(np.count_nonzero(sample.annotated))


def _without(samples: Sequence[Sample], held: Sequence[Sample]) -> tuple[Sample, ...]:
    """Forget what is held out; samples of which nothing is left go."""
    masks = {sample.name: sample.annotated for sample in held}
    left = []
    for sample in samples:
        if sample.name in masks:
            mask = masks[sample.name]
            known = np.ones(sample.labels.shape, np.uint8) if sample.annotated is None else sample.annotated
            sample = replace(sample, annotated=np.where(True if mask is None else mask > 0, 0, known).astype(np.uint8))
        if sample.annotated is None or sample.annotated.any():
            left.append(sample)
    return tuple(left)


def adapt(
    model: Model,
    samples: Sequence[Sample],
    options: TrainOptions,
    stage: str = "auto",
    report: Report = silent,
    stop: Stop = never,
) -> Model:
    """Teach a model by one stage and tune its thresholds, without judging it.

    Parameters
    ----------
    model, samples, options, report, stop
        As for `fine_tune`.
    stage : {"auto", "quick", "full"}
        See ``recipe.choose_stage``.
    """
    model = choose_polarity(model, samples)
    recipe = _recipe(model, samples, options, stage)
    learn = partial(_learn, model, recipe=recipe, weighting=options.weighting, memories=_memories(model, recipe))
    return tune(learn(samples, report=report, stop=stop).model, samples)


def _memories(model: Model, recipe: Recipe) -> list[Prepared]:
    return recall(model, device=recipe.device) if recipe.rehearsal else []


def _recipe(model: Model, samples: Sequence[Sample], options: TrainOptions, stage: str = "auto") -> Recipe:
    n_cells = sum(count_objects(sample) for sample in samples)
    if stage == "auto":
        blind = score(model, samples) < BLIND
        stage = choose_stage(options, n_cells, is_blind=blind, can_rehearse=can_rehearse(model))
    return fine_tune_recipe(options, model.net_config, augment_corrections(model), stage)


def _check(model: Model, samples: Sequence[Sample]) -> None:
    if not samples or not any(s.annotated is None or s.annotated.any() for s in samples):
        raise UserError(
            "There is nothing to learn from: nothing is annotated.", "Accept or correct some objects first."
        )
    n_classes = len(model.spec.classes)
    highest = max(int(sample.labels.max(initial=0)) for sample in samples)
    if model.spec.target == "semantic" and highest > n_classes:
        raise UserError(
            f"The labels go up to {highest}; the model '{model.spec.name}' knows {n_classes} classes.",
            "Use its classes, or train a new model from scratch.",
        )
    if any(sample.image.dims < model.spec.dims for sample in samples):
        raise UserError(
            f"The model '{model.spec.name}' is for 3D stacks, some corrections are 2D.",
            "Correct stacks, or choose a 2D model.",
        )


def augment_corrections(model: Model) -> Augment:
    """Choose the augmentation of corrections: as for a new model, but cells of other images may be of any size."""
    chosen = augment_for(model)
    return "few-cells" if chosen == "microscopy" else chosen


def augment_for(model: Model) -> Augment:
    """Choose the augmentation of a new model: z-scored images are MRI, which has an up and a down."""
    return "mri" if model.spec.normalisation.get("kind") == "zscore" else "microscopy"


def _judge(
    rival: Model, chosen: Split, learn: Callable[..., TrainResult], parts: Sequence[Report]
) -> tuple[Comparison, TrainResult | None]:
    """Compare the old model with models that learned without the held-out part, all folds pooled.

    Returns
    -------
    comparison : Comparison
        Of NaN where nothing is held out.
    cut_short : TrainResult or None
        The training during which the user stopped.
    """
    judged: list[Judged] = []
    cut_short = None
    for fold, report in zip(chosen.folds, parts, strict=False):
        learning = within(report, 0.0, 0.9)
        learner = learn(fold.train, report=learning, watch=partial(score, samples=fold.held_out))
        candidate = tune(learner.model, fold.train, within(report, 0.9, 1.0))
        judged += judge(rival, candidate, fold.held_out)
        if learner.stopped:
            cut_short = learner
            break
    return compare(judged, semantic=rival.spec.target == "semantic"), cut_short


def _learn(
    model: Model,
    samples: Sequence[Sample],
    *,
    recipe: Recipe,
    weighting: str,
    memories: Sequence[Prepared],
    report: Report,
    stop: Stop,
    checkpoint: Path | None = None,
    watch: Rate | None = None,
) -> TrainResult:
    prepared = prepare_all(samples, model.spec, weighting=weighting, also_small=True)
    prepared = rehearse(prepared, memories, recipe.rehearsal)
    return train(model, prepared, recipe, watch=watch, report=report, stop=stop, checkpoint=checkpoint)


def _described(
    candidate: Model,
    parent: Model,
    samples: Sequence[Sample],
    recipe: Recipe,
    result: TrainResult,
    before: float,
    after: float,
) -> Model:
    """Write down where the new model comes from."""
    scores = {"held-out, parent": before, "held-out, this model": after}
    spec = replace(
        candidate.spec,
        parent=parent.spec.name,
        seed=recipe.seed,
        data={**parent.spec.data, **{sample.name: sample.digest() for sample in samples}},
        scores={} if np.isnan(after) else scores,
        training={
            "steps": result.steps,
            "learned": recipe.trainable,
            "learning_rate": recipe.learning_rate,
            "cells": sum(count_objects(sample) for sample in samples),
        },
        description=f"Fine-tuned from '{parent.spec.name}'. {parent.spec.description}",
    )
    return Model(spec, candidate.weights)
