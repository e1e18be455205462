"""The objects of a result as columns: sorted, filtered, counted; fast where there are many thousands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_unet.app.overview import STATES, Overview

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_unet.app.annotations import Corrections, ObjectState

LABEL, SIZE, CONFIDENCE, CLASS, STATE = range(5)
"""The columns that rows are sorted by."""


@dataclass(frozen=True)
class ObjectRow:
    """One object of a labels layer; its size in the unit of its rows."""

    label: int
    size: float
    state: ObjectState
    confidence: float | None = None
    name: str = ""


@dataclass(frozen=True, eq=False)
class ObjectRows:
    """Objects with what is known of each, one after the other.

    Parameters
    ----------
    ids : (N,) int64
        Their numbers.
    sizes : (N,) float
        In `unit`.
    codes : (N,) uint8
        The place of each one's state in `STATES`.
    confidences : (N,) float, 0 to 1
        NaN where it is not known.
    reviewed : (N,) bool
        A person has judged it.
    unit : str
        ``voxels``, ``µm²`` or ``µm³``.
    classes : mapping of int to str
        Names of the classes, where labels are classes.
    """

    ids: NDArray[np.int64] = field(repr=False)
    sizes: NDArray[np.float64] = field(repr=False)
    codes: NDArray[np.uint8] = field(repr=False)
    confidences: NDArray[np.float64] = field(repr=False)
    reviewed: NDArray[np.bool_] = field(repr=False)
    unit: str = "voxels"
    classes: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Give the number of objects."""
        return len(self.ids)

    def __getitem__(self, index: int) -> ObjectRow:
        """Give one object."""
        label, sure = int(self.ids[index]), float(self.confidences[index])
        state = STATES[self.codes[index]]
        confidence = None if np.isnan(sure) else sure
        return ObjectRow(label, float(self.sizes[index]), state, confidence, self.classes.get(label, ""))

    def is_same(self, other: ObjectRows) -> bool:
        """Tell whether all that is shown of the objects is equal."""
        names = ("ids", "sizes", "codes", "confidences", "reviewed")
        pairs = ((getattr(self, name), getattr(other, name)) for name in names)
        return (self.unit, self.classes) == (other.unit, other.classes) and all(
            np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs
        )

    def looks_like(self, other: ObjectRows) -> bool:
        """Tell whether there are the same objects in the same states."""
        return np.array_equal(self.ids, other.ids) and np.array_equal(self.codes, other.codes)

    def order(self, column: int = CONFIDENCE, *, descending: bool = False) -> NDArray[np.intp]:
        """Sort the objects; those that are alike by size, the smallest first, then by number.

        Parameters
        ----------
        column : int
            One of the columns. Those of unknown confidence come last, so that where none is known the smallest are
            first.
        descending : bool
            Turns the order of the column, not of those that are alike.

        Returns
        -------
        (N,) int
            Places of the objects.
        """
        keys: dict[int, NDArray[np.float64]] = {
            LABEL: self.ids.astype(float) if not len(self.ids) or self.ids.max() < 1 << 53 else _ranks(self.ids),
            SIZE: self.sizes,
            CONFIDENCE: self.confidences,
            CLASS: _ranks(np.array([self.classes.get(one, "") for one in self.ids.tolist()])),
            STATE: self.codes.astype(float),
        }
        key = -keys[column] if descending else keys[column]
        return np.lexsort((self.ids, self.sizes, np.nan_to_num(key, nan=np.inf)))

    def has_state(self, state: str) -> NDArray[np.bool_]:
        """Tell of each object whether it has a state."""
        return np.equal(self.codes, STATES.index(cast("ObjectState", state)))

    def only(self, state: str, order: NDArray[np.intp]) -> NDArray[np.intp]:
        """Leave the objects of one state, in the same order; all where it is empty."""
        return order[self.has_state(state)[order]] if state else order

    def count_codes(self) -> NDArray[np.intp]:
        """Count the objects of each state, in the order of `STATES`."""
        return np.bincount(self.codes, minlength=len(STATES))

    def count(self) -> dict[str, int]:
        """Count the objects of each state."""
        return dict(zip(STATES, self.count_codes().tolist(), strict=True))

    @property
    def n_reviewed(self) -> int:
        """Count the objects that a person has judged."""
        return int(np.count_nonzero(self.reviewed))


def rows_of(
    found: Overview,
    c: Corrections,
    confidences: Mapping[int, float] | None = None,
    classes: Mapping[int, str] | None = None,
    voxel_size: tuple[float, ...] | None = None,
) -> ObjectRows:
    """List the objects.

    Parameters
    ----------
    found : Overview
        What there is.
    c : Corrections
        What the user said; of the same prediction.
    confidences : mapping of label to float, 0 to 1
        From the network's output.
    classes : mapping of label to str
        Names of the classes.
    voxel_size : tuple of float, µm, optional
        Of each spatial axis; without it sizes are in voxels.
    """
    sure = confidences or {}
    values = np.array([sure.get(one, np.nan) for one in found.ids.tolist()], float)
    sizes, unit = found.counts.astype(float), "voxels"
    if voxel_size is not None:
        sizes, unit = sizes * float(np.prod(voxel_size)), "µm³" if len(voxel_size) == 3 else "µm²"
    return ObjectRows(found.ids, sizes, found.codes(c), values, found.reviewed(c), unit, dict(classes or {}))


def no_rows() -> ObjectRows:
    """Give none."""
    none = np.zeros(0)
    return ObjectRows(none.astype(np.int64), none, none.astype(np.uint8), none, none.astype(bool))


def _ranks(values: NDArray[np.generic]) -> NDArray[np.float64]:
    ranks: NDArray[np.float64] = np.unique(values, return_inverse=True)[1].astype(float)
    return ranks
