"""Simulated annotators repair real predictions: gestures for each corrected error, ours against napari's own tools."""

from __future__ import annotations

import math
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.correct_errors import KINDS, Error, Labels, compare, find_errors, is_corrected
from benchmarks.correct_hand import Hand
from benchmarks.correct_napari import Painter
from benchmarks.correct_ours import Annotator, Spent
from benchmarks.measure import say
from benchmarks.record import Figure, Result, Settings
from napari_unet.app.requests import KeptOutput
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.pipeline.fine_tune import adapt
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.store.models import load_model, save_model
from napari_unet.core.store.spec import SPEC_FILE
from napari_unet.core.store.training_set import Sample, load_samples

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.core.store.models import Model

MEDIAN_TARGET = 1.5
RATIO_TARGETS = {2: 2.0, 3: 3.0}
RIGHT, COUNTED = 0.7, 0.5
"""IoU from which an object is right; and the lower one from which it is counted right, whatever its outline."""

SETS = {2: "dsb2018", 3: "go_nuclear_3d"}
HANDS = {2: 1, 3: 8}
"""Pairs of hands that repair each image: there is one stack only, with some 30 errors, and luck would decide."""

WORKERS = 4

VOXEL_SIZES = {"dsb2018": None, "go_nuclear_3d": (0.2837, 0.1276, 0.1276)}
"""µm; that of the stack is in its `index.csv`."""

QUICK_IMAGES, QUICK_SLICES = 3, 40
STEPS, QUICK_STEPS = 300, 20
"""Of the fine-tuning for the stacks."""


@dataclass(frozen=True)
class Row:
    """One error and what became of it.

    Parameters
    ----------
    image, kind : str
        Where it is, and what it is.
    least : float
        IoU from which an object counted as right.
    ours, napari : Spent
        What each annotator spent.
    """

    image: str
    kind: str
    least: float
    ours: Spent
    napari: Spent


def run(settings: Settings) -> Result:
    """Repair the predictions of both data sets; several images at a time, which changes nothing but the wait."""
    _stack_model(settings)
    figures, rows = list[Figure](), dict[str, list[Row]]()
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        jobs = {
            dims: [
                pool.submit(repair_one, settings, dims, number, hand)
                for number in _numbers(settings, dims)
                for hand in range(1 if settings.quick else HANDS[dims])
            ]
            for dims in (3, 2)
        }
        for dims in (2, 3):
            rows[f"{dims}D"] = found = [row for job in jobs[dims] for row in job.result()]
            figures += _figures(dims, [row for row in found if row.least == RIGHT], is_main=True)
            figures += _figures(dims, [row for row in found if row.least == COUNTED], is_main=False)
    return Result(tuple(figures), {name: _spent(part) for name, part in rows.items()})


def repair_one(settings: Settings, dims: int, number: int, hand: int) -> list[Row]:
    """Let both annotators repair one image of a data set, with one pair of hands."""
    model = settings.load_model() if dims == 2 else _stack_model(settings)
    sample = _samples(settings.folder(SETS[dims]) / "val")[number]
    return repair(model, _part(sample) if settings.quick else sample, VOXEL_SIZES[SETS[dims]], (number, hand))


def _numbers(settings: Settings, dims: int) -> range:
    n = len(_samples(settings.folder(SETS[dims]) / "val"))
    return range(min(n, QUICK_IMAGES) if settings.quick else n)


@lru_cache(maxsize=2)
def _samples(folder: Path) -> list[Sample]:
    return load_samples(folder)


def _stack_model(settings: Settings) -> Model:
    """Load a model that suits the stacks: the one that is measured, fine-tuned on the annotated stack of `train`.

    It works plane by plane. Cached; 300 steps, about a minute on one core.
    """
    steps = QUICK_STEPS if settings.quick else STEPS
    folder: Path = settings.cache / f"correct-{SETS[3]}-{settings.model_folder().name}-{steps}"
    if not (folder / SPEC_FILE).is_file():
        samples = load_samples(settings.folder(SETS[3]) / "train")
        save_model(adapt(settings.load_model(), samples, TrainOptions(budget=f"{steps}steps", seed=0), "full"), folder)
    return load_model(folder)


def _spent(rows: Iterable[Row]) -> dict[str, int]:
    """Count how often which error took how many gestures, and with what it was corrected at last."""
    counts: Counter[str] = Counter()
    for row in rows:
        for who, spent in (("ours", row.ours), ("napari", row.napari)):
            counts[f"{row.kind}, IoU {row.least}, {who}, by {spent.by}: {spent.gestures}"] += 1
    return dict(sorted(counts.items()))


def _part(sample: Sample) -> Sample:
    if sample.labels.ndim == 2:
        return sample
    image = replace(sample.image, data=np.asarray(sample.image.data)[:QUICK_SLICES])
    return replace(sample, image=image, labels=sample.labels[:QUICK_SLICES])


def repair(
    model: Model, sample: Sample, voxel_size: tuple[float, ...] | None, seed: tuple[int, int] = (0, 0)
) -> list[Row]:
    """Let both annotators repair the prediction of one image; both get the same errors and a hand that trembles alike.

    Parameters
    ----------
    model : Model
        That predicts.
    sample : Sample
        The image and what is true.
    voxel_size : tuple of float, µm, or None
        Of the image.
    seed : (int, int)
        Of the hands: number of the image, and of the pair of hands.
    """
    image = replace(sample.image, voxel_size=voxel_size)
    found = segment(model, image)
    truth, labels = sample.labels.astype(np.int32), found.labels.astype(np.int32)
    sampling = tuple(edge / min(voxel_size) for edge in voxel_size) if voxel_size else (1.0,) * truth.ndim
    rows = list[Row]()
    for least in (RIGHT, COUNTED):
        errors = find_errors(labels, truth, least)
        kept = KeptOutput(found.prediction)
        ours, theirs = (Hand(np.random.default_rng([who, *seed])) for who in (0, 1))
        annotator = Annotator(truth, labels, kept, voxel_size, sampling, least, ours)
        painter = Painter(truth, sampling, least, theirs)
        mine, others = annotator.repair(errors), with_napari(painter, errors, labels, truth, least)
        say(f"{sample.name[:12]}, IoU {least}: {len(errors)} errors, {_sum(mine)} gestures, napari {_sum(others)}")
        rows += [Row(sample.name, e.kind, least, a, b) for e, a, b in zip(errors, mine, others, strict=True)]
    return rows


def with_napari(painter: Painter, errors: Sequence[Error], labels: Labels, truth: Labels, least: float) -> list[Spent]:
    """Repair errors with napari's own tools alone."""
    spent = list[Spent]()
    for error in errors:
        was = compare(labels, truth, least)
        if is_corrected(error, labels, truth, was, labels):
            spent.append(Spent(by="another"))
            continue
        n, labels, is_done = painter.repair(error, labels, was)
        spent.append(Spent(n, by="napari" if is_done else ""))
    return spent


def _sum(spent: Sequence[Spent]) -> int:
    return sum(one.gestures for one in spent)


def _figures(dims: int, rows: Sequence[Row], *, is_main: bool) -> list[Figure]:
    """Sum up the rows of one data set and one rule; only those of the main rule have targets."""
    name = f"{dims}D" if is_main else f"{dims}D, IoU {COUNTED:g} is enough"
    ours, theirs = ([_of(row, who) for row in rows] for who in ("ours", "napari"))
    both = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.by and b.by]
    ratio = sum(b.gestures for _, b in both) / sum(a.gestures for a, _ in both) if both else math.nan
    fixed = [one for one in ours if one.by]
    targets = (MEDIAN_TARGET, RATIO_TARGETS[dims]) if is_main else (None, None)
    figures = [
        Figure(f"{name}: gestures for an error, median", _median(fixed), "", targets[0]),
        Figure(f"{name}: mean gestures with napari's tools / with ours", ratio, "", targets[1], "higher"),
        Figure(f"{name}: gestures for an error, mean", _mean(fixed)),
        Figure(f"{name}: gestures for an error with napari's tools, median", _median([b for b in theirs if b.by])),
        Figure(f"{name}: gestures for an error with napari's tools, mean", _mean([b for b in theirs if b.by])),
        Figure(
            f"{name}: computing for a corrected error", 1e3 * sum(a.seconds for a in ours) / max(1, len(fixed)), "ms"
        ),
        Figure(f"{name}: corrected, ours", _share(bool(a.by) for a in ours), "%"),
        Figure(f"{name}: corrected, napari's", _share(bool(b.by) for b in theirs), "%"),
    ]
    if not is_main:
        return figures
    for kind in KINDS:
        part = [row for row in rows if row.kind == kind]
        if part:
            figures += [
                Figure(f"{name}, {kind} ({len(part)}): mean gestures, ours", _mean([row.ours for row in part])),
                Figure(f"{name}, {kind}: mean gestures, napari's", _mean([row.napari for row in part])),
                Figure(f"{name}, {kind}: corrected, ours", _share(bool(row.ours.by) for row in part), "%"),
                Figure(f"{name}, {kind}: corrected, napari's", _share(bool(row.napari.by) for row in part), "%"),
            ]
    return figures


def _of(row: Row, who: str) -> Spent:
    return row.ours if who == "ours" else row.napari


def _median(spent: Sequence[Spent]) -> float:
    return median(one.gestures for one in spent) if spent else math.nan


def _mean(spent: Sequence[Spent]) -> float:
    return mean(one.gestures for one in spent) if spent else math.nan


def _share(hits: Iterable[bool]) -> float:
    found = list(hits)
    return 100 * sum(found) / max(1, len(found))
