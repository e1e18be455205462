"""Pre-training on images without labels: what it gives where five images are annotated.

A run is one set, one way to start and one seed; the seed also chooses which five images are annotated. All runs of a
set take equally many steps on them. A run that has ended is one line of `results/pretraining.jsonl` and is not made
again; a pre-training that was interrupted goes on from its checkpoint.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.architectures_run import score
from benchmarks.measure import PASSIVE, environment, say
from benchmarks.record import RESULTS, Figure, Result, Settings, Unavailable
from benchmarks.runs import keep_run, runs_in
from napari_unet.core.base.options import TrainOptions
from recipes.nuclei_2d import read_types

if TYPE_CHECKING:
    from napari_unet.core.store.models import Model
    from napari_unet.core.store.training_set import Sample

RUNS = RESULTS / "pretraining.jsonl"
SEEDS = (0, 1, 2)
ANNOTATED = 5
QUICK_STEPS, QUICK_IMAGES, QUICK_JUDGES = 2, 12, 2

RANDOM, PRETRAINED = "random weights", "pre-trained"
STARTS = (RANDOM, PRETRAINED)


@dataclass(frozen=True)
class Task:
    """A set of images.

    Parameters
    ----------
    folder, target : str
        Name of the set, and what it is segmented into.
    kind : str
        Type of the images that are used, where the set has several.
    patch : int or None, voxels
        Of both trainings; None is as usual.
    before, steps : int
        Steps of the pre-training, and of the training on the annotated images.
    score : str
        What is scored on `val`, in words.
    """

    folder: str
    target: str
    kind: str
    patch: int | None
    before: int
    steps: int
    score: str


TASKS = {
    "nuclei, 2D instances": Task("dsb2018", "instances", "fluorescence", 128, 2000, 1000, "AP at 0.5"),
    "hippocampus, 3D classes": Task("hippocampus", "semantic", "", None, 1500, 600, "mean Dice"),
}


@dataclass(frozen=True)
class Job:
    """One run to make."""

    task: str
    start: str
    seed: int
    before: int
    steps: int


@dataclass(frozen=True)
class Run:
    """What one run gave: the score on images that nothing was learned from, and what the pre-training restored."""

    job: Job
    score: float
    restored: float | None


def run(settings: Settings) -> Result:
    """Make the runs that are missing, then the figures of all."""
    runs = {} if settings.quick else read_runs()
    wanted = [job for job in _jobs(quick=settings.quick) if (settings.data / TASKS[job.task].folder).is_dir()]
    if not wanted:
        raise Unavailable(f"there are no images in {settings.data}")
    missing = [job for job in wanted if job not in runs]
    with environment({**PASSIVE, "OMP_NUM_THREADS": "1"}):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), context, max_tasks_per_child=1) as pool:
            waiting = {
                pool.submit(run_job, job, settings.data, settings.cache, quick=settings.quick): job for job in missing
            }
            for number, done in enumerate(as_completed(waiting), start=1):
                one = done.result()
                runs[one.job] = one
                say(f"{number} of {len(missing)}: {one.job}: {one.score:.3f}")
                if not settings.quick:
                    keep_run(RUNS, one)
    found = [runs[job] for job in wanted]
    return Result(tuple(_figures(found)), {"runs": [asdict(one) for one in found]})


def _jobs(*, quick: bool) -> list[Job]:
    """List all runs: those with the pre-training first, for they take longest."""
    seeds = SEEDS[:1] if quick else SEEDS
    return [
        Job(name, start, seed, QUICK_STEPS if quick else task.before, QUICK_STEPS if quick else task.steps)
        for start in reversed(STARTS)
        for seed in seeds
        for name, task in TASKS.items()
    ]


def run_job(job: Job, data: Path, cache: Path, *, quick: bool) -> Run:
    """Train on five annotated images and score; runs in a process of its own."""
    from napari_unet.core.pipeline.scratch import train_new

    task = TASKS[job.task]
    teachers, judges = _load(data, task, quick=quick)
    chosen = np.random.default_rng(job.seed).choice(len(teachers), ANNOTATED, replace=False)
    start = _pretrained(job, teachers, cache, quick=quick) if job.start == PRETRAINED else None
    model, _ = train_new([teachers[i] for i in chosen], _options(job, job.steps), "new", start=start)
    restored = None if start is None else start.spec.scores.get("restored of held-out images")
    return Run(job, score(model, judges), restored)


def _pretrained(job: Job, samples: list[Sample], cache: Path, *, quick: bool) -> Model:
    """Pre-train on all images of the set, without their labels."""
    from napari_unet.core.pipeline.pretrain import pretrain

    name = f"pretrained-{TASKS[job.task].folder}-{job.before}-{job.seed}"
    checkpoint = None if quick else cache / name
    model, _ = pretrain([one.image for one in samples], _options(job, job.before), name, checkpoint=checkpoint)
    return model


def _options(job: Job, steps: int) -> TrainOptions:
    task = TASKS[job.task]
    return TrainOptions(target=task.target, patch=task.patch, seed=job.seed, budget=f"{steps}steps")


def _load(data: Path, task: Task, *, quick: bool) -> tuple[list[Sample], list[Sample]]:
    """Load the images to learn from and those to score, of the task's kind."""
    from napari_unet.core.store.training_set import load_samples

    limit = QUICK_IMAGES if quick else None
    parts = [load_samples(data / task.folder / part, limit=limit) for part in ("train", "val")]
    if task.kind:
        types = read_types(data / task.folder / "index.csv")
        parts = [[one for one in part if types[one.name] == task.kind] for part in parts]
    return parts[0], parts[1][: QUICK_JUDGES if quick else None]


def read_runs() -> dict[Job, Run]:
    """Read the runs that were made already."""
    return {one.job: one for one in runs_in(RUNS, Run, Job)}


def _figures(runs: Iterable[Run]) -> list[Figure]:
    """Give the mean of each way to start, and what pre-training gains with each seed."""
    table = {(one.job.task, one.job.start, one.job.seed): one.score for one in runs}
    seeds = sorted({seed for _, _, seed in table})
    figures = []
    for name, task in TASKS.items():
        if not any(key[0] == name for key in table):
            continue
        for start in STARTS:
            values = [table[name, start, seed] for seed in seeds]
            figures.append(Figure(f"{name}: {task.score} with {start}, mean of {len(seeds)} seeds", mean(values)))
        for seed in seeds:
            gain = table[name, PRETRAINED, seed] - table[name, RANDOM, seed]
            figures.append(Figure(f"{name}: gain with seed {seed}", gain))
    return figures
