"""The main promise: one region is corrected, and the model gets better on other images of that kind."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measure import say
from benchmarks.record import Figure, Result, Settings
from benchmarks.simulate import choose_image, choose_region, correct, fluorescence_model, teach
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.metrics.instances import average_precision, match_counts, pool
from napari_unet.core.pipeline.fine_tune import fine_tune
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.store.models import Model, load_model
from napari_unet.core.store.training_set import Sample, load_samples
from recipes.nuclei_2d import read_types

GAIN_TARGET = 0.04
"""AP at IoU 0.5, median over the seeds."""

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Round:
    """One region corrected and learned from.

    Parameters
    ----------
    seed : int
        Of the choice of image and region, and of the training.
    image : str
        That was corrected.
    n_cells : int
        In the region.
    before, after : float
        AP of the model that is in use, on images it has not learned from.
    candidate : float
        The same of the new model, also where it was not accepted.
    accepted : bool
        The new model replaced the old one.
    held_out_before, held_out_after : float
        What the program itself found on held-out corrections.
    seconds : float
        That the fine-tuning took.
    """

    seed: int
    image: str
    n_cells: int
    before: float
    after: float
    candidate: float
    accepted: bool
    held_out_before: float
    held_out_after: float
    seconds: float


def run(settings: Settings) -> Result:
    """Go once around for each seed."""
    data = settings.folder("dsb2018")
    model = load_model(fluorescence_model(settings))
    others = load_histology(data, "val")[: 4 if settings.quick else None]
    teachers = load_histology(data, "train")
    before = score(model, others)
    say(f"starting model: AP {before:.3f} on {len(others)} histology images")
    budget = "20steps" if settings.quick else "auto"
    seeds = SEEDS[:1] if settings.quick else SEEDS
    rounds = [go_round(model, teachers, others, before, seed, budget) for seed in seeds]
    gains = [one.after - before for one in rounds]
    figures = [
        Figure("AP at 0.5 on other histology images: median gain", median(gains), "", GAIN_TARGET, "higher"),
        Figure("AP at 0.5 before", before),
        *(
            Figure(f"gain with seed {one.seed}, {one.n_cells} cells", gain)
            for one, gain in zip(rounds, gains, strict=True)
        ),
        *(Figure(f"fine-tuning with seed {one.seed}", one.seconds, "s") for one in rounds),
    ]
    return Result(tuple(figures), {"rounds": [asdict(one) for one in rounds], "starting model": model.spec.name})


def load_histology(data: Path, part: str) -> list[Sample]:
    """Load the histology images of `train` or `val`."""
    types = read_types(data / "index.csv")
    return [sample for sample in load_samples(data / part) if types[sample.name] == "histology"]


def go_round(
    model: Model, teachers: list[Sample], others: list[Sample], before: float, seed: int, budget: str
) -> Round:
    """Segment one image, correct a region of it, fine-tune, and score the model on other images."""
    rng = np.random.default_rng(seed)
    sample = choose_image(teachers, rng)
    predicted = segment(model, sample.image).labels
    correction = correct(predicted, sample.labels, choose_region(sample.labels, rng))
    started = time.monotonic()
    found = fine_tune(model, teach(sample.image, predicted, correction), TrainOptions(budget=budget, seed=seed))
    seconds = time.monotonic() - started
    candidate = score(found.candidate, others)
    after = candidate if found.accepted else before
    say(
        f"seed {seed}: {correction.n_cells} cells of {sample.name[:8]}: AP {before:.3f} -> {candidate:.3f}, held out "
        f"{found.before:.3f} -> {found.after:.3f}, {'accepted' if found.accepted else 'not accepted'}"
    )
    return Round(
        seed,
        sample.name,
        correction.n_cells,
        before,
        after,
        candidate,
        found.accepted,
        found.before,
        found.after,
        seconds,
    )


def score(model: Model, samples: list[Sample]) -> float:
    """Give the AP at IoU 0.5, pooled over images."""
    counts = [match_counts(segment(model, one.image).labels, one.labels, (0.5,)) for one in samples]
    return average_precision(pool(counts, (0.5,)))[0]
