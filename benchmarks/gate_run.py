"""One run of the gate's benchmark: correct a region, rightly or wrongly, fine-tune as the dock does, and score."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.few_cells_data import DOMAINS, load
from benchmarks.gate_data import choose, draw
from benchmarks.loop import score
from benchmarks.measure import environment
from benchmarks.simulate import snapshot_of
from napari_unet.app import commands
from napari_unet.app.preflight import review
from napari_unet.core.base.folders import HOME
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.store.models import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.store.training_set import Sample

BASE = "base"
"""Name of the starting model in the library of a run."""


@dataclass(frozen=True)
class Job:
    """One run to make.

    Parameters
    ----------
    domain : str
        The kind of image.
    seed : int
        Of the images and regions, and of the training.
    start : {"base", "taught"}
        The model in use: one that does not know this kind of image, or one that was taught rightly before.
    kind : str
        A key of `gate_data.KINDS`.
    """

    domain: str
    seed: int
    start: str
    kind: str


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Parameters
    ----------
    job : Job
        What was run.
    n_cells : int
        Corrected.
    before, after : float, 0..1
        AP at 0.5 of the model in use and of the new one, on images that nothing was learned from; `after` is NaN where
        nothing was trained.
    accepted : bool
        The new one took its place.
    held_before, held_after, low, high : float
        What the program itself found on held-out corrections, and the interval of the difference.
    reason : str
        Why it was refused.
    warnings : tuple of str
        What was said before the start.
    cpu : float, s
        Of the fine-tuning.
    """

    job: Job
    n_cells: int
    before: float
    after: float
    accepted: bool
    held_before: float
    held_after: float
    low: float
    high: float
    reason: str
    warnings: tuple[str, ...]
    cpu: float


def run_job(job: Job, data: Path, start: Path, homes: Path, steps: int, before: float | None) -> Run:
    """Make one run in a library of its own; `homes` holds those of the runs that were taught rightly."""
    samples = load(data, DOMAINS[job.domain], "train")
    home = homes / "-".join((job.domain, str(job.seed), job.start, job.kind))
    shutil.rmtree(home, ignore_errors=True)
    if job.start == "taught":
        shutil.copytree(taught_home(homes, job), home)
    else:
        shutil.copytree(start, home / "models" / BASE)
    with environment({HOME: str(home)}):
        model = _in_use(home)
        # Another image than the one that it was taught with.
        first, second = (np.random.default_rng([job.seed, number]) for number in (0, 1))
        others, box = choose(samples, first)
        if job.start == "taught":
            samples = [one for one in samples if one.name != others.name]
            others, box = choose(samples, second)
        rng = np.random.default_rng([job.seed, 2])
        predicted = segment(load_model(model), others.image).labels
        correction = draw(predicted, others.labels, box, job.kind, rng)
        snapshot = snapshot_of(others.image, predicted, correction)
        unseen = load(data, DOMAINS[job.domain], "val")
        if before is None:
            before = score(load_model(model), unseen)
        return _learn(job, model, snapshot, correction.n_cells, before, steps, unseen)


def _learn(
    job: Job, model: Path, snapshot: Snapshot, n_cells: int, before: float, steps: int, unseen: Sequence[Sample]
) -> Run:
    problems = review((snapshot,), lambda _: None, lambda: False).problems
    warnings = tuple(one.text for one in problems)
    if job.kind == "shifted":
        nan = float("nan")
        return Run(job, n_cells, before, nan, False, nan, nan, nan, nan, "", warnings, 0.0)
    options = TrainOptions(budget=f"{steps}steps", seed=job.seed)
    request = commands.FineTuneRequest(model, (snapshot,), options=options, keep_worse=True)
    started = time.process_time()
    found = commands.fine_tune(request, lambda _: None, lambda: False)
    cpu = time.process_time() - started
    assert found.folder is not None
    after = score(load_model(found.folder), unseen)
    return Run(
        job,
        n_cells,
        before,
        after,
        found.accepted,
        found.before,
        found.after,
        *found.interval,
        found.reason,
        warnings,
        cpu,
    )


def taught_home(homes: Path, job: Job) -> Path:
    """Give the library in which the model was taught rightly."""
    return homes / "-".join((job.domain, str(job.seed), "base", "right"))


def _in_use(home: Path) -> Path:
    """Find the model that was taught, or else the one that it started from."""
    return max((home / "models").iterdir(), key=lambda folder: len(folder.name))
