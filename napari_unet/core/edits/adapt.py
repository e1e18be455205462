"""Move a roughly drawn boundary to the edges of a map, such as the network's foreground.

References
----------
Marker-controlled watershed: F. Meyer, S. Beucher: Morphological segmentation. Journal of Visual Communication and Image
Representation 1990, doi:10.1016/1047-3203(90)90014-M.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import scipy
import skimage  # like scipy, its parts load when first used: the dock opens without them
from numpy.typing import NDArray

EDGE_SIGMA_PX = 1.0
FLAT = 0.05  # a map that varies less than this has no edge to move to


class Map(Protocol):
    """Values 0 to 1 for each voxel of the labels, read box by box: an array, or what computes it when asked."""

    def __getitem__(self, key: tuple[slice, ...], /) -> NDArray[Any]:
        """Give the values in a box."""


def fit_to_edges(
    mask: NDArray[np.bool_], values: NDArray[Any], reach: float, free: NDArray[np.bool_], sampling: Sequence[float]
) -> NDArray[np.bool_]:
    """Move the boundary of a mask to the strongest edge nearby.

    Parameters
    ----------
    mask : bool array, n-D
        Roughly the object; never empty.
    values : float array, shape of the mask, 0 to 1
        High inside objects.
    reach : float
        How far the boundary may move, in the unit of `sampling`.
    free : bool array, shape of the mask
        Where the object may be.
    sampling : (ndim,) float
        Length of a voxel's edges.

    Returns
    -------
    bool array
        Within `free`. The mask itself where the map is flat.
    """
    values = np.asarray(values, dtype=np.float32)
    if float(np.ptp(values)) < FLAT:
        return mask & free
    depth = scipy.ndimage.distance_transform_edt(mask, sampling)
    inside = depth > min(reach, 0.6 * float(depth.max()))  # something of a thin object stays
    outside = (scipy.ndimage.distance_transform_edt(~mask, sampling) > reach) | ~free
    markers = np.where(outside, 2, np.where(inside & free, 1, 0))
    edges = scipy.ndimage.gaussian_gradient_magnitude(values, EDGE_SIGMA_PX)
    flooded = skimage.segmentation.watershed(edges, markers)  # type: ignore[no-untyped-call] # no types
    fitted: NDArray[np.bool_] = (flooded == 1) & free
    return fitted if fitted.any() else mask & free
