"""Change objects one by one, each in its own box: what the tools that do so share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari_unet.core.edits.edit import LabelEdit, Labels, edit_between
from napari_unet.core.edits.find import find

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.core.base.errors import UserError
    from napari_unet.core.edits.places import Places


def change_each(
    labels: Labels,
    selection: Sequence[int],
    change: Callable[[int, Labels], None],
    refusal: UserError,
    *,
    margin: Sequence[int] | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Change each selected object, and give all that differs as one edit.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background; stays as it is.
    selection : sequence of int
        Ids of the objects.
    change : callable
        Gets an id, and a copy of the labels in the object's box to be written into: with what was changed before it.
    refusal : UserError
        Raised when nothing would change.
    margin : sequence of int, voxels, optional
        How much of the surroundings `change` gets, for each axis.
    places : Places, optional
        Where the objects are, as far as that is known.
    """
    found = find(labels, selection, margin, places)
    after = found.labels.copy()
    for one, place in found.objects(margin):
        change(one, after[place])
    return edit_between(found.box, found.labels, after, refusal)


def fill_background(
    labels: Labels,
    selection: Sequence[int],
    fuller: Callable[[NDArray[np.bool_]], NDArray[np.bool_]],
    refusal: UserError,
    places: Places | None = None,
) -> LabelEdit:
    """Give each selected object the background that lies within its fuller shape; other objects stay.

    Parameters
    ----------
    labels, selection, refusal, places
        As in `change_each`.
    fuller : callable
        Makes the mask of an object fuller, in the object's own box.
    """

    def _fill(one: int, part: Labels) -> None:
        part[fuller(part == one) & (part == 0)] = one

    return change_each(labels, selection, _fill, refusal, places=places)
