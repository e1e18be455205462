"""How sure a network is of each object: how high its probability is, and how well its distances fit its shape.

References
----------
What the network says of an object, compared with what it would have learnt of one of that shape: C. Stringer et al.:
Cellpose: a generalist algorithm for cellular segmentation. Nature Methods 2021, doi:10.1038/s41592-020-01018-x, which
compares flows where this compares distances.
"""

from __future__ import annotations

from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.targets.blockwise import as_unit


def object_confidence(labels: NDArray[Any], maps: NDArray[Any], sampling: tuple[float, ...]) -> NDArray[np.float32]:
    """Tell how well each object agrees with the maps that it was decoded from.

    Parameters
    ----------
    labels : ([Z,] Y, X) int
        0 = background.
    maps : (2 or more, [Z,] Y, X)
        Foreground and distance, as `Target.maps` gives them.
    sampling : tuple of float
        Relative voxel size per axis.

    Returns
    -------
    array, (N + 1,), float32
        By the number of the object, 0..1; 0 for the background and for numbers that no object has. The geometric mean
        of the mean foreground probability and the overlap of two distance maps, the network's and that of the object
        as it is. The overlap is the sum of the smaller of both values over that of the larger: 1 where they are equal,
        and low for an object that is a part of one, or two in one, or shifted.

    Notes
    -----
    Takes 0.035 CPU s for a megapixel (2000 cells in 2048 x 2048 px), and about 20 bytes for each voxel.
    """
    if labels.shape != maps.shape[1:]:
        raise ValueError(f"labels of {labels.shape} do not fit maps of {maps.shape}")
    ids = np.ascontiguousarray(labels).astype(np.uint32, copy=False)
    n_objects = int(ids.max(initial=0))
    places = np.flatnonzero(ids)
    members = ids.ravel()[places]
    own, radius = own_distance(ids, n_objects, sampling)
    own = own.ravel()[places] / radius[members]
    foreground, distance = (as_unit(np.asarray(one).ravel()[places]) for one in maps[:2])
    smaller, larger = np.minimum(own, distance), np.maximum(own, distance)
    count, sure, both, either = (
        np.bincount(members, one, minlength=n_objects + 1) for one in (None, foreground, smaller, larger)
    )
    # Maps are float16 or better: what is above 1 is rounding.
    return np.sqrt(np.clip(sure / np.maximum(count, 1) * both / np.maximum(either, 1e-9), 0, 1)).astype(np.float32)


def own_distance(
    ids: NDArray[np.uint32], n_objects: int, sampling: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure how far each voxel is from the nearest voxel of another label.

    Parameters
    ----------
    ids : ([Z,] Y, X) uint32
        0 = background, 1..n_objects; some numbers may be missing.
    n_objects : int
        The highest number.
    sampling : tuple of float
        Relative voxel size per axis.

    Returns
    -------
    distance : ([Z,] Y, X) float32
        In units of `sampling`; 0 in the background. The edge of the image is no boundary.
    radius : (n_objects + 1,) float32
        The maximum of each object; 1 for the background and missing numbers.
    """
    distance: NDArray[np.float32] = edt.edt(ids, anisotropy=sampling, black_border=False, parallel=1)
    if np.isinf(distance.max(initial=0)):  # an image that is one object has no boundary
        distance[np.isinf(distance)] = max(ids.shape)
    radius = np.zeros(n_objects + 1, np.float32)
    np.maximum.at(radius, ids.ravel(), distance.ravel())
    radius[radius == 0] = 1
    return distance, radius
