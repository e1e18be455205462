"""Count and state of each object, found block by block, so that a job beside the window never holds it up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import fastremap
import numpy as np

from napari_unet.app.annotations import ObjectState
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.edits.find import blocks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.app.annotations import Box, Corrections, Labels
    from napari_unet.app.job import Stop

STATES: tuple[ObjectState, ...] = get_args(ObjectState)
OFTEN = 16  # blocks between two reports: a superseded look ends soon


@dataclass(frozen=True, eq=False)
class Overview:
    """Say what objects there were at one moment.

    Parameters
    ----------
    ids, counts : (N,) int64
        The objects, by their number, and the voxels of each.
    edited : set of int
        Objects that differ from the kept prediction, now or before it was written.
    inside : (N,) bool
        Of which more than half lies in finished regions.
    predicted : integer array
        The kept prediction they were compared with.
    done : tuple of Box
        The finished regions.
    """

    ids: NDArray[np.int64] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)
    edited: frozenset[int]
    inside: NDArray[np.bool_] = field(repr=False)
    predicted: Labels = field(repr=False)
    done: tuple[Box, ...] = ()

    @property
    def sizes(self) -> dict[int, int]:
        """Give the voxels of each object."""
        return dict(zip(self.ids.tolist(), self.counts.tolist(), strict=True))

    def codes(self, c: Corrections) -> NDArray[np.uint8]:
        """Give the state of each object as its place in `STATES`; `c` of the same prediction."""
        found = np.zeros(len(self.ids), np.uint8)
        for code, chosen in enumerate((self.edited, c.accepted, c.unsure), start=1):
            if chosen:
                found[np.isin(self.ids, np.fromiter(chosen, np.int64, len(chosen)))] = code
        return found

    def states(self, c: Corrections) -> dict[int, ObjectState]:
        """Say of each object whether it is predicted, edited, accepted or unsure; `c` of the same prediction."""
        return {one: STATES[code] for one, code in zip(self.ids.tolist(), self.codes(c).tolist(), strict=True)}

    def reviewed(self, c: Corrections) -> NDArray[np.bool_]:
        """Tell of each object whether a person has judged it: by itself, or with a finished region."""
        return (self.codes(c) > 0) | self.inside


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
    inside: dict[int, int] = {}
    touched: set[int] = set()
    blocks = list(blocks_of(labels))
    for at, block in enumerate(blocks):
        if at % OFTEN == 0:
            report(Progress(at, len(blocks), "counting objects"))
        part, before = np.ascontiguousarray(labels[block]), c.predicted[block]
        ids, counts = fastremap.unique(part, return_counts=True)
        for one, n in zip(ids.tolist(), counts.tolist(), strict=True):
            sizes[one] = sizes.get(one, 0) + n
        _count_done(inside, part, [here for box in c.done if (here := _within(box, block)) is not None])
        differs = part != before
        if differs.any():
            for values in (part[differs], before[differs]):
                touched.update(fastremap.unique(values).tolist())
    sizes.pop(0, None)
    there = sorted(sizes)
    ids = np.array(there, np.int64)
    counts = np.array([sizes[one] for one in there], np.int64)
    is_inside = 2 * np.array([inside.get(one, 0) for one in there], np.int64) > counts
    edited = frozenset((touched | c.edited) & sizes.keys())
    return Overview(ids, counts, edited, is_inside, c.predicted, c.done)


def _within(box: Box, block: Box) -> Box | None:
    """Give the part of a box that lies in a block, counted from the block's corner; None without any."""
    low = [max(a.start, b.start) for a, b in zip(box, block, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(box, block, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return None
    return tuple(slice(a - b.start, z - b.start) for a, z, b in zip(low, high, block, strict=True))


def _count_done(inside: dict[int, int], part: Labels, boxes: list[Box]) -> None:
    """Add the voxels of each object that lie in any of the boxes, each once."""
    if not boxes:
        return
    mask = np.zeros(part.shape, bool)
    for box in boxes:
        mask[box] = True
    ids, counts = fastremap.unique(part[mask], return_counts=True)
    for one, n in zip(ids.tolist(), counts.tolist(), strict=True):
        inside[one] = inside.get(one, 0) + n


def overview(c: Corrections, labels: Labels) -> Overview:
    """Do the same at once."""
    return look_over((c, labels), silent, bool)
