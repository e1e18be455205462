"""Some annotated slices of a stack against all of them: how much of the work can be left out.

Hippocampus: slices along each axis of three volumes, from which a 3D network is trained from scratch, as in the paper
on the 3D U-Net. Nuclei: planes of one stack, from which the model of fluorescent 2D nuclei learns plane by plane.

References
----------
O. Cicek et al.: 3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation. MICCAI 2016, arXiv:1606.06650.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.architectures_run import TUNE_ON, time_of_a_step
from benchmarks.architectures_run import score as score_of
from benchmarks.measure import PASSIVE, environment, in_child, say
from benchmarks.record import RESULTS, Figure, Result, Settings
from benchmarks.runs import keep_run, runs_in
from benchmarks.simulate import fluorescence_model
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.tiles import bounding_box

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.core.store.models import Model
    from napari_unet.core.store.training_set import Sample

RUNS = RESULTS / "sparse.jsonl"
ALL = 0
"""Stands for all slices."""

NUMBERS = (1, 2, 3, 5, ALL)
VOLUMES = 3
SECONDS, QUICK_SECONDS = 240.0, 5.0
"""CPU time of one training from scratch; learning from planes takes the steps of a fine-tuning."""

EVERY = 2
"""Each so-manieth volume of `val` is scored."""

PROBE_STEPS = 5
SETS = {"hippocampus": "mean Dice", "go_nuclear_3d": "AP at 0.5"}


@dataclass(frozen=True)
class Job:
    """One run to make: `n_slices` annotated, along each axis (nuclei: along Z), or `ALL`."""

    folder: str
    n_slices: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Parameters
    ----------
    job : Job
        What was run.
    score : float, 0..1
        On volumes that nothing was learned from.
    share : float, 0..1
        Of the voxels, annotated.
    steps : int
        Of the training; 0 where the program chose.
    cpu : float, s
        From the annotations to the model.
    """

    job: Job
    score: float
    share: float
    steps: int
    cpu: float


def run(settings: Settings) -> Result:
    """Make the runs that are missing, one after the other on one core, then the figures of all."""
    seconds = settings.seconds or (QUICK_SECONDS if settings.quick else SECONDS)
    start = fluorescence_model(replace(settings, seconds=None))
    runs = {} if settings.quick else read_runs()
    numbers = (1, ALL) if settings.quick else NUMBERS
    jobs = [Job(folder, n, seconds) for folder in SETS for n in numbers if (settings.data / folder).is_dir()]
    with environment({**PASSIVE, "OMP_NUM_THREADS": "1"}):
        for job in jobs:
            if job not in runs:
                runs[job] = in_child(run_job, job, settings.data, start, quick=settings.quick).result
                say(f"{job}: {runs[job].score:.3f} with {100 * runs[job].share:.1f} % of the voxels")
                if not settings.quick:
                    keep_run(RUNS, runs[job])
    return Result(tuple(figures(runs.values())), {"runs": [asdict(one) for one in runs.values()]})


def read_runs() -> dict[Job, Run]:
    """Read the runs that were made already."""
    return {one.job: one for one in runs_in(RUNS, Run, Job)}


def run_job(job: Job, data: Path, start: Path, *, quick: bool) -> Run:
    """Annotate, learn and score; runs in a process of its own."""
    from napari_unet.core.pipeline.fine_tune import adapt
    from napari_unet.core.store.models import load_model
    from napari_unet.core.store.training_set import load_samples

    along_all = job.folder == "hippocampus"
    teachers = load_samples(data / job.folder / "train")[:VOLUMES]
    judges = load_samples(data / job.folder / "val")[::EVERY][: 1 if quick else None]
    taught = [annotate(one, job.n_slices, range(3 if along_all else 1)) for one in teachers]
    share = float(np.mean([1.0 if one.annotated is None else one.annotated.mean() for one in taught]))
    started, steps = time.process_time(), 0
    if along_all:
        model, steps = from_scratch(taught, job.seconds)
    else:
        options = TrainOptions(budget=f"{PROBE_STEPS}steps" if quick else "auto")
        model = adapt(load_model(start), taught, options, "full")
    return Run(job, score_of(model, judges), share, steps, time.process_time() - started)


def annotate(sample: Sample, n_slices: int, axes: Iterable[int]) -> Sample:
    """Annotate some slices, evenly spread over what there is to see, and forget the rest."""
    if n_slices == ALL:
        return sample
    known = np.zeros(sample.labels.shape, np.uint8)
    box = bounding_box(sample.labels > 0)
    for axis in axes:
        part = box[axis]
        for number in range(n_slices):
            at = part.start + int((number + 0.5) / n_slices * (part.stop - part.start))
            known[(slice(None),) * axis + (at,)] = 1
    return replace(sample, annotated=known, labels=np.where(known > 0, sample.labels, 0))


def from_scratch(samples: Sequence[Sample], seconds: float) -> tuple[Model, int]:
    """Train a 3D network of classes for so many CPU seconds; gives the steps, too."""
    from napari_unet.core.pipeline.fine_tune import augment_for
    from napari_unet.core.pipeline.prepare import prepare
    from napari_unet.core.pipeline.recipe import scratch_recipe
    from napari_unet.core.pipeline.scratch import describe_data
    from napari_unet.core.pipeline.train import train
    from napari_unet.core.pipeline.tune import tune
    from napari_unet.core.store.models import initial_model

    options = TrainOptions(target="semantic")
    spec = describe_data(samples, options, "sparse")
    start = initial_model(spec, 0)
    prepared = [prepare(one, spec) for one in samples]
    recipe = replace(scratch_recipe(options, start.net_config, prepared, augment_for(start)), seconds=None)
    each = time_of_a_step(lambda report: train(start, prepared, replace(recipe, steps=PROBE_STEPS), report=report))
    steps = max(1, round(seconds / each))
    return tune(train(start, prepared, replace(recipe, steps=steps)).model, samples[:TUNE_ON]), steps


def figures(runs: Iterable[Run]) -> list[Figure]:
    """Put each number of slices beside all of them."""
    found = []
    for one in sorted(runs, key=lambda one: (one.job.folder, one.job.n_slices or 10**6)):
        n = one.job.n_slices
        what = "all slices" if n == ALL else f"{n} slice{'s' * (n != 1)}"
        where = " along each axis" if one.job.folder == "hippocampus" and n != ALL else ""
        name = f"{one.job.folder}: {what}{where}, {100 * one.share:.1f} % of the voxels: {SETS[one.job.folder]}"
        found.append(Figure(name, one.score))
    return found
