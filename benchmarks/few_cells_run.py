"""One run of the few-cells benchmark: adapt a model with one method, score it, and say what it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.architectures_run import time_of_a_step
from benchmarks.few_cells_data import DOMAINS, HOME, annotate, load
from napari_unet.core.base.catalogue import LOSSES, OPTIMISERS
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.metrics.instances import average_precision, match_counts, pool
from napari_unet.core.pipeline.fine_tune import adapt
from napari_unet.core.pipeline.instant import refit
from napari_unet.core.pipeline.prepare import prepare_all
from napari_unet.core.pipeline.recipe import Recipe, fine_tune_recipe, scratch_recipe
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.pipeline.train import train
from napari_unet.core.pipeline.tune import tune
from napari_unet.core.store.models import Model, initial_model, load_model

if TYPE_CHECKING:
    import torch

    from napari_unet.core.store.training_set import Sample

THRESHOLDS = tuple(round(0.5 + 0.05 * n, 2) for n in range(10))
HOME_EVERY = 3
"""Each so-manieth image of the old kind is scored."""

Samples = Sequence["Sample"]


@dataclass(frozen=True)
class Job:
    """One run to make: `budget` is the CPU seconds that a method of others may take; None is as long as it takes."""

    domain: str
    method: str
    n_cells: int
    seed: int
    budget: float | None = None


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Parameters
    ----------
    job : Job
        What was run.
    half, mean : float, 0..1
        AP at an IoU of 0.5, and its mean over 0.5 to 0.95, on images that nothing was learned from.
    home : float, 0..1
        AP at 0.5 on images of the kind that the starting model was trained on.
    cpu : float, s
        From the annotations to the model.
    steps : int
        Of the training.
    """

    job: Job
    half: float
    mean: float
    home: float
    cpu: float
    steps: int = 0


Method = Callable[[Model, Samples, int, float | None], Model]


def run_job(job: Job, data: Path, start: Path) -> Run:
    """Adapt the starting model to one set, and score it; runs in a process of its own."""
    domain = DOMAINS[job.domain]
    samples = annotate(load(data, domain, "train"), job.n_cells, job.seed)
    model = load_model(start)
    if METHODS[job.method] is instant:
        # Whoever corrects has segmented before, and often trained: the first time in a process loads parts of torch.
        instant(model, samples, job.seed, None)
    started = time.process_time()
    adapted = METHODS[job.method](model, samples, job.seed, job.budget)
    cpu = time.process_time() - started
    half, mean = score(adapted, load(data, domain, "val"))
    home = score(adapted, load(data, HOME, "val")[::HOME_EVERY])[0]
    return Run(job, half, mean, home, cpu)


def score(model: Model, samples: Samples) -> tuple[float, float]:
    """Give the AP at 0.5, and its mean over all thresholds, pooled over images."""
    counts = [match_counts(segment(model, one.image).labels, one.labels, THRESHOLDS) for one in samples]
    found = average_precision(pool(counts, THRESHOLDS))
    return found[0], float(np.mean(found))


def nothing(model: Model, samples: Samples, seed: int, budget: float | None) -> Model:
    """Leave the model as it is."""
    return model


def instant(model: Model, samples: Samples, seed: int, budget: float | None) -> Model:
    """Take the first few steps."""
    return refit(model, samples, seed=seed) or model


def quick(model: Model, samples: Samples, seed: int, budget: float | None) -> Model:
    """Learn with the quick stage."""
    return adapt(model, samples, TrainOptions(seed=seed), "quick")


def full(model: Model, samples: Samples, seed: int, budget: float | None) -> Model:
    """Learn with the full stage."""
    return adapt(model, samples, TrainOptions(seed=seed), "full")


def scratch(model: Model, samples: Samples, seed: int, budget: float | None) -> Model:
    """Train the same network from random weights, augmented as ours."""
    start = initial_model(model.spec, seed)
    prepared = prepare_all(samples, model.spec)
    recipe = scratch_recipe(TrainOptions(seed=seed, patch=128, batch=4), start.net_config, prepared, "few-cells")
    return _within(start, samples, recipe, budget)


def cellpose_2(model: Model, samples: Samples, seed: int, budget: float | None) -> Model:
    """Train all layers as Cellpose 2 does: 300 steps of SGD.

    References
    ----------
    M. Pachitariu, C. Stringer: Cellpose 2.0. Nat Methods 2022, doi:10.1038/s41592-022-01663-4 (learning rate 0.1,
    weight decay 1e-4, momentum 0.9, 8 crops of 224 px in a step; up in 10 steps, halved 10 times in the last 50).
    """
    OPTIMISERS["cellpose"] = f"{__name__}:sgd_of_cellpose"
    recipe = replace(
        _recipe(model, seed),
        patch=(224,) * model.spec.dims,
        batch=8,
        learning_rate=0.1,
        optimizer="cellpose",
        weight_decay=1e-4,
        warmup=10 / 300,
        decay_from=250 / 300,
        freeze_norm=False,
        ema=0.0,
    )
    return _within(model, samples, recipe, budget, most=300)


def root_painter(model: Model, samples: Samples, seed: int, budget: float | None) -> Model:
    """Train all layers with RootPainter's loss and optimiser.

    References
    ----------
    A. Smith et al.: RootPainter. New Phytologist 2022, doi:10.1111/nph.18387 (Dice + 0.3 cross entropy on what is
    annotated; SGD of learning rate 0.01 with Nesterov's momentum 0.99).
    """
    OPTIMISERS["rootpainter"] = f"{__name__}:sgd_of_root_painter"
    LOSSES["rootpainter"] = f"{__name__}:loss_of_root_painter"
    recipe = replace(
        _recipe(model, seed), learning_rate=0.01, optimizer="rootpainter", weight_decay=0.0, warmup=1e-6,
        decay_from=1.0, loss="rootpainter", ema=0.0,
    )  # fmt: skip
    return _within(model, samples, recipe, budget)


METHODS: dict[str, Method] = {
    "no adaptation": nothing,
    "ours, instant": instant,
    "ours, quick": quick,
    "ours, full": full,
    "Cellpose 2's recipe": cellpose_2,
    "RootPainter's recipe": root_painter,
    "from scratch": scratch,
}
PEERS = ("Cellpose 2's recipe", "RootPainter's recipe", "from scratch")
"""They get the CPU time of our full stage."""


def _recipe(model: Model, seed: int) -> Recipe:
    options = TrainOptions(seed=seed, trainable="all")
    return fine_tune_recipe(options, model.net_config, "microscopy", "full")


def _within(model: Model, samples: Samples, recipe: Recipe, budget: float | None, most: int | None = None) -> Model:
    """Train for so many CPU seconds, `most` steps at most, and tune the thresholds as ours are tuned."""
    prepared = prepare_all(samples, model.spec)
    steps = most or 100
    if budget is not None:
        seconds = time_of_a_step(lambda report: train(model, prepared, replace(recipe, steps=5), report=report))
        steps = max(1, min(most or 10**6, round(budget / seconds)))
    return tune(train(model, prepared, replace(recipe, steps=steps, seconds=None)).model, samples)


def sgd_of_cellpose(parameters: list[torch.nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Make the optimiser of Cellpose 2."""
    import torch

    return torch.optim.SGD(parameters, rate, 0.9, weight_decay=decay)


def sgd_of_root_painter(parameters: list[torch.nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Make the optimiser of RootPainter."""
    import torch

    return torch.optim.SGD(parameters, rate, 0.99, nesterov=True)


def loss_of_root_painter(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Rate classes as RootPainter does."""
    from napari_unet.core.losses.ce import ce
    from napari_unet.core.losses.dice import dice

    return dice(logits, target, weight) + 0.3 * ce(logits, target, weight)
