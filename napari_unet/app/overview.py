"""Count, place and state of each object: found block by block beside the window, then kept by following changes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, get_args

import numpy as np

from napari_unet.app.annotations import ObjectState
from napari_unet.app.object_counts import added_up, counted, counts_of_block, counts_of_change
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.edits.find import blocks_of
from napari_unet.core.edits.places import Places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_unet.app.annotations import Box, Corrections, Labels
    from napari_unet.app.job import Stop
    from napari_unet.app.object_counts import Change, Counts

STATES: tuple[ObjectState, ...] = get_args(ObjectState)
OFTEN = 16  # blocks between two reports: a superseded look ends soon
MOST_CHANGED = 300_000
"""Voxels; after a larger change it is faster to look at all labels anew, beside the window."""


@dataclass(frozen=True, eq=False)
class Overview:
    """Say what objects there were at one moment.

    Parameters
    ----------
    rows : Counts
        One of each object, ascending.
    edited_before : set of int
        Objects that were edited before the prediction was written.
    predicted : integer array
        The kept prediction they were compared with.
    done : tuple of Box
        The finished regions.
    """

    rows: Counts = field(repr=False)
    edited_before: frozenset[int]
    predicted: Labels = field(repr=False)
    done: tuple[Box, ...] = ()

    @cached_property
    def _there(self) -> NDArray[np.bool_]:
        return self.rows.n_voxels > 0

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """Give the objects, by their number."""
        return self.rows.ids[self._there]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Give the voxels of each object."""
        return self.rows.n_voxels[self._there]

    @cached_property
    def edited(self) -> frozenset[int]:
        """Name the objects that differ from the kept prediction, now or before it was written."""
        now = self.rows.ids[self._there & (self.rows.n_differing > 0)]
        return frozenset(now.tolist()) | (self.edited_before & frozenset(self.ids.tolist()))

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Tell of each object whether more than half of it lies in finished regions."""
        return 2 * self.rows.n_done[self._there] > self.counts

    @cached_property
    def places(self) -> Places:
        """Say where the objects are."""
        return Places(self.ids, self.rows.low[self._there], self.rows.high[self._there], self.counts)

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

    def after(self, changes: Iterable[Change]) -> Overview | None:
        """Give what there is after some changes, one after the other; None where it is better to look anew.

        The labels themselves are not read.
        """
        changed = list(changes)
        if sum(len(one.before) for one in changed) > MOST_CHANGED:
            return None
        new = [rows for one in changed for rows in counts_of_change(one, self.predicted, self.done)]
        return replace(self, rows=added_up([self.rows, *new]))


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
    rows = [counted(np.zeros(0, labels.dtype), labels.ndim, "n_voxels")]
    blocks = list(blocks_of(labels))
    for at, block in enumerate(blocks):
        if at % OFTEN == 0:
            report(Progress(at, len(blocks), "counting objects"))
        part, before = np.array(labels[block], order="C"), c.predicted[block]  # a copy: it may be painted meanwhile
        rows += counts_of_block(part, block)
        done = [here for box in c.done if (here := _within(box, block)) is not None]
        if done:
            mask = np.zeros(part.shape, bool)
            for box in done:
                mask[box] = True
            rows.append(counted(part[mask], labels.ndim, "n_done"))
        differs = part != before
        if differs.any():
            rows += [counted(values[differs], labels.ndim, "n_differing") for values in (part, before)]
    return Overview(added_up(rows), c.edited, c.predicted, c.done)


def _within(box: Box, block: Box) -> Box | None:
    """Give the part of a box that lies in a block, counted from the block's corner; None without any."""
    low = [max(a.start, b.start) for a, b in zip(box, block, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(box, block, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return None
    return tuple(slice(a - b.start, z - b.start) for a, z, b in zip(low, high, block, strict=True))


def overview(c: Corrections, labels: Labels) -> Overview:
    """Do the same at once."""
    return look_over((c, labels), silent, bool)
