"""Remove all objects of a kind: those that are too small, those that the image cuts off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Annotated

import fastremap
import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.edit import LabelEdit, Labels
from napari_unet.core.edits.find import checked_ids, find, sizes_of
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints
from napari_unet.core.edits.tool import Unit, asks, check_length, sampling_of


def remove_small(
    labels: Labels,
    selection: Sequence[int],
    *,
    size: Annotated[
        float, asks("Smaller than", "Voxels, or µm² (2D) and µm³ (3D).", min=1.0, max=1e9, step=1.0)
    ] = 50.0,
    unit: Unit = "px",
    voxel_size: Sequence[float] | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Delete all objects below a size; with a selection, only among those.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Empty for all objects.
    size : float, voxels or µm to the power of the dimensions
        Objects below it go.
    unit : {"px", "µm"}
        Whether the size counts voxels, or is an area or a volume.
    voxel_size : (labels.ndim,) float, µm, optional
        Needed for µm.
    places : Places, optional
        Where the objects are and how large, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes 0 into the voxels of those objects.

    Raises
    ------
    UserError
        When no object is that small.
    """
    check_length(size, "The size")
    voxel = prod(sampling_of(unit, voxel_size, labels.ndim))
    among = set(checked_ids(selection)) if len(selection) else None
    counts = _sizes(labels, places)
    small = [one for one, n in counts.items() if n * voxel < size and (among is None or one in among)]
    if not small:
        least = min((n * voxel for one, n in counts.items() if among is None or one in among), default=0)
        raise UserError(f"No object is smaller than {size:g}.", f"The smallest is {least:g}." if least else "")
    return _without(labels, small, places)


def clear_border(
    labels: Labels,
    selection: Sequence[int],
    *,
    ends: Annotated[
        bool, asks("First and last slice too", "In a stack: also the objects that its first or last slice cuts.")
    ] = True,
    places: Places | None = None,
) -> LabelEdit:
    """Delete all objects that the image's border cuts; with a selection, only among those.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Empty for all objects.
    ends : bool
        In 3D: objects in the first or last slice are cut as well.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes 0 into the voxels of those objects.

    Raises
    ------
    UserError
        When no object touches the border.
    """
    touching: set[int] = set()
    for axis in range(labels.ndim):
        if labels.ndim > 2 and axis == labels.ndim - 3 and not ends:
            continue
        for side in (0, labels.shape[axis] - 1):
            face = np.asarray(labels[(slice(None),) * axis + (slice(side, side + 1),)])
            touching |= {int(one) for one in fastremap.unique(np.ascontiguousarray(face))}
    touching -= {0}
    if len(selection):
        touching &= set(checked_ids(selection))
    if not touching:
        raise UserError("No object touches the border of the image.", "All objects are complete.")
    return _without(labels, touching, places)


def _sizes(labels: Labels, places: Places | None) -> dict[int, int]:
    if places is None or places.counts is None:
        return sizes_of(labels)
    return dict(zip(places.ids.tolist(), places.counts.tolist(), strict=True))


def _without(labels: Labels, ids: Iterable[int], places: Places | None) -> LabelEdit:
    found = find(labels, sorted(ids), places=places)
    zeros = np.broadcast_to(np.zeros((), labels.dtype), found.mask.shape)  # takes no memory
    return LabelEdit(found.box, zeros, found.mask)
