"""Objects of a stack that are drawn in single slices: sections, whose shape above and below nobody has said.

References
----------
Learning from a few annotated slices: Ö. Çiçek et al.: 3D U-Net. MICCAI 2016, arXiv:1606.06650.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLAT = 0.5
"""Of its width; a slice that is thicker may hold all of an object."""


def section_axis(mask: NDArray[np.bool_], shape: Sequence[int], size: ArrayLike) -> int | None:
    """Give the axis along which an object was drawn in single slices only; None where it is whole.

    Parameters
    ----------
    mask : bool array, n-D
        The object in its box.
    shape : sequence of int
        Of the whole labels: along an axis of one slice nothing can be higher.
    size : (n,) float
        Length of a voxel along each axis.

    Returns
    -------
    int or None
        None also where a slice is thick, for the width of the object.
    """
    if mask.ndim != 3:
        return None
    lengths = np.asarray(size, float)
    for axis, n in enumerate(shape):
        areas = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        is_thin = n > 1 and not (areas[1:].astype(bool) & areas[:-1].astype(bool)).any()
        width = 2 * sqrt(float(areas.max(initial=0)) * float(lengths.prod()) / lengths[axis] / pi)
        if is_thin and lengths[axis] <= FLAT * width:
            return axis
    return None
