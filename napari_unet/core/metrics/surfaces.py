"""Compare the surfaces of masks: Hausdorff distance, mean distance, and surface Dice at a tolerance.

The surface of a mask are its voxels with a face at the background or at the edge of the image, and distances go from
centre to centre of such voxels. Each surface voxel counts the same, however large its faces are: in volumes of thick
slices the top and bottom of an object weigh less than their area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import bounding_box
from napari_unet.core.metrics.semantic import Mask, as_masks

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_AXES = 3

ROUNDING = 1e-5
"""Distances are float32: one that equals the tolerance must not fail it by rounding."""


@dataclass(frozen=True)
class SurfaceDistances:
    """Keep how far each surface voxel of one mask is from the surface of the other; all scores are made of that.

    Parameters
    ----------
    there : (voxels of the predicted surface,) float32, µm (voxels without a voxel size)
        To the true surface.
    back : (voxels of the true surface,) float32
        To the predicted surface. Both are infinite where only one mask is empty, and have no entry where both are.
    """

    there: NDArray[np.float32]
    back: NDArray[np.float32]

    @property
    def is_finite(self) -> bool:
        """Whether both masks have a surface, or neither has."""
        return bool(np.isfinite(self.there).all() and np.isfinite(self.back).all())

    @property
    def hausdorff(self) -> float:
        """Give the largest distance."""
        return self._farthest(100.0)

    @property
    def hausdorff95(self) -> float:
        """Give the larger one of the two directed 95th percentiles."""
        return self._farthest(95.0)

    @property
    def mean(self) -> float:
        """Give the mean distance over the voxels of both surfaces."""
        n = len(self.there) + len(self.back)
        return float(self.there.sum(dtype=np.float64) + self.back.sum(dtype=np.float64)) / n if n else 0.0

    def dice(self, tolerance: float) -> float:
        """Give the share of both surfaces that lies within a tolerance of the other, 0 to 1."""
        n = len(self.there) + len(self.back)
        near = np.count_nonzero(self.there <= tolerance * (1 + ROUNDING))
        near += np.count_nonzero(self.back <= tolerance * (1 + ROUNDING))
        return near / n if n else 1.0

    def _farthest(self, percentile: float) -> float:
        if not self.is_finite:
            return math.inf
        return max(float(np.percentile(d, percentile)) if len(d) else 0.0 for d in (self.there, self.back))


def surface_distances(pred: Mask, truth: Mask, voxel_size: Sequence[float] | None = None) -> SurfaceDistances:
    """Measure the distances between two surfaces, once for all scores.

    Parameters
    ----------
    pred, truth : bool or integer array, the same shape, 1 to 3 axes
        Everything but 0 belongs to the mask. Needs about 16 bytes for each voxel of the box around both masks.
    voxel_size : sequence of float, µm, one for each axis
        None measures in voxels.

    Raises
    ------
    UserError
        When the shapes differ, there are more axes, or the voxel size does not fit them.
    """
    a, b = as_masks(pred, truth)
    size = _checked_size(a.ndim, voxel_size)
    if not a.any() or not b.any():
        far = np.float32(np.inf)
        return SurfaceDistances(*(np.full(np.count_nonzero(_surface(one)), far) for one in (a, b)))
    box = bounding_box(a | b)
    surfaces = _surface(a[box]), _surface(b[box])
    there = _distance_to(surfaces[1], size)[surfaces[0]]
    return SurfaceDistances(there, _distance_to(surfaces[0], size)[surfaces[1]])


def hausdorff(pred: Mask, truth: Mask, voxel_size: Sequence[float] | None = None) -> float:
    """Give the largest distance from a point of one surface to the other surface.

    Parameters
    ----------
    pred, truth, voxel_size
        As `surface_distances` takes them.

    Returns
    -------
    float, µm (voxels without a voxel size)
        0 where both are empty, infinite where one is.

    Raises
    ------
    UserError
        As `surface_distances`.

    References
    ----------
    Huttenlocher et al., Comparing images using the Hausdorff distance, IEEE TPAMI 15, 1993, doi:10.1109/34.232073.
    """
    return surface_distances(pred, truth, voxel_size).hausdorff


def hausdorff95(pred: Mask, truth: Mask, voxel_size: Sequence[float] | None = None) -> float:
    """Give the Hausdorff distance without the farthest 5 % of each surface; parameters and errors as `hausdorff`.

    It is the larger one of the two directed 95th percentiles, where some tools take one percentile of all distances of
    both directions.
    """
    return surface_distances(pred, truth, voxel_size).hausdorff95


def mean_surface_distance(pred: Mask, truth: Mask, voxel_size: Sequence[float] | None = None) -> float:
    """Give the mean distance over the voxels of both surfaces; parameters, empty masks and errors as `hausdorff`.

    References
    ----------
    Heimann et al., Comparison and evaluation of methods for liver segmentation from CT datasets, IEEE TMI 28, 2009,
    doi:10.1109/TMI.2009.2013851 (average symmetric surface distance).
    """
    return surface_distances(pred, truth, voxel_size).mean


def surface_dice(pred: Mask, truth: Mask, tolerance: float, voxel_size: Sequence[float] | None = None) -> float:
    """Give the share of both surfaces that lies within a tolerance of the other one, 0 to 1.

    Parameters
    ----------
    pred, truth, voxel_size
        As `surface_distances` takes them.
    tolerance : float, 0 and above, µm (voxels without a voxel size)
        A deviation that does not matter, such as the disagreement of two people.

    Returns
    -------
    float, 0 to 1
        1 where both are empty, 0 where one is.

    Raises
    ------
    UserError
        As `surface_distances`, and when the tolerance is negative or no finite number.

    References
    ----------
    Nikolov et al., Clinically applicable segmentation of head and neck anatomy for radiotherapy, J Med Internet Res 23,
    2021, doi:10.2196/26151. They weigh each surface element by its area; here each surface voxel counts once.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise UserError(f"The tolerance is {tolerance}.", "Give a length of 0 and above.")
    return surface_distances(pred, truth, voxel_size).dice(tolerance)


def _checked_size(n_axes: int, voxel_size: Sequence[float] | None) -> tuple[float, ...]:
    if n_axes > MOST_AXES:
        raise UserError(
            f"Distances in masks with {n_axes} axes cannot be measured.", "Give up to 3 spatial axes, one time point."
        )
    size = tuple(voxel_size) if voxel_size is not None else (1.0,) * n_axes
    if len(size) != n_axes or not all(np.isfinite(v) and v > 0 for v in size):
        raise UserError(
            f"The voxel size {size} does not fit masks with {n_axes} axes.",
            "Give one positive length in µm for each axis.",
        )
    return size


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = binary_erosion(mask)
    return mask & ~inside


def _distance_to(surface: NDArray[np.bool_], voxel_size: tuple[float, ...]) -> NDArray[np.float32]:
    distance: NDArray[np.float32] = edt.edt(np.ascontiguousarray(~surface), anisotropy=voxel_size)
    return distance
