"""Take away objects that are none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_unet.core.edits.edit import LabelEdit, Labels
from napari_unet.core.edits.find import find
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints


def delete(labels: Labels, selection: Sequence[int], *, places: Places | None = None) -> LabelEdit:
    """Delete the selected objects: what is there is background.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects to delete.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes 0 in the objects' voxels.

    Raises
    ------
    UserError
        When nothing is selected or an object is not there.
    """
    found = find(labels, selection, places=places)
    return LabelEdit(found.box, np.zeros(found.mask.shape, dtype=labels.dtype), found.mask)
