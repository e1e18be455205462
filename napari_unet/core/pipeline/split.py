"""Hold out corrections: images apart where there are several, else regions, else two folds of cells by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.tiles import bounding_box

if TYPE_CHECKING:
    from napari_unet.core.store.training_set import Sample

FEWEST_FOR_ONE_FOLD = 30
"""Cells; with fewer a single held-out part is too small to judge, so each half is held out once."""

SEVERAL = 3
"""Images, or regions, from which on they are held out as a whole."""


@dataclass(frozen=True)
class Fold:
    """What is learned from and what is judged on; no cell is in both."""

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


@dataclass(frozen=True)
class Split:
    """All folds, and in words what was held out.

    Parameters
    ----------
    folds : tuple of Fold
    words : str
    n_held_out : int
        Objects.
    fresh : tuple of Sample or None
        What neither of the two models that are compared has learnt, where that is too little to judge alone.
    """

    folds: tuple[Fold, ...]
    words: str
    n_held_out: int
    fresh: tuple[Sample, ...] | None = None


def split(samples: Sequence[Sample], *, semantic: bool = False) -> Split:
    """Choose what is held out.

    Parameters
    ----------
    samples : sequence of Sample
        All corrections.
    semantic : bool
        The labels are classes: parts of an image count instead of objects.

    Returns
    -------
    Split
        No folds where there is too little to hold out anything.
    """
    n_cells = sum(count_objects(sample) for sample in samples)
    if len(samples) >= SEVERAL:
        units, words = [[s] for s in samples], "images"
    else:
        units, words = _regions(samples, semantic), "regions"
        if len(units) < SEVERAL:
            units = [[_restrict(sample, _side(sample, side, semantic)) for sample in samples] for side in (0, 1)]
            words = "two halves by place" if semantic else "two folds of cells by place"
    # Dropping empty ones keeps a fold from having nothing to judge or to learn from.
    units = [u for u in ([s for s in unit if _teaches(s, semantic)] for unit in units) if u]
    if len(units) < 2:
        return Split((), "nothing: there is too little", 0)
    one_fold = n_cells >= FEWEST_FOR_ONE_FOLD and len(units) >= 4 and not semantic
    parts = [units[::4]] if one_fold else [units[0::2], units[1::2]]
    folds = tuple(_fold(part, units) for part in parts)
    return Split(folds, words, sum(count_objects(s) for fold in folds for s in fold.held_out))


def _fold(part: list[list[Sample]], units: list[list[Sample]]) -> Fold:
    held = tuple(s for unit in part for s in unit)
    return Fold(tuple(s for unit in units if not any(unit is p for p in part) for s in unit), held)


def count_objects(sample: Sample) -> int:
    """Count the labelled objects that teach."""
    known = sample.labels if sample.annotated is None else sample.labels[sample.annotated > 0]
    return len(np.unique(known[known > 0]))


def _teaches(sample: Sample, semantic: bool) -> bool:
    if semantic:
        return sample.annotated is None or bool(sample.annotated.any())
    return count_objects(sample) > 0


def _regions(samples: Sequence[Sample], semantic: bool) -> list[list[Sample]]:
    """Cut samples into the connected parts of what is annotated, largest first."""
    out = []
    for sample in samples:
        if sample.annotated is None:
            return []
        parts = cc3d.connected_components(sample.annotated > 0, connectivity=4 if sample.labels.ndim == 2 else 6)
        if not semantic:
            # Sorting all labels of a large image for a few corrections would hold up the window.
            box = bounding_box(sample.annotated > 0)
            parts[box] = np.where(parts[box] == _home(sample.labels[box], parts[box]), parts[box], 0)
        order = np.argsort(-np.bincount(parts.ravel())[1:]) + 1
        masked = [_restrict(sample, parts == number) for number in order]
        # Single accepted cells are not regions: they are split by place.
        out += [[one] for one in masked if semantic or count_objects(one) >= SEVERAL]
    return out


def _home(labels: NDArray[Any], parts: NDArray[Any]) -> NDArray[Any]:
    """Give for each voxel the region that holds most of its object; background is at home where it lies."""
    ids, voxels = np.unique(labels, return_inverse=True)
    n = int(parts.max(initial=0)) + 1
    shared = np.bincount(voxels.ravel() * n + parts.ravel(), minlength=len(ids) * n).reshape(len(ids), n)
    shared[:, 0] = 0  # where nothing is annotated is no region
    return np.where(labels > 0, shared.argmax(axis=1)[voxels.reshape(labels.shape)], parts)


def _side(sample: Sample, side: int, semantic: bool) -> NDArray[np.bool_]:
    """Say which voxels lie on one side of the middle, along the axis on which what is annotated lies widest apart.

    A whole object lies on the side of its own middle; classes are cut through.
    """
    labels = sample.labels
    known = np.ones(labels.shape, bool) if sample.annotated is None else sample.annotated > 0
    index = np.nonzero(known if semantic else known & (labels > 0))
    if not len(index[0]):
        return np.zeros(labels.shape, bool)
    if semantic:
        centres = np.stack(index)
    else:
        ids, inverse = np.unique(labels[index], return_inverse=True)
        counts = np.bincount(inverse)
        centres = np.stack([np.bincount(inverse, axis) / counts for axis in index])
    axis = int(np.argmax(np.ptp(centres, axis=1)))
    cut = float(np.median(centres[axis]))
    position = np.arange(labels.shape[axis]).reshape([-1 if a == axis else 1 for a in range(labels.ndim)])
    above = np.broadcast_to(position > cut, labels.shape).copy()
    if not semantic:
        above[labels > 0] = np.isin(labels[labels > 0], ids[centres[axis] > cut])
    return above if side else ~above


def _restrict(sample: Sample, mask: NDArray[np.bool_]) -> Sample:
    """Forget what is annotated outside of a mask."""
    annotated = np.ones(sample.labels.shape, np.uint8) if sample.annotated is None else sample.annotated
    return replace(sample, annotated=np.where(mask, annotated, 0).astype(np.uint8))
