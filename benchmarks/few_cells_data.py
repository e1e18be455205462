"""What is learned from in the few-cells benchmark: sets of real images, and some annotated cells of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.tiles import bounding_box, grow
from napari_unet.core.store.training_set import Sample, load_samples
from recipes.nuclei_2d import read_types

MOST_IN_ONE = 25
"""Cells annotated in one image; more come from several."""

RING = 4
"""px of background around the outermost annotated cells that are known."""


@dataclass(frozen=True)
class Domain:
    """A set that a model is adapted to.

    Parameters
    ----------
    folder : str
        Of the set.
    kind : str
        Type of the images, where the set has several.
    labels : str
        Folder of the labels.
    numbers : tuple of int
        Annotated cells.
    is_large : bool
        It is scored on 400 objects or more: a difference of 0.02 says something.
    """

    folder: str
    kind: str = ""
    labels: str = "labels"
    numbers: tuple[int, ...] = (3, 10, 30)
    is_large: bool = False


DOMAINS = {
    "histology": Domain("dsb2018", "histology", numbers=(1, 3, 10, 30, 100), is_large=True),
    "brightfield": Domain("dsb2018", "brightfield"),
    "axons": Domain("axon_sem", labels="labels_axon_instances", numbers=(1, 3, 10, 30, 100), is_large=True),
    "nuclei in 3D": Domain("go_nuclear_3d"),
}
HOME = Domain("dsb2018", "fluorescence")
"""What the starting model knows."""


def load(data: Path, domain: Domain, part: str) -> list[Sample]:
    """Load the images of `train` or `val`, all annotated."""
    samples = load_samples(data / domain.folder / part, labels=domain.labels)
    if not domain.kind:
        return samples
    types = read_types(data / domain.folder / "index.csv")
    return [one for one in samples if types[one.name] == domain.kind]


def annotate(samples: list[Sample], n_cells: int, seed: int) -> list[Sample]:
    """Annotate some cells that lie together in one image, or in several where they are many.

    A biologist corrects a region: the cells nearest to its middle, and the background between them, are known; other
    cells in it are not.

    Parameters
    ----------
    samples : list of Sample
        To choose from.
    n_cells : int
        In all.
    seed : int
        Of the choice of images and regions.
    """
    rng = np.random.default_rng(seed)
    found, left = list[Sample](), n_cells
    for index in rng.permutation(len(samples)):
        sample = samples[int(index)]
        ids = np.unique(sample.labels)[1:]
        if len(ids) < min(3, n_cells):
            continue
        wanted = min(left, MOST_IN_ONE, len(ids))
        found.append(replace(sample, annotated=_known(sample.labels, wanted, rng)))
        left -= wanted
        if not left:
            return found
    # Sets of few images: the rest comes from other regions of them.
    while left:
        sample = samples[int(rng.integers(len(samples)))]
        wanted = min(left, MOST_IN_ONE)
        number = next((n for n, one in enumerate(found) if one.name == sample.name), None)
        known = _known(sample.labels, wanted, rng)
        if number is None:
            found.append(replace(sample, annotated=known))
        else:
            before = found[number].annotated
            assert before is not None
            found[number] = replace(sample, annotated=np.maximum(before, known))
        left -= wanted
    return found


def _known(labels: NDArray[np.integer[Any]], wanted: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw what is known when the cells nearest to some cell are annotated."""
    ids, inverse = np.unique(labels, return_inverse=True)
    counts = np.bincount(inverse.ravel())
    index = np.indices(labels.shape).reshape(labels.ndim, -1)
    centres = np.stack([np.bincount(inverse.ravel(), axis) / counts for axis in index], axis=1)[1:]
    middle = centres[int(rng.integers(len(centres)))]
    nearest = np.argsort(((centres - middle) ** 2).sum(1))[:wanted]
    mine = np.isin(labels, ids[1:][nearest])
    box = grow(bounding_box(mine), (RING,) * labels.ndim, labels.shape)
    known = mine.copy()
    known[box] |= labels[box] == 0
    return known.astype(np.uint8)
