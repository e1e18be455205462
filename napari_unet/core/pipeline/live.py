"""Learn while the user corrects: without an end, from all that is known by now, and with its weights on show.

Unlike ``fine_tune`` it does not start anew with each correction. What it learned is judged when it is stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.pipeline import fine_tune as gate
from napari_unet.core.pipeline.checkpoint import load_mean
from napari_unet.core.pipeline.instant import refit
from napari_unet.core.pipeline.late import LateJudge, late_objects, late_part
from napari_unet.core.pipeline.polarity import choose_polarity
from napari_unet.core.pipeline.prepare import Prepared, planes, prepare_all
from napari_unet.core.pipeline.recipe import Recipe, choose_stage, fine_tune_recipe
from napari_unet.core.pipeline.rehearsal import can_rehearse, recall, rehearse
from napari_unet.core.pipeline.split import count_objects
from napari_unet.core.pipeline.train import Row, Stop, TrainResult, never, train
from napari_unet.core.pipeline.tune import tune
from napari_unet.core.pipeline.verdict import refusal
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from torch import Tensor

    from napari_unet.core.pipeline.compare import Comparison
    from napari_unet.core.store.training_set import Sample

ENOUGH = 10
"""Objects that came late from which on they judge; with fewer the ordinary gate does."""

LONGEST = 1_000_000
"""Steps; nobody waits for them."""

STEPS_EACH = 100
"""Steps after the last correction, where the budget names none, until the model waits for more."""

WARMUP = 10
"""Steps with a smaller learning rate."""

NEWS_SHARE = 3.0
"""Of the time that it took to take in corrections, the next wait so much longer: a quarter of the time, at most."""

LOOK_SECONDS = 0.2
"""While there is nothing to learn, Stop and Cancel are looked for so often."""


@dataclass(frozen=True)
class Published:
    """A model to look at.

    Parameters
    ----------
    model : Model
        The running mean of the weights.
    number : int
        From 1.
    n_cells : int
        Annotated objects that it has learned from.
    """

    model: Model
    number: int
    n_cells: int


@dataclass(frozen=True)
class LiveResult:
    """What came of it.

    Parameters
    ----------
    candidate : Model
        What was learned, with tuned thresholds.
    is_better : bool
        At least `ENOUGH` corrections came late, and they found it no worse than the old model. Where this is false the
        ordinary gate of ``fine_tune`` has to decide.
    n_late : int
        Objects that came late.
    comparison : Comparison
        What they say of both models.
    history : tuple of Row
        Of the training.
    """

    candidate: Model
    is_better: bool
    n_late: int
    comparison: Comparison = field(repr=False)
    history: tuple[Row, ...] = field(repr=False)


Watch = Callable[[float], "Sequence[Sample] | None"]
Publish = Callable[[Published], None]


def unseen(published: Published) -> None:
    """Show a model to nobody."""


def live(
    model: Model,
    watch: Watch,
    options: TrainOptions | None = None,
    report: Report = silent,
    stop: Stop = never,
    publish: Publish = unseen,
    checkpoint: Path | None = None,
) -> LiveResult:
    """Teach a model for as long as the user goes on correcting.

    Parameters
    ----------
    model : Model
        Where it starts; not changed.
    watch : function of seconds
        Gives all corrections as samples whose names stay, or None where nothing has changed since it was asked last;
        waits for news so long at most. Samples that have not changed are the same objects.
    options : TrainOptions or None
        None chooses everything automatically. Its budget, where it is in steps, says how long the last corrections are
        learned before the model waits for more.
    report : Report
        Called after each step with a `Row`, and while it waits; may raise `Cancelled`.
    stop : function
        True ends the learning at the next step.
    publish : function of Published
        Sees the model: at once where a few steps help, after the first steps, then every few seconds.
    checkpoint : Path or None
        Folder of the training's checkpoints; where it holds one, it begins with the weights in there.

    Returns
    -------
    LiveResult

    Raises
    ------
    UserError
        When the first corrections do not fit the model.
    Cancelled
        When it was stopped before anything had been corrected.

    Notes
    -----
    Steps are taken until the corrections that came last have been learned for as long as in a quick fine-tuning; then
    it waits for more. Each correction is scored by the model that was shown when it came, before that learns from it.
    The user chose these corrections with that model's mistakes in view, so they speak against it rather than for it:
    where `ENOUGH` of them find the new model no worse, it is.
    """
    options = options or TrainOptions()
    learning = _Learning(model, watch, options, report, stop, publish)
    learning.begin(checkpoint)
    found = train(
        learning.shown or learning.model,
        learning.prepared(),
        learning.recipe,
        report=learning.tell,
        stop=stop,
        checkpoint=checkpoint,
        refresh=learning.refresh,
        publish=learning.show,
    )
    return learning.end(found)


class _Learning:
    """What is known, shown and judged while a model learns."""

    def __init__(
        self, model: Model, watch: Watch, options: TrainOptions, report: Report, stop: Stop, publish: Publish
    ) -> None:
        self.model, self.watch, self.options = model, watch, options
        self.report, self.stop, self.publish = report, stop, publish
        stage = choose_stage(options, 0, is_blind=False, can_rehearse=can_rehearse(model))
        usual = fine_tune_recipe(options, model.net_config, gate.augment_corrections(model), stage)
        self.recipe = _endless(usual)
        self.steps_each = usual.steps or STEPS_EACH
        self.judge = LateJudge(model)
        self.semantic = model.spec.target == "semantic"
        self.samples: dict[str, Sample] = {}
        self.memories: list[Prepared] | None = None if self.recipe.rehearsal else []
        self.shown: Model | None = None
        self._prepared: dict[str, list[Prepared]] = {}
        self._news: Sequence[Sample] | None = None
        self._due = 0.0
        self._number = self._since_news = 0
        self._is_shown = False
        self._trouble = ""

    # ------------------------------------------------------------ the three phases

    def begin(self, checkpoint: Path | None) -> None:
        """Wait for the first corrections; then take what was learned another day, or a few steps towards them."""
        untouched = self.model
        while not self.samples:
            news = self._wait("waiting for your first correction")
            if news is None:
                raise Cancelled
            gate._check(self.model, news)
            self._say("looking at the corrections")
            self.model = choose_polarity(self.model, news)
            self._take(news)
        before = None if checkpoint is None else load_mean(checkpoint)
        if before is not None and _is_alike(before, self.model):
            self.show(Model(self.model.spec, before))
        else:
            samples, options = list(self.samples.values()), self.options
            fitted = refit(self.model, samples, seed=options.seed, device=options.device)
            if fitted is not None or self.model is not untouched:
                self.show(fitted or self.model)

    def refresh(self) -> list[Prepared] | None:
        """Give what is to be learned from, if anything is new; wait for news where all has been learned.

        Where corrections come one after the other, and much has to be prepared and scored for each, several are taken
        in together.
        """
        self._since_news += 1
        if self.memories is None and self._is_shown:  # not before: the user wants to see something first
            self._say("recalling what the model knows")
            self.memories = recall(self.model, device=self.options.device)
            return self.prepared()
        if self._news is None and self._since_news >= self.steps_each and self._is_shown:
            self._news = self._wait("all is learnt; waiting for more corrections")
        else:
            self._news = self.watch(0.0) or self._news
            if time.monotonic() < self._due:
                return None
        return self.prepared() if self._take_in() else None

    def end(self, found: TrainResult) -> LiveResult:
        """Judge what was learned."""
        self._take_in()
        samples, verdict, n_late = list(self.samples.values()), self.judge.verdict(), self.judge.n_objects
        is_better = n_late >= ENOUGH and not refusal(verdict, n_late, semantic=self.semantic)
        candidate = tune(found.model, samples, self.report) if is_better else found.model
        scores = verdict.before, verdict.after
        candidate = gate._described(candidate, self.model, samples, self.recipe, found, *scores)
        return LiveResult(candidate, is_better, n_late, verdict, found.history)

    # ------------------------------------------------------------ what is known

    def _take_in(self) -> bool:
        """Score what is new by the model that is shown, and learn from it from now on; tells whether there was any."""
        news, self._news = self._news, None
        if not news:
            return False
        began = time.monotonic()
        try:
            gate._check(self.model, news)
        except UserError as error:  # what was learned so far must not be lost for it
            self._trouble = error.message
            return False
        self._trouble, self._since_news = "", 0
        late = self._take(news)
        if late and self.shown is not None:
            self._say("scoring the new corrections")
            self.judge.see(late, self.shown)
        ended = time.monotonic()
        self._due = ended + NEWS_SHARE * (ended - began)
        return True

    def _take(self, news: Sequence[Sample]) -> list[Sample]:
        """Prepare what has changed; gives what came late."""
        known, self.samples = self.samples, {sample.name: sample for sample in news}
        prepared, all_late = self._prepared, []
        self._prepared = {}
        for name, sample in self.samples.items():
            before = known.get(name)
            if before is sample:
                self._prepared[name] = prepared[name]
                continue
            late = late_part(sample, before, semantic=self.semantic) if known else None
            if late is not None:
                all_late.append(late)
            self._prepared[name] = self._prepare(sample, late)
        return all_late

    def _prepare(self, sample: Sample, late: Sample | None) -> list[Prepared]:
        """Prepare a sample; patches around what came late are drawn twice as often."""
        spec = self.model.spec
        made = prepare_all([sample], spec, weighting=self.options.weighting)
        ids = late_objects(sample, late)
        if not len(ids) or self.semantic:
            return made
        parts = [sample] if sample.image.dims == spec.dims else list(planes(sample))
        return [_twice(one, part, ids) for one, part in zip(made, parts, strict=True)]

    def prepared(self) -> list[Prepared]:
        """Give all that there is to learn from, and what is rehearsed beside it."""
        learned = [one for parts in self._prepared.values() for one in parts if len(one.known)]
        return rehearse(learned, self.memories or (), self.recipe.rehearsal)

    # ------------------------------------------------------------ what is said

    def show(self, model: Model) -> None:
        """Publish a model."""
        self._number += 1
        self.shown, self._is_shown = model, True
        n_cells = sum(count_objects(sample) for sample in self.samples.values())
        self.publish(Published(model, self._number, n_cells))

    def tell(self, progress: Progress) -> None:
        """Report a step; how much there is still to come nobody knows."""
        self._is_shown = False
        words = "learning from your corrections" if not self._trouble else f"not learnt: {self._trouble}"
        self.report(Progress(0, 0, words, progress.payload))

    def _say(self, words: str) -> None:
        self.report(Progress(0, 0, words))

    def _wait(self, words: str) -> Sequence[Sample] | None:
        """Wait for news; None where the user stops it."""
        while not self.stop():
            self._say(words)
            news = self.watch(LOOK_SECONDS)
            if news:
                return news
        return None


def _is_alike(weights: Mapping[str, Tensor], model: Model) -> bool:
    """Tell whether weights fit a model's network."""
    shapes = {name: value.shape for name, value in model.weights.items()}
    return shapes == {name: value.shape for name, value in weights.items()}


def _endless(recipe: Recipe) -> Recipe:
    """Learn without an end, after a short warm-up always alike; so far from the old weights that none may stay."""
    return replace(
        recipe, steps=LONGEST, seconds=None, warmup=WARMUP / LONGEST, decay_from=1.0, schedule="linear", keep=0.0
    )


def _twice(prepared: Prepared, sample: Sample, ids: NDArray[Any]) -> Prepared:
    """Count the middles of some objects twice; they stand in the order of the objects' numbers."""
    known = sample.labels if sample.annotated is None else sample.labels[sample.annotated > 0]
    numbers = np.unique(known[known > 0])
    if len(numbers) != len(prepared.centres):  # some were too small for the scale of the network
        return prepared
    again = prepared.centres[np.isin(numbers, ids)]
    return replace(prepared, centres=np.concatenate((prepared.centres, again)))
