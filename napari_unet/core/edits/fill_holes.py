"""Close the holes inside objects."""

from __future__ import annotations

from collections.abc import Sequence

import scipy

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.each import fill_background
from napari_unet.core.edits.edit import LabelEdit, Labels  # noqa: TC001  # read from the hints
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints


def fill_holes(labels: Labels, selection: Sequence[int], *, places: Places | None = None) -> LabelEdit:
    """Fill the background that an object encloses; an object inside another one stays.

    In 3D a hole is closed on all sides: what is open in one slice only is filled in that slice.

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
        When no selected object has a hole.
    """
    refusal = UserError(
        "No selected object encloses background.", "In a stack, work on this slice: it may be open in Z."
    )
    return fill_background(labels, selection, scipy.ndimage.binary_fill_holes, refusal, places)
