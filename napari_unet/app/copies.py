"""Copy labels into memory that is there already: to get new memory takes several times longer than the copy itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_unet.app.annotations import Labels

LARGE_BYTES = 16_000_000
"""Labels from which on room is made beforehand, beside the window."""

SLABS = 16
"""In which labels are compared: the memory for the whole comparison would be new, too."""


def copied(labels: Labels, room: Labels | None = None) -> Labels:
    """Copy labels.

    Parameters
    ----------
    labels : integer array
        Not changed.
    room : integer array or None
        Takes the copy, and is given back, if it has the shape and the dtype of the labels.
    """
    fits = room is not None and (room.shape, room.dtype) == (labels.shape, labels.dtype)
    copy = room if room is not None and fits else np.empty(labels.shape, labels.dtype)
    np.copyto(copy, labels)
    return copy


def room_like(labels: Labels) -> Labels | None:
    """Make room for a copy of labels; None where there is none, so that the copy will tell."""
    try:
        return np.full(labels.shape, 1, labels.dtype)  # written, since the system gives it only then
    except MemoryError:
        return None


def is_same(a: Labels, b: Labels) -> bool:
    """Tell whether labels have the same shape and voxels."""
    slabs = zip(np.array_split(a, SLABS), np.array_split(b, SLABS), strict=True)
    return a.shape == b.shape and all(np.array_equal(one, other) for one, other in slabs)
