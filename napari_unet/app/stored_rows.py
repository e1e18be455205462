"""The objects of labels on the disk as rows: what was written of them with the labels, without reading a voxel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.app.object_rows import ObjectRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_unet.app.annotations import Box

MOST_ROWS = 200_000
"""That are listed: the least certain ones of more."""


@dataclass(frozen=True, eq=False)
class StoredObjects:
    """What is known of the objects of stored labels.

    Parameters
    ----------
    rows : ObjectRows
        The listed ones, as they were segmented: strokes are not counted.
    total : int
        Of all objects.
    columns : dict
        As `io.read_objects` gives them, by the number of the object.
    """

    rows: ObjectRows
    total: int
    columns: Mapping[str, NDArray[np.generic]] = field(repr=False)

    def box(self, label: int) -> Box | None:
        """Give the box around an object, one slice for each axis of the labels; None where it is not known."""
        low, high = self.columns.get("low"), self.columns.get("high")
        if low is None or high is None or not 0 <= label < len(low):
            return None
        box = tuple(slice(int(a), int(b)) for a, b in zip(low[label], high[label], strict=True))
        times = self.columns.get("time")
        return box if times is None else (slice(int(times[label]), int(times[label]) + 1), *box)

    def describe(self, name: str) -> str:
        """Say how many there are."""
        only = f"; the {len(self.rows)} least certain are listed" if len(self.rows) < self.total else ""
        return (
            f"{name}: {self.total} object{'s' * (self.total != 1)} as they were segmented{only}. They lie on the disk: "
            "choose one to look at it, and 'Segment: this view' to correct there with all tools."
        )


def stored_objects(
    columns: Mapping[str, NDArray[np.generic]], voxel_size: tuple[float, ...] | None = None, most: int = MOST_ROWS
) -> StoredObjects:
    """List the objects of stored labels.

    Parameters
    ----------
    columns : dict of (N + 1, ...) arrays
        As `io.read_objects` gives them; empty for classes.
    voxel_size : tuple of float, µm, optional
        Of each spatial axis; without it sizes are in voxels.
    most : int
        So many are listed.
    """
    sizes = np.asarray(columns.get("size", np.zeros(1)), np.float64)
    sure = np.asarray(columns.get("confidence", np.full(len(sizes), np.nan)), np.float64)
    ids = 1 + np.flatnonzero(sizes[1:])
    total = len(ids)
    if total > most:
        worst = np.argpartition(np.nan_to_num(sure[ids], nan=np.inf), most)[:most]
        ids = np.sort(ids[worst])
    unit, factor = "voxels", 1.0
    if voxel_size is not None:
        unit, factor = "µm³" if len(voxel_size) == 3 else "µm²", float(np.prod(voxel_size))
    n = len(ids)
    rows = ObjectRows(ids, sizes[ids] * factor, np.zeros(n, np.uint8), sure[ids], np.zeros(n, bool), unit)
    return StoredObjects(rows, total, columns)
