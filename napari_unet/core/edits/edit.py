"""One correction as data: which voxels get which label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.tiles import bounding_box, shift

if TYPE_CHECKING:
    from napari_unet.core.base.errors import UserError

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
        inside = np.unravel_index(np.flatnonzero(self.mask), self.mask.shape)  # many times faster than np.nonzero
        return tuple(index + part.start for index, part in zip(inside, self.box, strict=True))

    def new_values(self) -> Labels:
        """Give the label of each voxel of `indices`, in the same order."""
        return self.values[self.mask]

    def at(self, *key: int | None) -> LabelEdit:
        """Lift an edit of a part of the labels, such as one time point or slice, into the whole labels.

        Parameters
        ----------
        *key : int or None
            What the labels were indexed with, axis by axis: a position, or None for an axis that was kept; axes that
            are not named were kept as well.
        """
        parts = iter(self.box)
        front = tuple(next(parts) if at is None else slice(at, at + 1) for at in key)
        new = tuple(slice(None) if at is None else np.newaxis for at in key)
        return LabelEdit((*front, *parts), self.values[new], self.mask[new])


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


def edit_between(box: tuple[slice, ...], before: Labels, after: Labels, nothing: UserError) -> LabelEdit:
    """Give the edit that makes `after` of `before`.

    Parameters
    ----------
    box : tuple of slice
        Where both lie in the labels.
    before, after : integer arrays, shape of the box
        What is there, and what shall be there.
    nothing : UserError
        Raised where both are the same: a step that changes nothing would only clutter the undo list.

    Returns
    -------
    LabelEdit
        With the smallest box around what differs.
    """
    mask = before != after
    inner = bounding_box(mask)
    if any(part.stop <= part.start for part in inner):
        raise nothing
    return LabelEdit(shift(inner, tuple(part.start for part in box)), after[inner], mask[inner])
