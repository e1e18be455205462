"""Objects in several pieces: keep the largest piece, or make an object of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.edit import LabelEdit, Labels, edit_between
from napari_unet.core.edits.find import Found, check_room, find, highest_id


def keep_largest(labels: Labels, selection: Sequence[int]) -> LabelEdit:
    """Remove all pieces of an object but the largest; pieces that touch at a corner are one.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects.

    Returns
    -------
    LabelEdit
        Writes 0 into the smaller pieces.

    Raises
    ------
    UserError
        When the objects are in one piece each.
    """
    found = find(labels, selection)
    after = found.labels.copy()
    for part, pieces, largest in _pieces(found, after):
        part[(pieces > 0) & (pieces != largest)] = 0
    return edit_between(found.box, found.labels, after, _in_one_piece())


def separate(labels: Labels, selection: Sequence[int], *, new_id: int | None = None) -> LabelEdit:
    """Make an object of each piece that does not touch the others; the largest keeps the id.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects.
    new_id : int, optional
        The first of the new ids; by default one above the largest label.

    Returns
    -------
    LabelEdit
        Writes new ids into the smaller pieces.

    Raises
    ------
    UserError
        When the objects are in one piece each, or the labels' type has no room for the new ids.
    """
    found = find(labels, selection)
    after = found.labels.copy()
    following = highest_id(labels) + 1 if new_id is None else new_id
    for part, pieces, largest in _pieces(found, after):
        others = [piece for piece in range(1, int(pieces.max()) + 1) if piece != largest]
        check_room(labels.dtype, following + len(others) - 1)
        table = np.zeros(int(pieces.max()) + 1, labels.dtype)
        table[others] = np.arange(following, following + len(others))
        moved = table[pieces]
        part[moved > 0] = moved[moved > 0]
        following += len(others)
    return edit_between(found.box, found.labels, after, _in_one_piece())


def _pieces(found: Found, after: Labels) -> Iterator[tuple[Labels, NDArray[np.int32], int]]:
    """Give, for each object in several pieces: its part of `after`, its pieces numbered, and the largest."""
    for one, place in found.objects():
        own = found.labels[place] == one
        pieces, n = scipy.ndimage.label(own, np.ones((3,) * own.ndim))
        if n > 1:
            yield after[place], pieces, int(np.bincount(pieces.ravel())[1:].argmax()) + 1


def _in_one_piece() -> UserError:
    return UserError("Each selected object is in one piece.", "Use Split to divide it.")
