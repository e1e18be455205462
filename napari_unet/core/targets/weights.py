"""How much a voxel counts for its class, beyond whether it is annotated: near other objects, or of a rare class.

References
----------
Border weights: O. Ronneberger, P. Fischer, T. Brox: U-Net. MICCAI 2015, doi:10.1007/978-3-319-24574-4_28, equation 2.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import edt
import fastremap
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import grow

if TYPE_CHECKING:
    from napari_unet.core.targets.base import Encoded

WEIGHTINGS = {"border": ("instances",), "classes": ("instances", "semantic")}
"""The weightings, and the targets that each is for."""

W0 = 10.0
"""Weight that a voxel gains between two objects that touch; from the paper."""

SIGMA = 5.0
"""How far the gain reaches, in voxels of the finest axis; from the paper."""

REACH = 4.0
"""Objects farther away than so many sigma are not looked at: they would add less than 0.004 to a weight of 1."""


def weight_map(
    weighting: str, target: str, labels: NDArray[np.int_], encoded: Encoded, sampling: tuple[float, ...]
) -> NDArray[np.float32]:
    """Make the factors for the class weight of one image.

    Parameters
    ----------
    weighting : str
        A key of `WEIGHTINGS`.
    target : str
        What the labels are: instances or semantic.
    labels : ([Z,] Y, X) int
        As they were encoded.
    encoded : Encoded
        The classes, in its first channel, and where they are known.
    sampling : tuple of float
        Relative voxel size per axis.

    Returns
    -------
    array, ([Z,] Y, X), float32

    Raises
    ------
    UserError
        When there is no such weighting, or not for this target.
    """
    if weighting not in WEIGHTINGS:
        raise UserError(f"There is no weighting '{weighting}'.", f"Choose one of: none, {', '.join(WEIGHTINGS)}.")
    if target not in WEIGHTINGS[weighting]:
        raise UserError(
            f"The weighting '{weighting}' is for {' and '.join(WEIGHTINGS[weighting])}, not for the target '{target}'.",
            "Choose another weighting, such as 'none'.",
        )
    known = encoded.weight[0] > 0
    if weighting == "classes":
        return class_weights(encoded.target[0], known)
    return border_weights(np.where(known, labels, 0), sampling)


def class_weights(classes: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weigh each class by one over the square root of its frequency.

    Parameters
    ----------
    classes : ([Z,] Y, X) float
        Class numbers from 0.
    known : ([Z,] Y, X) bool
        The voxels that are counted.

    Returns
    -------
    array, ([Z,] Y, X), float32
        With a mean of 1 over the known voxels; 1 everywhere if there are none.
    """
    numbers = classes.astype(np.intp)
    counts = np.bincount(numbers[known], minlength=int(numbers.max(initial=0)) + 1)
    roots = np.sqrt(np.maximum(counts, 1))
    factors = counts.sum() / max(roots[counts > 0].sum(), 1) / roots if counts.any() else np.ones(len(counts))
    weights: NDArray[np.float32] = factors.astype(np.float32)[numbers]
    return weights


def border_weights(
    labels: NDArray[np.int_], sampling: tuple[float, ...], *, w0: float = W0, sigma: float = SIGMA
) -> NDArray[np.float32]:
    """Weigh voxels between objects that are near to each other: 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)).

    Parameters
    ----------
    labels : ([Z,] Y, X) int
        0 = background.
    sampling : tuple of float
        Relative voxel size per axis.
    w0 : float
        Largest gain.
    sigma : float
        Reach of the gain, in voxels of the finest axis.

    Returns
    -------
    array, ([Z,] Y, X), float32
        d1 and d2 are the distances to the nearest and the second nearest object, from middle to middle of the voxels;
        d1 is 0 inside of an object. The paper's class weight is 1 here.

    Notes
    -----
    Each object is measured in its own box, grown by the reach, so that the time grows with the number of objects but
    not with the image. Three images of float32 are held.
    """
    ids, _ = fastremap.renumber(np.ascontiguousarray(labels), in_place=False)
    nearest, second = (np.full(ids.shape, np.inf, np.float32) for _ in range(2))
    unit = min(sampling)
    sampling = tuple(size / unit for size in sampling)
    margin = tuple(ceil(REACH * sigma / size) for size in sampling)
    for number, found in enumerate(ndimage.find_objects(ids), start=1):
        box = grow(found, margin, ids.shape)
        outside = (ids[box] != number).view(np.uint8)  # three times as fast as with bool
        distance = edt.edt(outside, anisotropy=sampling, parallel=1)
        second[box] = np.minimum(second[box], np.maximum(nearest[box], distance))
        nearest[box] = np.minimum(nearest[box], distance)
    second += nearest
    weights: NDArray[np.float32] = 1 + w0 * np.exp(-(second**2) / (2 * sigma**2))
    return weights
