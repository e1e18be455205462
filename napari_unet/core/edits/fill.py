"""Fill background that belongs to an object: what the tools that do so share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.edits.edit import LabelEdit, Labels, edit_between
from napari_unet.core.edits.find import find

if TYPE_CHECKING:
    from napari_unet.core.base.errors import UserError

Fuller = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]


def fill_background(
    labels: Labels,
    selection: Sequence[int],
    fuller: Callable[[NDArray[np.bool_]], NDArray[np.bool_]],
    refusal: UserError,
) -> LabelEdit:
    """Give each selected object the background that lies within its fuller shape; other objects stay.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects.
    fuller : callable
        Makes the mask of an object fuller, in the object's own box.
    refusal : UserError
        Raised when nothing would change.
    """
    found = find(labels, selection)
    after = found.labels.copy()
    for one, place in found.objects():
        part = after[place]
        part[fuller(part == one) & (part == 0)] = one
    return edit_between(found.box, found.labels, after, refusal)
