"""Count and state of each object, found block by block, so that a job beside the window never holds it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import fastremap
import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.edits.find import blocks_of

if TYPE_CHECKING:
    from napari_unet.app.annotations import Corrections, Labels, ObjectState
    from napari_unet.app.job import Stop

OFTEN = 16  # blocks between two reports: a superseded look ends soon


@dataclass(frozen=True)
class Overview:
    """Say what objects there were at one moment.

    Parameters
    ----------
    sizes : mapping of int to int
        Voxels of each object.
    edited : set of int
        Objects that differ from the kept prediction, now or before it was written.
    predicted : integer array
        The kept prediction they were compared with.
    """

    sizes: Mapping[int, int]
    edited: frozenset[int]
    predicted: Labels = field(repr=False)

    def states(self, c: Corrections) -> dict[int, ObjectState]:
        """Say of each object whether it is predicted, edited, accepted or unsure; `c` of the same prediction."""
        ids = self.sizes.keys()
        found: dict[int, ObjectState] = dict.fromkeys(sorted(ids), "predicted")
        found |= dict.fromkeys(self.edited & ids, "edited")
        found |= dict.fromkeys(c.accepted & ids, "accepted")
        found |= dict.fromkeys(c.unsure & ids, "unsure")
        return found


def look_over(request: tuple[Corrections, Labels], report: Report, stop: Stop) -> Overview:
    """Count all objects and compare them with the kept prediction; a job function.

    The labels may be painted meanwhile: then what is found is of no use, and nothing else happens.

    Raises
    ------
    UserError
        When the labels have another shape than the prediction.
    """
    c, labels = request
    if labels.shape != c.predicted.shape:
        raise UserError(
            f"The labels have the shape {labels.shape}, their prediction had {c.predicted.shape}.",
            "Make a new labels layer with Segment.",
        )
    sizes: dict[int, int] = {}
    touched: set[int] = set()
    blocks = list(blocks_of(labels))
    for at, block in enumerate(blocks):
        if at % OFTEN == 0:
            report(Progress(at, len(blocks), "counting objects"))
        part, before = np.ascontiguousarray(labels[block]), c.predicted[block]
        ids, counts = fastremap.unique(part, return_counts=True)
        for one, n in zip(ids.tolist(), counts.tolist(), strict=True):
            sizes[one] = sizes.get(one, 0) + n
        differs = part != before
        if differs.any():
            for values in (part[differs], before[differs]):
                touched.update(fastremap.unique(values).tolist())
    sizes.pop(0, None)
    return Overview(sizes, frozenset((touched | c.edited) & sizes.keys()), c.predicted)


def overview(c: Corrections, labels: Labels) -> Overview:
    """Do the same at once."""
    return look_over((c, labels), silent, bool)
