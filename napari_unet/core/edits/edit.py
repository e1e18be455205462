"""One correction as data: which voxels get which label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import bounding_box

if TYPE_CHECKING:
    from collections.abc import Sequence

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class LabelEdit:
    """Say what one correction writes.

    Parameters
    ----------
    box : tuple of slice
        The region that changes, one slice for each axis of the labels, with start and stop.
    values : integer array, shape of the box
        The labels to write.
    mask : bool array, shape of the box
        Where they are written; every other voxel stays.
    """

    box: tuple[slice, ...]
    values: Labels
    mask: NDArray[np.bool_]

    @property
    def n_voxels(self) -> int:
        """Give the number of voxels that are written."""
        return int(np.count_nonzero(self.mask))

    def indices(self) -> tuple[NDArray[np.intp], ...]:
        """Give the voxels that are written, one index array for each axis of the labels."""
        inside = np.nonzero(self.mask)
        return tuple(index + part.start for index, part in zip(inside, self.box, strict=True))

    def new_values(self) -> Labels:
        """Give the label of each voxel of `indices`, in the same order."""
        return self.values[self.mask]

    def at(self, *leading: int) -> LabelEdit:
        """Lift an edit of ``labels[leading]``, such as one time point, into the whole labels."""
        front = tuple(slice(i, i + 1) for i in leading)
        new = (np.newaxis,) * len(leading)
        return LabelEdit(front + self.box, self.values[new], self.mask[new])


def apply_edit(labels: Labels, edit: LabelEdit) -> Labels:
    """Write an edit into a copy of the labels.

    Parameters
    ----------
    labels : integer array
        Stays as it is.
    edit : LabelEdit
        Made for labels of this shape.

    Returns
    -------
    integer array
        The corrected copy; the size of the labels in memory.
    """
    corrected = labels.copy()
    corrected[edit.box][edit.mask] = edit.new_values()
    return corrected


def inverse(labels: Labels, edit: LabelEdit) -> LabelEdit:
    """Give the edit that takes `edit` back; `labels` are those before it is applied."""
    return LabelEdit(edit.box, labels[edit.box].copy(), edit.mask)


def box_of_selection(labels: Labels, selection: Sequence[int]) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """Find the selected objects.

    Parameters
    ----------
    labels : integer array, n-D
        All objects; read once, one bool array of its shape is made.
    selection : sequence of int
        Ids of objects, each greater than 0.

    Returns
    -------
    box : tuple of slice
        The smallest box around all of them.
    mask : bool array, shape of the box
        True in any of them.

    Raises
    ------
    UserError
        When nothing is selected, or an id is not in the labels.
    """
    if not selection:
        raise UserError("No object is selected.", "Click on an object first.")
    if min(selection) < 1:
        raise UserError("The background (0) is no object.", "Click on an object first.")
    mask = np.isin(labels, np.unique(np.asarray(selection, dtype=np.int64)))
    box = bounding_box(mask)
    found = {int(i) for i in np.unique(labels[box][mask[box]])}
    if missing := sorted(set(selection) - found):
        names = ", ".join(str(i) for i in missing)
        raise UserError(f"These labels have no object {names}.", "Select an object that is still there.")
    return box, mask[box]
