"""Object size: measure it, and bring objects to the size that a model knows."""

from __future__ import annotations

from math import cbrt, pi, sqrt
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1.5
"""Objects off by no more than this factor are segmented as they are."""

LARGEST = 4.0
"""Never enlarge or shrink by more: beyond it the measure is more likely wrong than the image."""

FEWEST = 4
"""Objects needed for a median that means something."""


def object_diameter(labels: NDArray[Any], sampling: tuple[float, ...]) -> float | None:
    """Measure the median diameter of the objects, in voxels of the finest axis.

    Parameters
    ----------
    labels : ([Z,] Y, X) int
        0 = background.
    sampling : tuple of float
        Relative voxel size per axis.

    Returns
    -------
    float or None
        Of the circle or sphere of equal volume; None with too few objects.
    """
    ids, counts = fastremap.unique(labels, return_counts=True)
    sizes = counts[ids > 0]
    if len(sizes) < FEWEST:
        return None
    volume = float(np.median(sizes)) * float(np.prod(sampling)) / min(sampling) ** labels.ndim
    return 2 * sqrt(volume / pi) if labels.ndim == 2 else 2 * cbrt(volume * 3 / (4 * pi))


def sampling_of(voxel_size: tuple[float, ...] | None, dims: int) -> tuple[float, ...]:
    """Give relative voxel sizes, the finest axis 1; all 1 where the voxel size is not known."""
    if voxel_size is None:
        return (1.0,) * dims
    return tuple(v / min(voxel_size) for v in voxel_size)


def zoom_factor(found: float | None, wanted: float | None) -> float:
    """Give the enlargement that brings objects of size `found` to the size `wanted`; 1 within the tolerance."""
    if found is None or wanted is None:
        return 1.0
    factor = wanted / found
    if 1 / TOLERANCE <= factor <= TOLERANCE:
        return 1.0
    return min(max(factor, 1 / LARGEST), LARGEST)


def voxel_factors(have: tuple[float, ...], wanted: tuple[float, ...]) -> tuple[float, ...]:
    """Give the enlargement per axis that brings voxels of one size to another; all 1 within the tolerance.

    Parameters
    ----------
    have, wanted : tuple of float, µm
        Voxel size of the image and of the model.
    """
    factors = [h / w for h, w in zip(have, wanted, strict=True)]
    if all(1 / TOLERANCE <= f <= TOLERANCE for f in factors):
        return (1.0,) * len(factors)
    return tuple(min(max(f, 1 / LARGEST), LARGEST) for f in factors)


def zoomed_shape(shape: tuple[int, ...], factors: tuple[float, ...]) -> tuple[int, ...]:
    """Give the shape after an enlargement per axis; no axis vanishes."""
    return tuple(max(1, round(n * f)) for n, f in zip(shape, factors, strict=True))
