"""Find where objects lie, block by block, and suggest the region to correct next: beside the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import fastremap
import numpy as np
import scipy  # its parts load when first used: the dock opens without them

from napari_unet.app.overview import look_over
from napari_unet.app.suggest import Places, Suggestion, suggest_region
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress, Report
from napari_unet.core.edits.find import blocks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.app.annotations import Box, Corrections, Labels
    from napari_unet.app.job import Stop
    from napari_unet.app.overview import Overview

OFTEN = 16  # blocks between two reports


@dataclass(frozen=True, eq=False)
class SuggestRequest:
    """Ask for a region.

    Parameters
    ----------
    labels : integer array
        As the layer has them; may be painted meanwhile.
    corrections : Corrections
        What the user said.
    axes : str
        Of the labels.
    voxel_size : tuple of float, µm, or None
        One for each spatial axis.
    confidence : mapping of int to float, 0 to 1
        Of predicted objects.
    earlier : tuple of Box
        Regions suggested before.
    known : Overview or None
        What is known of the objects, where that is up to date.
    """

    labels: Labels = field(repr=False)
    corrections: Corrections = field(repr=False)
    axes: str
    voxel_size: tuple[float, ...] | None = None
    confidence: Mapping[int, float] = field(default_factory=dict, repr=False)
    earlier: tuple[Box, ...] = ()
    known: Overview | None = field(default=None, repr=False)


def look_for_region(request: SuggestRequest, report: Report, stop: Stop) -> Suggestion:
    """Find the region most worth correcting next; a job function.

    Raises
    ------
    UserError
        For classes; when there are no objects, or none is left to be judged.
    """
    c, labels = request.corrections, request.labels
    if c.semantic:
        raise UserError(
            "These labels are classes, not single objects: no region can be suggested.",
            "Draw a region where the classes look wrong.",
        )
    known = request.known or look_over((c, labels), report, stop)
    if not len(known.ids):
        raise UserError("There are no objects yet.", "Segment the image first, or draw some.")
    places = find_places(labels, report, has_time=request.axes.startswith("T"))
    judged = known.ids[known.reviewed(c)]
    found = suggest_region(
        places,
        labels.shape,
        reviewed=np.isin(places.ids, judged),
        confidence=request.confidence,
        voxel_size=request.voxel_size,
        done=c.done,
        earlier=request.earlier,
    )
    if found is None:
        raise UserError("Every object outside the finished regions has been reviewed.", "Train, or segment again.")
    return found


def find_places(labels: Labels, report: Report, *, has_time: bool = False) -> Places:
    """Find the box of each object, at each time point.

    Parameters
    ----------
    labels : integer array, ([T,] [Z,] Y, X)
        Read block by block.
    report : callable
        Gets the progress.
    has_time : bool
        The first axis is time.
    """
    n_axes = labels.ndim
    found = [np.zeros((0, 2 + 2 * n_axes), np.int64)]
    blocks = list(_blocks(labels, has_time=has_time))
    for at, block in enumerate(blocks):
        if at % OFTEN == 0:
            report(Progress(at, len(blocks), "looking for a region"))
        found.append(_places_in(np.ascontiguousarray(labels[block]), [part.start for part in block]))
    rows = np.concatenate(found)
    keys = [rows[:, 0], rows[:, 2]] if has_time else [rows[:, 0]]
    rows = rows[np.lexsort(keys)]
    new = np.ones(len(rows), bool)
    if len(rows):
        columns = [0, 2] if has_time else [0]
        new[1:] = (np.diff(rows[:, columns], axis=0) != 0).any(axis=1)
    first = np.flatnonzero(new)
    if not len(first):
        return Places(rows[:, 0], rows[:, 1], rows[:, 2 : 2 + n_axes], rows[:, 2 + n_axes :], has_time)
    return Places(
        rows[first, 0],
        np.add.reduceat(rows[:, 1], first),
        np.minimum.reduceat(rows[:, 2 : 2 + n_axes], first),
        np.maximum.reduceat(rows[:, 2 + n_axes :], first),
        has_time,
    )


def _blocks(labels: Labels, *, has_time: bool) -> Iterator[Box]:
    """Cut labels into blocks, each of one time point."""
    if not has_time:
        yield from blocks_of(labels)
        return
    for time in range(labels.shape[0]):
        for block in blocks_of(labels[time]):
            yield (slice(time, time + 1), *block)


def _places_in(part: Labels, corner: Sequence[int]) -> NDArray[np.int64]:
    """Give a row for each object of a block: its number, its voxels, its low and its high corner in the whole."""
    numbered, numbers = fastremap.renumber(part, preserve_zero=True, in_place=False)
    numbers.pop(0, None)
    counts = np.bincount(numbered.ravel())
    boxes = scipy.ndimage.find_objects(numbered)
    rows = [
        (one, counts[int(n)], *(p.start for p in boxes[int(n) - 1]), *(p.stop for p in boxes[int(n) - 1]))
        for one, n in numbers.items()
    ]
    found = np.array(rows, np.int64).reshape(-1, 2 + 2 * part.ndim)
    found[:, 2:] += np.tile(corner, 2)
    return found
