"""Search for the network that suits some data: depth, width, block, loss and learning rate, within a time budget."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.core.base.catalogue import NETS
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import Budget, TrainOptions
from napari_unet.core.base.progress import Progress, Report, silent, within
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.fine_tune import augment_for
from napari_unet.core.pipeline.prepare import Prepared, prepare
from napari_unet.core.pipeline.recipe import scratch_recipe
from napari_unet.core.pipeline.scratch import TUNE_ON, describe_data
from napari_unet.core.pipeline.split import SEVERAL, split
from napari_unet.core.pipeline.study import Trial, open_study, optuna_package, seconds_of, suggest, to_trial
from napari_unet.core.pipeline.train import Stop, never, train
from napari_unet.core.pipeline.tune import tune
from napari_unet.core.store.models import Model, initial_model, load_model, save_model

if TYPE_CHECKING:
    import optuna

    from napari_unet.core.store.spec import ModelSpec
    from napari_unet.core.store.training_set import Sample

BEST = "best"
"""Name of the best model in the folder of a search."""

RUNGS = (0.25, 0.5, 0.75)
"""Shares of a trial's budget after which it is given up when it is below the median of the others."""

TRIALS = 12
"""That the budget is divided into, where the user does not say how long one takes."""

LEAST_SECONDS = 20.0
EVERY, MOST_HELD = 5, 12
"""Which images are held out, and how many at most: they are segmented after every trial."""

CHECK_EVERY = 10
MOST_FAILURES = 5
"""Trials that fail one after the other before the search gives up."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Parameters
    ----------
    trials : tuple of Trial
        All of them, those of earlier runs included.
    best : Trial
        With the highest score.
    model : Model
        That it gave, with tuned thresholds.
    folder : Path
        Where the model is.
    held_out : str
        What the scores were measured on, in words.
    """

    trials: tuple[Trial, ...]
    best: Trial
    model: Model = field(repr=False)
    folder: Path
    held_out: str


def search(
    samples: Sequence[Sample],
    options: TrainOptions,
    folder: Path,
    *,
    seconds: float,
    trial_budget: Budget | None = None,
    report: Report = silent,
    stop: Stop = never,
) -> SearchResult:
    """Try networks until the time is over.

    Parameters
    ----------
    samples : sequence of Sample
        At least as many as can be divided into some to learn from and some to judge by.
    options : TrainOptions
        Target, network, patch, batch, seed and all else that is the same in each trial.
    folder : Path
        Keeps the trials and the best model; a search that finds its trials there goes on.
    seconds : float
        For all trials together, those of earlier runs included.
    trial_budget : Budget or None
        Of one trial; None is a part of the time.
    report, stop
        As in ``train``.

    Returns
    -------
    SearchResult

    Raises
    ------
    UserError
        When optuna is missing, nothing can be held out, the folder holds another search, or every trial fails.
    """
    optuna_package()
    trial_budget = trial_budget or Budget(seconds=max(LEAST_SECONDS, seconds / TRIALS))
    run = _Search(samples, options, folder, trial_budget)
    failures = 0
    while (used := run.used()) < seconds and not stop() and failures < MOST_FAILURES:
        part = min(1.0, (used + (trial_budget.seconds or 0)) / seconds)
        done = run.try_one(within(report, used / seconds, part), stop)
        failures = 0 if done else failures + 1
    report(Progress(1, 1, "tuning the best"))
    return run.result()


class _Search:
    """A study on disk, and what all its trials share."""

    def __init__(self, samples: Sequence[Sample], options: TrainOptions, folder: Path, budget: Budget) -> None:
        self.options, self.folder, self.budget = options, folder, budget
        self.teachers, self.held, self.words = hold_out(samples, semantic=options.target == "semantic")
        net = options.net if options.net in NETS else "unet"
        self.spec = describe_data(samples, replace(options, net=net), BEST)
        self.study = open_study(folder, _origin(options, self.spec), dims=self.spec.dims, seed=options.seed)
        self.spec = replace(self.spec, data={one.name: self.spec.data[one.name] for one in self.teachers})
        self.prepared: list[Prepared] = []
        given = {"loss": None if options.loss == "auto" else options.loss, "learning_rate": options.learning_rate}
        self.fixed = {name: value for name, value in given.items() if value is not None}

    def used(self) -> float:
        """Give the seconds of all trials so far."""
        return sum(seconds_of(trial) for trial in self.study.trials)

    def try_one(self, report: Report, stop: Stop) -> bool:
        """Train one network and write down how good it is; False when it failed."""
        trial, started = self.study.ask(), time.monotonic()
        # What is cancelled or killed stays unfinished, and is tried again when the search goes on.
        try:
            model, value, is_pruned = self._train(trial, report, stop)
        except (UserError, RuntimeError, ValueError, MemoryError) as error:
            self._end(trial, started, "FAIL", None, str(error))
            return False
        if is_pruned:
            self._end(trial, started, "PRUNED", None)
            return True
        if value > max((t.value or 0.0 for t in self.study.trials if t.state.name == "COMPLETE"), default=-1.0):
            save_model(model, self.folder / BEST, overwrite=True)
        self._end(trial, started, "COMPLETE", value)
        return True

    def _end(self, trial: optuna.Trial, started: float, state: str, value: float | None, why: str = "") -> None:
        trial.set_user_attr("seconds", time.monotonic() - started)
        trial.set_user_attr("reason", why)
        self.study.tell(trial, value, state=optuna_package().trial.TrialState[state])

    def _train(self, trial: optuna.Trial, report: Report, stop: Stop) -> tuple[Model, float, bool]:
        values = suggest(trial, self.spec.dims, self.fixed)
        spec = replace(self.spec, net_config=_config(self.spec, values).to_dict())
        if not self.prepared:
            self.prepared = [prepare(one, spec, weighting=self.options.weighting) for one in self.teachers]
        first = initial_model(spec, self.options.seed)
        options = replace(self.options, loss=values["loss"], learning_rate=values["learning_rate"])
        recipe = scratch_recipe(options, first.net_config, self.prepared, augment_for(first))
        recipe = replace(recipe, steps=self.budget.steps, seconds=self.budget.seconds, check_every=CHECK_EVERY)
        ladder = _Ladder(trial, self.held, stop)
        text = f"trial {trial.number}: {in_words(values)}"

        def show(progress: Progress) -> None:
            ladder.fraction = progress.fraction
            report(Progress(progress.fraction, 1.0, text, progress.payload))

        result = train(first, self.prepared, recipe, watch=ladder.watch, report=show, stop=ladder.is_over)
        if ladder.is_pruned:
            return result.model, ladder.last, True
        facts = {**values, "steps": result.steps, "patch": list(recipe.patch), "batch": recipe.batch}
        value = score(result.model, self.held)
        spec = replace(result.model.spec, training=facts, scores={"held-out": value})
        return Model(spec, result.model.weights), value, False

    def result(self) -> SearchResult:
        """Give all trials, and the best model with tuned thresholds.

        Raises
        ------
        UserError
            When no trial ended well.
        """
        trials = tuple(to_trial(trial) for trial in self.study.trials if trial.state.is_finished())
        good = [trial for trial in trials if trial.state == "complete" and trial.score is not None]
        if not good:
            reason = trials[-1].reason if trials else "there was no time for one"
            raise UserError(f"No trial ended well: {reason}.", "Give more time, a smaller patch, or a smaller batch.")
        best = max(good, key=lambda trial: trial.score or 0.0)
        model = tune(load_model(self.folder / BEST), self.teachers[:TUNE_ON])
        save_model(model, self.folder / BEST, overwrite=True)
        return SearchResult(trials, best, model, self.folder / BEST, self.words)


class _Ladder:
    """Score a trial at each rung, and give it up where it is below the median of the others."""

    def __init__(self, trial: optuna.Trial, held: Sequence[Sample], stop: Stop) -> None:
        self.trial, self.held, self.stop = trial, held, stop
        self.fraction, self.last, self.rung = 0.0, float("nan"), 0
        self.is_pruned = False

    def watch(self, model: Model) -> float:
        """Score the model when the next rung is reached."""
        if self.rung < len(RUNGS) and self.fraction >= RUNGS[self.rung]:
            self.last = score(model, self.held)
            self.trial.report(self.last, self.rung)
            self.is_pruned = self.trial.should_prune()
            self.rung += 1
        return self.last

    def is_over(self) -> bool:
        """Tell whether the training has to end."""
        return self.is_pruned or self.stop()


def hold_out(samples: Sequence[Sample], *, semantic: bool) -> tuple[list[Sample], list[Sample], str]:
    """Divide samples into those that teach and those that judge, with the words for the latter.

    Raises
    ------
    UserError
        When there is too little.
    """
    if len(samples) >= SEVERAL:
        held = list(samples[::EVERY][:MOST_HELD])
        teachers = [sample for sample in samples if not any(sample is other for other in held)]
        return teachers, held, f"{len(held)} image{'s' * (len(held) != 1)}"
    found = split(samples, semantic=semantic)
    if not found.folds:
        raise UserError("There is too little annotated to hold anything out.", "Annotate more, or more images.")
    return list(found.folds[0].train), list(found.folds[0].held_out), found.words


def in_words(values: dict[str, Any]) -> str:
    """Write the values of a trial in one line."""
    return ", ".join(
        f"{key} {value:.2g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )


def _config(spec: ModelSpec, values: dict[str, Any]) -> NetConfig:
    config = NetConfig.from_dict(spec.net_config)
    return replace(config, depth=values["depth"], base=values["base"], block=values["block"])


def _origin(options: TrainOptions, spec: ModelSpec) -> str:
    """Give a digest of what is searched on; the budget may grow."""
    same = replace(options, budget="auto", device="auto")
    return hashlib.sha256(repr((same, sorted(spec.data.items()))).encode()).hexdigest()
