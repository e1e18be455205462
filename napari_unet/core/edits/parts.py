"""Objects in several pieces: keep the largest piece, or make an object of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.each import change_each
from napari_unet.core.edits.edit import LabelEdit, Labels  # noqa: TC001  # read from the hints
from napari_unet.core.edits.find import check_room, highest_id
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints


def keep_largest(labels: Labels, selection: Sequence[int], *, places: Places | None = None) -> LabelEdit:
    """Remove all pieces of an object but the largest; pieces that touch at a corner are one.

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
        Writes 0 into the smaller pieces.

    Raises
    ------
    UserError
        When the objects are in one piece each.
    """

    def _keep(one: int, part: Labels) -> None:
        pieces, largest = _pieces(part, one)
        part[(pieces > 0) & (pieces != largest)] = 0

    return change_each(labels, selection, _keep, _in_one_piece(), places=places)


def separate(
    labels: Labels, selection: Sequence[int], *, new_id: int | None = None, places: Places | None = None
) -> LabelEdit:
    """Make an object of each piece that does not touch the others; the largest keeps the id.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects.
    new_id : int, optional
        The first of the new ids; by default one above the largest label.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes new ids into the smaller pieces.

    Raises
    ------
    UserError
        When the objects are in one piece each, or the labels' type has no room for the new ids.
    """
    following = highest_id(labels) + 1 if new_id is None else new_id

    def _separate(one: int, part: Labels) -> None:
        nonlocal following
        pieces, largest = _pieces(part, one)
        others = [piece for piece in range(1, int(pieces.max()) + 1) if piece != largest]
        check_room(labels.dtype, following + len(others) - 1)
        table = np.zeros(int(pieces.max()) + 1, labels.dtype)
        table[others] = np.arange(following, following + len(others))
        moved = table[pieces]
        part[moved > 0] = moved[moved > 0]
        following += len(others)

    return change_each(labels, selection, _separate, _in_one_piece(), places=places)


def _pieces(part: Labels, one: int) -> tuple[NDArray[np.int32], int]:
    """Give the pieces of an object, numbered, and the largest of them."""
    own = part == one
    pieces: NDArray[np.int32] = scipy.ndimage.label(own, np.ones((3,) * own.ndim))[0]
    return pieces, int(np.bincount(pieces.ravel())[1:].argmax()) + 1


def _in_one_piece() -> UserError:
    return UserError("Each selected object is in one piece.", "Use Split to divide it.")
