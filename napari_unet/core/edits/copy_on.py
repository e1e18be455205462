"""Carry objects on into the next slice or time point."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.adapt import Map, fit_to_edges
from napari_unet.core.edits.edit import LabelEdit, Labels, edit_between
from napari_unet.core.edits.find import find
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints
from napari_unet.core.edits.tool import Unit, asks, check_length, sampling_of

STEPS = {"next": 1, "previous": -1}


def copy_on(
    labels: Labels,
    selection: Sequence[int],
    *,
    to: Annotated[str, asks("To the", "Which slice or time point gets the copy.", choices=tuple(STEPS))] = "next",
    reach: Annotated[
        float, asks("Reach", "How far the boundary may move to an edge there.", min=0.5, max=1000.0, step=0.5)
    ] = 5.0,
    unit: Unit = "px",
    fit: Annotated[bool, asks("Fit to the edges", "Adapt the copy to what the network saw there.")] = True,
    axis: int = 0,
    at: int = 0,
    edges: Map | None = None,
    voxel_size: Sequence[float] | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Copy objects to the next slice or time point, fitted to the edges that the network saw there.

    Parameters
    ----------
    labels : integer array, 3D or 4D
        A stack, or a series of planes or stacks; 0 is the background.
    selection : sequence of int
        Ids of the objects.
    to : {"next", "previous"}
        Where the copy goes.
    reach : float, px or µm
        How far the boundary may move.
    unit : {"px", "µm"}
        Of the reach.
    fit : bool
        Move the boundary to the edges of the map, where one is given.
    axis : int
        Along which slices or time points lie.
    at : int
        The one that is copied.
    edges : Map, optional
        High inside objects, such as the network's foreground probability.
    voxel_size : (labels.ndim,) float, µm, optional
        Needed for µm; that of `axis` does not matter.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes the objects' ids into background voxels of that slice or time point.

    Raises
    ------
    UserError
        When there is no further one, an object is not in the one to be copied, or there is no room.
    """
    check_length(reach, "The reach")
    if to not in STEPS:
        raise UserError(f"'{to}' is no direction.", f"Use one of {', '.join(STEPS)}.")
    if labels.ndim < 3 or not 0 <= axis < labels.ndim:
        raise UserError(f"{labels.ndim}D labels have no slices or time points.", "Use it on a stack or a series.")
    target = at + STEPS[to]
    if not (0 <= at < labels.shape[axis] and 0 <= target < labels.shape[axis]):
        raise UserError(f"There is no {to} slice or time point.", "Copy the other way.")
    sampling = sampling_of(unit, voxel_size, labels.ndim)
    lengths = [edge for other, edge in enumerate(sampling) if other != axis]
    margin = [ceil(reach / edge) + 2 for edge in lengths]
    there_now = None if places is None else places.inside([*[None] * axis, at])
    source = find(_plane(labels, axis, at), selection, margin, there_now)
    box = (*source.box[:axis], slice(target, target + 1), *source.box[axis:])
    before = np.asarray(labels[box])
    after = before.copy()
    there = np.moveaxis(after, axis, 0)[0]
    values = None if edges is None or not fit else np.moveaxis(np.asarray(edges[box]), axis, 0)[0]
    for one, place in source.objects(margin):
        mask, free = source.labels[place] == one, there[place] == 0
        if values is not None and (mask & free).any():
            mask = fit_to_edges(mask, values[place], reach, free, lengths)
        there[place][mask & free] = one
    return edit_between(
        box, before, after, UserError(f"There is no room in the {to} one.", "Other objects are there already.")
    )


def _plane(labels: Labels, axis: int, at: int) -> Labels:
    plane: Labels = np.asarray(labels[(slice(None),) * axis + (at,)])
    return plane
