"""See whether all corrected objects lie beside what the network saw, in the same direction: a layer that was moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet.app.annotations import Corrections, Labels, changes

FEWEST = 4
"""Objects; fewer may agree by chance."""

LEAST = 0.1
"""Of a diameter; people draw no more exactly."""

ALIKE = 0.5
"""The shifts of single objects differ from their mean by no more than this share of it."""


@dataclass(frozen=True)
class Shift:
    """Say how far corrected objects lie from the predicted ones in their place.

    Parameters
    ----------
    n_objects : int
        That agree.
    voxels : tuple of float
        The mean shift along each axis.
    """

    n_objects: int
    voxels: tuple[float, ...]


def common_shift(c: Corrections, labels: Labels) -> Shift | None:
    """Find a shift that all edited objects share.

    Parameters
    ----------
    c : Corrections
        With the kept prediction.
    labels : integer array
        As they are now.

    Returns
    -------
    Shift or None
        None for classes, where few objects were edited, or where they lie where they were, or this way and that.
    """
    edited = frozenset() if c.semantic else changes(c, labels).edited - c.unsure
    if len(edited) < FEWEST:
        return None
    now, sizes = _middles(labels, edited)
    below = _mostly_on(labels, c.predicted, edited)
    before, _ = _middles(c.predicted, set(below.values()))
    pairs = [(now[one], before[other], sizes[one]) for one, other in below.items()]
    if len(pairs) < FEWEST:
        return None
    shifts = np.array([middle - other for middle, other, _ in pairs])
    diameter = float(np.median([size ** (1 / labels.ndim) for *_, size in pairs]))
    mean = shifts.mean(axis=0)
    length = float(np.linalg.norm(mean))
    spread = float(np.sqrt(((shifts - mean) ** 2).sum(axis=1).mean()))
    if length < max(1.0, LEAST * diameter) or spread > ALIKE * length:
        return None
    return Shift(len(pairs), tuple(float(one) for one in mean))


def _middles(labels: Labels, ids: Iterable[int]) -> tuple[dict[int, NDArray[np.float64]], dict[int, int]]:
    """Give the mean position and the size of objects."""
    index = np.nonzero(np.isin(labels, list(ids)))
    found, inverse, counts = np.unique(labels[index], return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(inverse, axis) / counts for axis in index], axis=1)
    names = [int(one) for one in found]
    return dict(zip(names, means, strict=True)), dict(zip(names, counts.tolist(), strict=True))


def _mostly_on(labels: Labels, predicted: Labels, ids: Iterable[int]) -> dict[int, int]:
    """Give for each object the predicted one that it shares most voxels with; objects that share none are left out."""
    both = np.isin(labels, list(ids)) & (predicted > 0)
    pairs, counts = np.unique(np.stack((labels[both], predicted[both])), axis=1, return_counts=True)
    order = np.argsort(counts, kind="stable")
    return {int(pairs[0, at]): int(pairs[1, at]) for at in order}
