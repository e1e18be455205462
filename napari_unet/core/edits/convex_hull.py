"""Fill the dents of objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.each import fill_background
from napari_unet.core.edits.edit import LabelEdit, Labels  # noqa: TC001  # read from the hints
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints

SLOPE = 1e-9  # facets that run along the last axis
TOLERANCE = 1e-6  # voxels; for rounding


def convex_hull(labels: Labels, selection: Sequence[int], *, places: Places | None = None) -> LabelEdit:
    """Fill the dents of objects up to their convex hull; neighbours inside the hull stay.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes the objects' ids into background voxels.

    Raises
    ------
    UserError
        When the objects have no dents.
    """
    refusal = UserError("The objects have no dents to fill.", "They are convex already.")
    return fill_background(labels, selection, hull_of, refusal, places)


def hull_of(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the voxels whose centre lies in the convex hull of a mask's voxels.

    Parameters
    ----------
    mask : bool array, n-D, n >= 2
        Not empty.

    Returns
    -------
    bool array
        Contains the mask.
    """
    facets = scipy.spatial.ConvexHull(_corners(mask)).equations
    normals, last, offsets = facets[:, :-2], facets[:, -2], facets[:, -1]
    rows = np.indices(mask.shape[:-1]).reshape(mask.ndim - 1, -1)
    # On each row of voxels along the last axis the hull is an interval: no voxel has to be compared with all facets.
    heights = normals @ rows + offsets[:, None]
    low, high = np.full(rows.shape[1], -np.inf), np.full(rows.shape[1], np.inf)
    for height, slope in zip(heights, last, strict=True):
        if slope > SLOPE:
            np.minimum(high, -height / slope, out=high)
        elif slope < -SLOPE:
            np.maximum(low, -height / slope, out=low)
        else:
            high[height > TOLERANCE] = -np.inf
    at = np.arange(mask.shape[-1])
    inside = (at >= low[:, None] - TOLERANCE) & (at <= high[:, None] + TOLERANCE)
    return inside.reshape(mask.shape) | mask


def _corners(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give points whose hull is that of all voxels: the ends of each row, and the middles of the sides of those."""
    width = mask.shape[-1]
    rows = np.nonzero(mask.any(axis=-1))
    first = mask.argmax(axis=-1)[rows]
    final = width - 1 - mask[..., ::-1].argmax(axis=-1)[rows]
    ends = np.concatenate([np.stack([*rows, first], axis=1), np.stack([*rows, final], axis=1)])
    sides = np.concatenate([0.5 * np.eye(mask.ndim), -0.5 * np.eye(mask.ndim)])
    points: NDArray[np.float64] = (ends[:, None] + sides).reshape(-1, mask.ndim)
    return points
