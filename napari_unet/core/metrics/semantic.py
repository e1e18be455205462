"""Compare masks with masks: overlap (Dice, IoU, accuracy) and distance of their surfaces (Hausdorff).

Empty masks have a defined score everywhere: two empty masks agree (Dice and IoU 1, distance 0); a mask compared with an
empty one does not (Dice and IoU 0, distance infinite).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

Mask = NDArray[np.bool_] | NDArray[np.integer]


def dice(pred: Mask, truth: Mask) -> float:
    """Give the Dice coefficient 2 |A and B| / (|A| + |B|), 0 to 1.

    Parameters
    ----------
    pred, truth : bool or integer array, the same shape
        Everything but 0 belongs to the mask.

    Returns
    -------
    float, 0 to 1
        1 where both are empty.

    Raises
    ------
    UserError
        When the shapes differ.

    References
    ----------
    Dice, Measures of the amount of ecologic association between species, Ecology 26, 1945, doi:10.2307/1932409.
    """
    a, b = _masks(pred, truth)
    size = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / size if size else 1.0


def iou(pred: Mask, truth: Mask) -> float:
    """Give the intersection over union (Jaccard index), 0 to 1; parameters and errors as `dice`."""
    a, b = _masks(pred, truth)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def pixel_accuracy(pred: Mask, truth: Mask) -> float:
    """Give the share of voxels that have the same class in both, background included.

    Parameters
    ----------
    pred, truth : bool or integer array, the same shape
        Classes; 0 is background.

    Returns
    -------
    float, 0 to 1
        1 where there is no voxel at all.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    _check_shapes(pred, truth)
    return np.count_nonzero(pred == truth) / truth.size if truth.size else 1.0


def dice_per_class(pred: Mask, truth: Mask, classes: Sequence[int]) -> dict[int, float]:
    """Give the Dice coefficient of each class.

    Parameters
    ----------
    pred, truth : integer array, the same shape
        Classes; 0 is background.
    classes : sequence of int
        The classes to compare, without the background.

    Returns
    -------
    dict of int to float
        Class to Dice, 0 to 1; 1 for a class that neither of them has.
    """
    return {k: dice(pred == k, truth == k) for k in classes}


def hausdorff(pred: Mask, truth: Mask, voxel_size: Sequence[float] | None = None) -> float:
    """Give the largest distance from a point of one surface to the other surface.

    Parameters
    ----------
    pred, truth : bool or integer array, the same shape, 1 to 3 axes
        Everything but 0 belongs to the mask. Needs about 16 bytes for each voxel of the box around both masks.
    voxel_size : sequence of float, µm, one for each axis
        None measures in voxels.

    Returns
    -------
    float, µm (voxels without a voxel size)
        0 where both are empty, infinite where one is.

    Raises
    ------
    UserError
        When the shapes differ, or the voxel size does not fit them.

    References
    ----------
    Huttenlocher et al., Comparing images using the Hausdorff distance, IEEE TPAMI 15, 1993, doi:10.1109/34.232073.
    """
    return _hausdorff(pred, truth, voxel_size, 100.0)


def hausdorff95(pred: Mask, truth: Mask, voxel_size: Sequence[float] | None = None) -> float:
    """Give the Hausdorff distance without the farthest 5 % of each surface; parameters and errors as `hausdorff`.

    It is the larger one of the two directed 95th percentiles, where some tools take one percentile of all distances of
    both directions.
    """
    return _hausdorff(pred, truth, voxel_size, 95.0)


def _hausdorff(pred: Mask, truth: Mask, voxel_size: Sequence[float] | None, percentile: float) -> float:
    a, b = _masks(pred, truth)
    size = tuple(voxel_size) if voxel_size is not None else (1.0,) * a.ndim
    if len(size) != a.ndim or not all(np.isfinite(v) and v > 0 for v in size):
        raise UserError(
            f"The voxel size {size} does not fit masks with {a.ndim} axes.",
            "Give one positive length in µm for each axis.",
        )
    if not a.any() or not b.any():
        return 0.0 if a.any() == b.any() else float("inf")
    box = _box(a | b)
    surfaces = _surface(a[box]), _surface(b[box])
    there = np.percentile(_distance_to(surfaces[1], size)[surfaces[0]], percentile)
    back = np.percentile(_distance_to(surfaces[0], size)[surfaces[1]], percentile)
    return float(max(there, back))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = binary_erosion(mask)
    return mask & ~inside


def _distance_to(surface: NDArray[np.bool_], voxel_size: tuple[float, ...]) -> NDArray[np.float32]:
    distance: NDArray[np.float32] = edt.edt(np.ascontiguousarray(~surface), anisotropy=voxel_size)
    return distance


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    axes = range(mask.ndim)
    hits = [np.flatnonzero(mask.any(axis=tuple(b for b in axes if b != a))) for a in axes]
    return tuple(slice(int(hit[0]), int(hit[-1]) + 1) for hit in hits)


def _masks(pred: Mask, truth: Mask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    _check_shapes(pred, truth)
    return np.asarray(pred) != 0, np.asarray(truth) != 0


def _check_shapes(pred: Mask, truth: Mask) -> None:
    if pred.shape != truth.shape:
        raise UserError(
            f"The prediction has the shape {pred.shape} and the truth {truth.shape}.",
            "Compare masks of the same image on the same grid.",
        )
