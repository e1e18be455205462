"""Take away objects that are none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_unet.core.edits.edit import LabelEdit, Labels, box_of_selection


def delete(labels: Labels, selection: Sequence[int]) -> LabelEdit:
    """Turn the selected objects into background.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects to delete.

    Returns
    -------
    LabelEdit
        Writes 0 in the objects' voxels.

    Raises
    ------
    UserError
        When nothing is selected or an object is not there.
    """
    box, mask = box_of_selection(labels, selection)
    return LabelEdit(box, np.zeros(mask.shape, dtype=labels.dtype), mask)
