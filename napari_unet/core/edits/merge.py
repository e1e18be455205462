"""Join objects that are one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.edit import LabelEdit, Labels
from napari_unet.core.edits.find import find
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints


def merge(labels: Labels, selection: Sequence[int], *, places: Places | None = None) -> LabelEdit:
    """Make one object of the selected ones; the first gives its id.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        At least two different ids.
    places : Places, optional
        Where the objects are, as far as that is known.

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
    if len(set(selection)) < 2:
        raise UserError(
            f"Merge needs two objects; {len(set(selection))} is selected.", "Select the other object as well."
        )
    keep, found = int(selection[0]), find(labels, selection, places=places)
    return LabelEdit(found.box, np.full(found.mask.shape, keep, labels.dtype), found.mask & (found.labels != keep))
