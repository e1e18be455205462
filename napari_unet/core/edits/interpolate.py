"""Fill the slices between those in which an object is drawn.

References
----------
S. Raya, J. Udupa: Shape-based interpolation of multidimensional objects. IEEE Transactions on Medical Imaging 1990,
doi:10.1109/42.52980. Shapes are moved onto each other first, so that an object that shifts between slices goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.each import change_each
from napari_unet.core.edits.edit import LabelEdit, Labels  # noqa: TC001  # read from the hints
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints


def interpolate(
    labels: Labels,
    selection: Sequence[int],
    *,
    axis: int = 0,
    voxel_size: Sequence[float] | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Fill the empty slices between those in which an object is drawn, by a blend of their shapes.

    Parameters
    ----------
    labels : integer array, 3D
        0 is the background.
    selection : sequence of int
        Ids of the objects.
    axis : int
        Along which the slices lie.
    voxel_size : (3,) float, µm, optional
        Makes distances true where pixels are not square.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes the objects' ids into background voxels.

    Raises
    ------
    UserError
        When the labels are not 3D, or there is no empty slice between two drawn ones.
    """
    if labels.ndim != 3 or not 0 <= axis < 3:
        raise UserError(f"There are no slices between slices in {labels.ndim}D labels.", "Use it on a stack.")
    sampling = None if voxel_size is None else [edge for at, edge in enumerate(voxel_size) if at != axis]

    def _interpolate(one: int, box: Labels) -> None:
        part = np.moveaxis(box, axis, 0)
        drawn = np.flatnonzero((part == one).any(axis=(1, 2)))
        for low, high in pairwise(drawn.tolist()):
            for step, shape in enumerate(_between(part[low] == one, part[high] == one, high - low, sampling), 1):
                part[low + step][shape & (part[low + step] == 0)] = one

    refusal = UserError(
        "No empty slice lies between two drawn ones.", "Draw the object in two slices with a gap between."
    )
    return change_each(labels, selection, _interpolate, refusal, places=places)


def _between(
    first: NDArray[np.bool_], last: NDArray[np.bool_], n: int, sampling: Sequence[float] | None
) -> list[NDArray[np.bool_]]:
    """Give the shapes of the n - 1 slices between two."""
    return [depth > 0 for depth in blend(first, last, n, sampling)]


def blend(
    first: NDArray[np.bool_], last: NDArray[np.bool_], n: int, sampling: Sequence[float] | None
) -> list[NDArray[np.float64]]:
    """Give the distance to the boundary, positive inside, in the n - 1 slices between two shapes."""
    start, stop = (np.array(scipy.ndimage.center_of_mass(mask)) for mask in (first, last))
    room = [(1 + ceil(length),) * 2 for length in np.abs(stop - start)]  # for the way, and for a boundary of the box
    one, other = (_signed_distance(np.pad(mask, room), sampling) for mask in (first, last))
    inner = tuple(slice(low, -high) for low, high in room)
    depths = []
    for step in range(1, n):
        share = step / n
        middle = (1 - share) * start + share * stop
        depth = (1 - share) * _moved(one, middle - start) + share * _moved(other, middle - stop)
        depths.append(depth[inner])
    return depths


def _signed_distance(mask: NDArray[np.bool_], sampling: Sequence[float] | None) -> NDArray[np.float64]:
    """Give the distance to the boundary, positive inside."""
    edt = scipy.ndimage.distance_transform_edt
    signed: NDArray[np.float64] = edt(mask, sampling) - edt(~mask, sampling)
    return signed


def _moved(distance: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move a distance; by whole pixels nothing is interpolated."""
    moved: NDArray[np.float64] = scipy.ndimage.shift(distance, by, order=1, mode="nearest")
    return moved
