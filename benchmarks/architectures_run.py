"""One run of the comparison of networks: train on a set of real images, score on others, measure what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure import peak_memory
from napari_unet.core.base.options import TrainOptions

if TYPE_CHECKING:
    from napari_unet.core.base.progress import Progress
    from napari_unet.core.pipeline.prepare import Prepared
    from napari_unet.core.pipeline.recipe import Recipe
    from napari_unet.core.store.models import Model
    from napari_unet.core.store.training_set import Sample

TUNE_ON = 6
"""Training images that the thresholds are tuned on."""

FORGET = 2
"""Steps that do not tell how long one takes: the first ones load and compile."""


@dataclass(frozen=True)
class Task:
    """A set of images to learn from and to be scored on.

    Parameters
    ----------
    folder, target : str
        Name of the set, and what it is segmented into.
    every : (int, int)
        Each so-manieth image is used, of those to learn from and of those to score: preparing and scoring are no
        part of the budget, but of the time that the benchmark takes.
    score : str
        What is scored, in words.
    side : tuple of int, voxels
        Size of the image that inference is timed on.
    """

    folder: str
    target: str
    every: tuple[int, int]
    score: str
    side: tuple[int, ...]


TASKS = {
    "nuclei, 2D instances": Task("dsb2018", "instances", (4, 2), "AP at 0.5", (512, 512)),
    "hippocampus, 3D classes": Task("hippocampus", "semantic", (4, 2), "mean Dice", (64, 64, 64)),
    "axons, 2D classes": Task("axon_sem", "semantic", (1, 1), "mean Dice", (512, 512)),
}


@dataclass(frozen=True)
class Job:
    """One run to make."""

    task: str
    net: str
    loss: str
    seed: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Parameters
    ----------
    job : Job
        What was run.
    score : float, 0..1
        On images that it has not learned from.
    parameters, steps : int
        Of the network, and taken by the training.
    step_seconds, megapixel_seconds : float, CPU s
        Of one training step, and of the network on a million voxels.
    memory : float, GiB
        The most that the process had while it trained.
    """

    job: Job
    score: float
    parameters: int
    steps: int
    step_seconds: float
    megapixel_seconds: float
    memory: float


def run_job(job: Job, step_seconds: float, data: Path, *, quick: bool) -> Run:
    """Train one network on one set, and score it; runs in a process of its own."""
    from napari_unet.core.pipeline.train import train
    from napari_unet.core.pipeline.tune import tune

    task = TASKS[job.task]
    teachers, judges = load(data, task, quick=quick)
    start, prepared, recipe = beginning(teachers, task.target, job.net, job.loss, job.seed)
    steps = max(1, round(job.seconds / step_seconds))
    trained = train(start, prepared, replace(recipe, steps=steps)).model
    memory = peak_memory() / 2**30
    model = tune(trained, teachers[:TUNE_ON])
    return Run(
        job,
        score(model, judges),
        sum(value.numel() for value in start.build().parameters()),
        steps,
        step_seconds,
        megapixel_seconds(model, task.side),
        memory,
    )


def beginning(
    teachers: list[Sample], target: str, net: str, loss: str, seed: int
) -> tuple[Model, list[Prepared], Recipe]:
    """Give what a training begins with: a network with random weights, its images and a recipe without an end."""
    from napari_unet.core.pipeline.fine_tune import augment_for
    from napari_unet.core.pipeline.prepare import prepare
    from napari_unet.core.pipeline.recipe import scratch_recipe
    from napari_unet.core.pipeline.scratch import describe_data
    from napari_unet.core.store.models import initial_model

    options = TrainOptions(net=net, loss=loss, target=target, seed=seed)
    spec = describe_data(teachers, options, net)
    start = initial_model(spec, seed)
    prepared = [prepare(one, spec) for one in teachers]
    recipe = scratch_recipe(options, start.net_config, prepared, augment_for(start))
    return start, prepared, replace(recipe, seconds=None)


def load(data: Path, task: Task, *, quick: bool) -> tuple[list[Sample], list[Sample]]:
    """Load the images to learn from and those to score."""
    from napari_unet.core.store.training_set import load_samples

    teach, judge = task.every
    teachers, judges = (
        load_samples(data / task.folder / "train")[::teach],
        load_samples(data / task.folder / "val")[::judge],
    )
    return (teachers[:4], judges[:1]) if quick else (teachers, judges)


def time_of_a_step(train: Callable[[Callable[[Progress], None]], object]) -> float:
    """Give the median CPU seconds of a training step."""
    times: list[float] = []
    train(lambda progress: times.append(time.process_time()))
    return median(np.diff(times)[FORGET:])


def score(model: Model, samples: list[Sample]) -> float:
    """Score a model: AP at an IoU of 0.5 pooled over images, or the mean Dice of the classes."""
    from benchmarks.loop import score as ap_at_half
    from napari_unet.core.metrics.semantic import dice_per_class
    from napari_unet.core.pipeline.segment import segment

    if model.spec.target == "instances":
        return ap_at_half(model, samples)
    classes = range(1, len(model.spec.classes) + 1)
    found = [dice_per_class(segment(model, one.image).labels, one.labels, classes) for one in samples]
    return float(np.mean([list(one.values()) for one in found]))


def megapixel_seconds(model: Model, side: tuple[int, ...]) -> float:
    """Give the CPU seconds that the network takes for a million voxels."""
    import torch

    from napari_unet.core.pipeline.engine import Engine

    engine = Engine(model.build(), model.net_config, net=model.spec.net)
    image = torch.rand(1, model.spec.channels, *side, generator=torch.Generator().manual_seed(0))
    engine(image)
    times = []
    for _ in range(3):
        started = time.process_time()
        engine(image)
        times.append(time.process_time() - started)
    return median(times) / image[0, 0].numel() * 1e6
