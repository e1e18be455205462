"""Move the boundary of objects outwards or inwards."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import scipy

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.each import change_each
from napari_unet.core.edits.edit import LabelEdit, Labels, edit_between
from napari_unet.core.edits.find import find
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints
from napari_unet.core.edits.tool import Reach, Unit, check_length, sampling_of


def grow(
    labels: Labels,
    selection: Sequence[int],
    *,
    by: Reach = 1.0,
    unit: Unit = "px",
    voxel_size: Sequence[float] | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Enlarge objects on all sides, never over or beyond a neighbour; between two, each voxel goes to the nearer.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects.
    by : float, px or µm
        How far the boundary moves.
    unit : {"px", "µm"}
        Of the distance.
    voxel_size : (labels.ndim,) float, µm, optional
        Needed for µm.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes the objects' ids into background voxels.

    Raises
    ------
    UserError
        When there is no room.
    """
    check_length(by, "The distance")
    sampling = sampling_of(unit, voxel_size, labels.ndim)
    found = find(labels, selection, [ceil(by / edge) for edge in sampling], places)
    distance, nearest = scipy.ndimage.distance_transform_edt(~found.mask, sampling, return_indices=True)
    reached = (distance <= by) & (found.labels == 0)
    connected = scipy.ndimage.binary_propagation(found.mask, mask=reached | found.mask)
    after = np.where(connected & reached, found.labels[tuple(nearest)], found.labels)
    return edit_between(
        found.box,
        found.labels,
        after,
        UserError("The objects cannot grow by that.", "Choose a larger distance, or shrink their neighbours first."),
    )


def shrink(
    labels: Labels,
    selection: Sequence[int],
    *,
    by: Reach = 1.0,
    unit: Unit = "px",
    voxel_size: Sequence[float] | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Make objects smaller on all sides; where the image cuts one off, its boundary stays.

    Parameters
    ----------
    labels, selection, by, unit, voxel_size, places
        As in `grow`.

    Returns
    -------
    LabelEdit
        Writes 0 into the voxels that the objects lose.

    Raises
    ------
    UserError
        When an object would vanish, or nothing would change.
    """
    check_length(by, "The distance")
    sampling = sampling_of(unit, voxel_size, labels.ndim)

    def _shrink(one: int, part: Labels) -> None:
        own = part == one
        if own.all():  # it fills the whole image: there is no boundary
            return
        lost = own & (scipy.ndimage.distance_transform_edt(own, sampling) <= by)
        if np.array_equal(lost, own):
            raise UserError(f"Object {one} would vanish.", "Choose a smaller distance, or delete it.")
        part[lost] = 0

    refusal = UserError("The objects do not shrink by that.", "Choose a larger distance.")
    return change_each(labels, selection, _shrink, refusal, margin=[1] * labels.ndim, places=places)
