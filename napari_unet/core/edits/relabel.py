"""Give objects other ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import fastremap
import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import full_box
from napari_unet.core.edits.edit import LabelEdit, Labels, edit_between
from napari_unet.core.edits.find import blocks_of, check_room, find, free_ids, has, sizes_of
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints
from napari_unet.core.edits.tool import asks


def relabel(
    labels: Labels,
    selection: Sequence[int],
    *,
    to: Annotated[
        int | None,
        asks("New id", "What the object gets; automatic is the next free one.", min=1, max=2**31 - 1, step=1),
    ] = None,
    new_id: int | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Give one object another id, such as that of the same cell in another time point.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Exactly one id.
    to : int, optional
        The new id, which no other object has; the next free one by default.
    new_id : int, optional
        The next free id, where it is known.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes the new id into the object's voxels.

    Raises
    ------
    UserError
        When not exactly one object is selected, or the id belongs to another.
    """
    if len(set(selection)) != 1:
        raise UserError(f"Relabel needs one object; {len(set(selection))} are selected.", "Select one object.")
    found = find(labels, selection, places=places)
    wanted = free_ids(labels, 1, new_id)[0] if to is None else to
    if wanted < 1:
        raise UserError(f"{wanted} is no id of an object.", "Give a number above 0.")
    check_room(labels.dtype, wanted)
    if wanted == found.ids[0] or _is_taken(labels, wanted, places):
        raise UserError(f"There is an object {wanted} already.", "Choose another number, or merge the two.")
    return LabelEdit(found.box, np.full(found.mask.shape, wanted, labels.dtype), found.mask)


def renumber(labels: Labels, selection: Sequence[int], *, places: Places | None = None) -> LabelEdit:
    """Give all objects the numbers 1, 2, 3, ... without gaps, in the order of their ids.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background; read as a whole.
    selection : sequence of int
        Not used: the numbers are those of all objects.
    places : Places, optional
        Which objects there are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes the voxels of each object whose id changes; needs two arrays of the labels' size.

    Raises
    ------
    UserError
        When there is no gap.
    """
    ids = sorted(sizes_of(labels)) if places is None or places.counts is None else places.ids.tolist()
    table = {one: number for number, one in enumerate(ids, start=1)}
    nothing = UserError("The objects are numbered without gaps already.", "")
    if all(one == number for one, number in table.items()):
        raise nothing
    before = np.ascontiguousarray(labels[...])
    after = np.empty_like(before)
    for block in blocks_of(before):  # fastremap lets nobody else compute meanwhile
        part = np.ascontiguousarray(before[block])
        after[block] = fastremap.remap(part, {0: 0, **table}, preserve_missing_labels=True)
    return edit_between(full_box(before.shape), before, after, nothing)


def _is_taken(labels: Labels, one: int, places: Places | None) -> bool:
    return (places is None or places.has(one)) and has(labels, one)
