"""Where objects are, known before anybody looks: then a tool reads a box instead of all labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box


@dataclass(frozen=True, eq=False)
class Places:
    """Say where each object is.

    Parameters
    ----------
    ids : (N,) int64
        All objects, ascending.
    low, high : (N, axes) int
        A box that holds each of them; it may be larger than the object.
    counts : (N,) int64 or None
        The voxels of each; None where they are not known, as for a part of the labels.
    """

    ids: NDArray[np.int64] = field(repr=False)
    low: NDArray[np.int64] = field(repr=False)
    high: NDArray[np.int64] = field(repr=False)
    counts: NDArray[np.int64] | None = field(default=None, repr=False)

    @property
    def highest(self) -> int:
        """Give the largest id; 0 without objects."""
        return int(self.ids[-1]) if len(self.ids) else 0

    def has(self, one: int) -> bool:
        """Tell whether an object is there."""
        return self._rows([one]) is not None

    def box(self, ids: Sequence[int]) -> Box | None:
        """Give a box that holds all of some objects; None where one of them is not known."""
        rows = self._rows(ids)
        if rows is None:
            return None
        low, high = self.low[rows].min(axis=0).tolist(), self.high[rows].max(axis=0).tolist()
        return tuple(slice(a, b) for a, b in zip(low, high, strict=True))

    def n_voxels(self, ids: Sequence[int]) -> int | None:
        """Count the voxels of some objects; None where that is not known."""
        rows = self._rows(ids)
        return None if rows is None or self.counts is None else int(self.counts[rows].sum())

    def inside(self, key: Sequence[int | None]) -> Places:
        """Give the places in a part of the labels.

        Parameters
        ----------
        key : sequence of int or None
            What the labels are indexed with, axis by axis: a position, or None for an axis that is kept; axes that are
            not named are kept as well.
        """
        if all(at is None for at in key):
            return self
        fixed = [axis for axis, at in enumerate(key) if at is not None]
        there = np.array([key[axis] for axis in fixed])
        meets = ((self.low[:, fixed] <= there) & (there < self.high[:, fixed])).all(axis=1)
        kept = [axis for axis in range(self.low.shape[1]) if axis not in fixed]
        return Places(self.ids[meets], self.low[meets][:, kept], self.high[meets][:, kept])

    def _rows(self, ids: Sequence[int]) -> NDArray[np.intp] | None:
        wanted = np.asarray(ids, np.int64)
        rows = np.searchsorted(self.ids, wanted)
        is_there = rows < len(self.ids)
        is_there[is_there] = self.ids[rows[is_there]] == wanted[is_there]
        return rows if is_there.all() else None
