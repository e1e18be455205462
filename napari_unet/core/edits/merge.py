"""Join objects that are one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.edit import LabelEdit, Labels, box_of_selection


def merge(labels: Labels, selection: Sequence[int]) -> LabelEdit:
    """Give all selected objects the id of the first.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        At least two different ids.

    Returns
    -------
    LabelEdit
        Writes only the voxels of the objects after the first.

    Raises
    ------
    UserError
        When fewer than two objects are selected or one is not there.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet.core.edits import apply_edit
    >>> labels = np.array([[3, 3, 0, 5]])
    >>> apply_edit(labels, merge(labels, [5, 3]))
    array([[5, 5, 0, 5]])
    """
    keep, others = (selection[0] if selection else 0), sorted(set(selection[1:]) - set(selection[:1]))
    if not others:
        raise UserError(
            f"Merge needs two objects; {len(set(selection))} is selected.", "Select the other object as well."
        )
    box_of_selection(labels, [keep])  # refuses an id that is gone, which would bring it back
    box, mask = box_of_selection(labels, others)
    return LabelEdit(box, np.full(mask.shape, keep, dtype=labels.dtype), mask)
