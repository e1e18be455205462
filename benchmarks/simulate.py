"""Act like a biologist: choose a region of an image, correct its cells by hand, say that it is done.

What is drawn is the ground truth. The real-viewer test uses the same functions and drives the buttons instead of
`teach`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.app import annotations as notes
from napari_unet.app.annotations import Box, Labels, unique_ids
from napari_unet.app.teaching import Snapshot, take_snapshot, to_samples
from napari_unet.core.base.options import Budget
from napari_unet.core.store.spec import SPEC_FILE

if TYPE_CHECKING:
    from benchmarks.record import Settings
    from napari_unet.core.base.image import Image
    from napari_unet.core.store.training_set import Sample

START = "1600steps"
"""Training of the model that knows fluorescence only: some twenty minutes on two cores."""

MODELS = Path(__file__).parent / "models"

FEWEST, MOST = 10, 20
"""Cells of a region."""

TRIALS = 200
STEP = 4
"""px by which a region grows on each side until it holds enough cells."""


@dataclass(frozen=True, eq=False)
class Correction:
    """What the biologist did.

    Parameters
    ----------
    labels : integer array, (Y, X)
        The prediction with the cells of the region corrected.
    box : Box
        The region, done.
    unsure : set of int
        Objects that reach out of the region, over cells that nobody looked at: they shall not teach.
    n_cells : int
        True cells that lie in the region or reach into it.
    """

    labels: Labels = field(repr=False)
    box: Box
    unsure: frozenset[int]
    n_cells: int


def choose_image(samples: Sequence[Sample], rng: np.random.Generator) -> Sample:
    """Choose an image with more cells than a region holds."""
    enough = [sample for sample in samples if len(unique_ids(sample.labels)) > MOST]
    return enough[int(rng.integers(len(enough)))]


def choose_region(truth: Labels, rng: np.random.Generator) -> Box:
    """Choose a square around some cell that `FEWEST` to `MOST` cells lie in or reach into.

    Raises
    ------
    ValueError
        When there is none.
    """
    ids = sorted(unique_ids(truth))
    for _ in range(TRIALS):
        middle = np.argwhere(truth == ids[int(rng.integers(len(ids)))]).mean(axis=0)
        wanted = int(rng.integers(FEWEST, MOST + 1))
        for half in range(STEP, max(truth.shape), STEP):
            box = tuple(
                slice(max(0, int(m) - half), min(n, int(m) + half)) for m, n in zip(middle, truth.shape, strict=True)
            )
            n_cells = len(unique_ids(truth[box]))
            if n_cells >= wanted:
                break
        if FEWEST <= n_cells <= MOST:
            return box
    raise ValueError(f"no region with {FEWEST} to {MOST} cells was found")


def correct(predicted: Labels, truth: Labels, box: Box) -> Correction:
    """Correct the cells of a region.

    Every true cell in the region, or reaching into it, is drawn whole under a new number; whatever else was predicted
    in the region is erased. What is left outside of an object that lost voxels is deleted where it is mostly
    background, and marked as unsure where it covers other cells.

    Parameters
    ----------
    predicted, truth : (Y, X) int
        Labels of one image.
    box : Box
        The region.
    """
    labels = predicted.copy()
    cells = unique_ids(truth[box])
    drawn = np.isin(truth, list(cells))
    labels[box] = 0
    labels[drawn] = truth[drawn] + predicted.max()
    damaged = unique_ids(predicted[labels != predicted]) & unique_ids(labels)
    unsure = {one for one in damaged if _covers_cells(labels == one, truth)}
    labels[np.isin(labels, list(damaged - unsure))] = 0
    return Correction(labels, box, frozenset(unsure), len(cells))


def _covers_cells(rest: NDArray[np.bool_], truth: Labels) -> bool:
    return bool(np.count_nonzero(truth[rest]) > 0.5 * np.count_nonzero(rest))


def teach(image: Image, predicted: Labels, correction: Correction) -> tuple[Sample, ...]:
    """Turn a correction into what a training gets, in the way that the dock does it."""
    return to_samples(snapshot_of(image, predicted, correction))


def snapshot_of(image: Image, predicted: Labels, correction: Correction) -> Snapshot:
    """Freeze a correction, as the dock does it at the click."""
    said = notes.start(predicted)
    said = notes.mark_unsure(said, correction.unsure)
    said = notes.mark_done(said, correction.box)
    return take_snapshot(image, correction.labels, said)


def fluorescence_model(settings: Settings) -> Path:
    """Give the folder of the model that benchmarks start from: it knows fluorescence only.

    It is kept in the repository, so that runs of different days and machines begin alike. ``--seconds`` trains another.
    """
    budget = START if settings.seconds is None else f"{settings.seconds:.0f}s"
    kept = MODELS / f"fluorescence-{budget}"
    if (kept / SPEC_FILE).is_file():
        return kept
    return starting_model(settings.folder("dsb2018"), settings.cache, budget)


def starting_model(data: Path, cache: Path, budget: str) -> Path:
    """Train the starting model by the recipe, on fluorescence only, unless it is there already.

    Parameters
    ----------
    data : Path
        The folder `dsb2018`.
    cache : Path
        Where such models are kept; interrupted, the next call goes on.
    budget : str
        Of the training: ``1200s`` or ``200steps``.

    Returns
    -------
    Path
        The model's folder.
    """
    folder = cache / f"fluorescence-{budget}"
    if not (folder / SPEC_FILE).is_file():
        amount = Budget.parse(budget)
        chosen = ["--steps", str(amount.steps)] if amount.steps else ["--seconds", str(amount.seconds)]
        chosen = ["--types", "fluorescence", *chosen, "--out", str(folder.resolve())]
        root = Path(__file__).parents[1]
        subprocess.run([sys.executable, "-m", "recipes.nuclei_2d", str(data.resolve()), *chosen], cwd=root, check=True)
    return folder
