"""Train a network on patches; it can be stopped at every step and always leaves a usable model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.pipeline.checkpoint import load_checkpoint, save_checkpoint
from napari_unet.core.pipeline.history import Rate, Row, Stop, TrainResult
from napari_unet.core.pipeline.run import Run

if TYPE_CHECKING:
    from napari_unet.core.pipeline.prepare import Prepared
    from napari_unet.core.pipeline.recipe import Recipe
    from napari_unet.core.store.models import Model

__all__ = ["Rate", "Row", "Stop", "TrainResult", "never", "train"]

CHECKPOINT_SECONDS = 30.0

PUBLISH_SECONDS = 3.0

PUBLISH_SHARE = 3.0
"""Of the time that a publication took, the next comes so much later at least: a quarter of the time for it, at most."""

FIRST_PUBLISHED = 5
"""Steps after which a training that publishes does so for the first time."""

Refresh = Callable[[], "Sequence[Prepared] | None"]
Publish = Callable[["Model"], None]


def never() -> bool:
    """Never ask a training to stop."""
    return False


def train(
    model: Model,
    samples: Sequence[Prepared],
    recipe: Recipe,
    *,
    rate: Rate | None = None,
    watch: Rate | None = None,
    report: Report = silent,
    stop: Stop = never,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    refresh: Refresh | None = None,
    publish: Publish | None = None,
    publish_seconds: float = PUBLISH_SECONDS,
) -> TrainResult:
    """Train a model.

    Parameters
    ----------
    model : Model
        Where it starts; not changed.
    samples : sequence of Prepared
        What it learns from.
    recipe : Recipe
        How it learns.
    rate : function of a Model, or None
        Scores a model on what it does not learn from, higher is better; with it, training stops early and the best
        is kept.
    watch : function of a Model, or None
        Scores a model for the plot only: nothing is chosen by it, so that it can judge the result later.
    report : Report
        Called after every step with a `Row`; may raise `Cancelled`.
    stop : function
        Asked after every step; True ends the training, the result is kept.
    checkpoint : Path or None
        Folder of the checkpoints; a training that finds one there goes on from it.
    checkpoint_seconds : float
        Between two checkpoints; with 0 there is one after every step.
    refresh : function, or None
        Asked between steps: gives samples to learn from instead of those before, or None where nothing is new. Such a
        training does not go on to the same result after a checkpoint: nobody knows what came when.
    publish : function of a Model, or None
        Sees the running mean between steps: after `FIRST_PUBLISHED` of them, then every `publish_seconds`.
    publish_seconds : float
        From the end of one publication to the next; longer where publishing takes long, see `PUBLISH_SHARE`.

    Returns
    -------
    TrainResult

    Raises
    ------
    UserError
        When nothing is annotated, or the loss stays not a number.

    Notes
    -----
    Of several processes (see ``distributed``) each calls this with the same arguments and gets the same result. The
    first one validates, writes the checkpoints, and decides when all of them end.
    """
    with _dice(recipe.seed):
        run = Run(model, samples, recipe, rate, watch)
        if checkpoint is not None:
            run.state.origin = _origin(model, samples, recipe)
            load_checkpoint(run.state, checkpoint)
        run.look()
        saved = time.monotonic()
        exchange = _Exchange(run, refresh, publish, publish_seconds)
        try:
            while not run.is_finished():
                row = run.step()
                run.look()
                report(Progress(run.fraction, 1.0, f"training, step {row.step}", row))
                run.look(stop())
                if checkpoint is not None and time.monotonic() - saved >= checkpoint_seconds:
                    run.keep_time()
                    save_checkpoint(run.state, checkpoint)
                    saved = time.monotonic()
                if not run.stopped:
                    exchange()
        finally:
            # Also when cancelled or failed: what was learned so far can be gone on with.
            if checkpoint is not None and run.state.step:
                run.keep_time()
                save_checkpoint(run.state, checkpoint)
        return run.result()


class _Exchange:
    """What a training and the world say to each other between two steps."""

    def __init__(self, run: Run, refresh: Refresh | None, publish: Publish | None, seconds: float) -> None:
        self._run, self._refresh, self._publish, self._seconds = run, refresh, publish, seconds
        self._due = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if self._publish is not None and self._run.state.step >= FIRST_PUBLISHED and now >= self._due:
            self._publish(self._run.learnt())
            ended = time.monotonic()
            self._due = ended + max(self._seconds, PUBLISH_SHARE * (ended - now))
        samples = None if self._refresh is None else self._refresh()
        if samples is not None:
            self._run.learn_from(samples)


@contextmanager
def _dice(seed: int) -> Iterator[None]:
    """Let dropout, which knows only torch's global generator, depend on the seed; the generator is put back after."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def _origin(model: Model, samples: Sequence[Prepared], recipe: Recipe) -> str:
    """Give a digest of what is trained on what, whatever the budget: it may grow when a training goes on."""
    digest = hashlib.sha256(repr(replace(recipe, steps=None, seconds=None)).encode())
    tensors = [*model.weights.values(), *(part for sample in samples for part in (sample.image, sample.target))]
    for tensor in tensors:
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
