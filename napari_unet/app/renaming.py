"""Give objects other ids without touching what is known about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import fastremap
import numpy as np

from napari_unet.app.annotations import unique_ids
from napari_unet.core.edits.find import blocks_of, has

if TYPE_CHECKING:
    from napari_unet.app.annotations import Labels
    from napari_unet.app.result import Result

FEW = 4  # below it, comparing with each id is faster than a table


def renamed(result: Result, labels: Labels, names: Mapping[int, int], frame: tuple[int | slice, ...] = ()) -> Result:
    """Carry states, confidence and the kept prediction over to new ids: a new number is no correction.

    Parameters
    ----------
    result : Result
        Stays as it is.
    labels : integer array
        As they are before the new ids are written.
    names : mapping of int to int
        Old to new id of each object that gets another; no new id belongs to an object that keeps its own.
    frame : tuple of int and slice
        The part of the labels in which it happens, such as one time point; everywhere by default.

    Returns
    -------
    Result
        Needs a copy of the prediction.
    """
    c = result.corrections
    predicted = np.array(c.predicted)
    part = predicted[frame]
    # A predicted object that was deleted may have one of the new ids: it must not be taken for the renamed one.
    ghosts = [one for one in sorted(set(names.values()) - set(names)) if _is_in(part, one, len(names))]
    free = int(max(int(part.max(initial=0)), int(labels.max(initial=0)), *names.values())) + 1 if ghosts else 0
    if max(free + len(ghosts), *names.values()) > np.iinfo(predicted.dtype).max:
        predicted = predicted.astype(np.int64)
        part = predicted[frame]
    _rename(part, {**names, **{one: free + n for n, one in enumerate(ghosts)}})
    predicted.flags.writeable = False
    elsewhere: frozenset[int] = frozenset()
    if frame:
        rest = labels.copy()
        rest[frame] = 0
        elsewhere = unique_ids(rest)

    def moved(ids: Iterable[int]) -> frozenset[int]:
        known = frozenset(ids)
        new = {names.get(one, one) for one in known if one in names or one not in names.values()}
        return frozenset(new) | (known & names.keys() & elsewhere)

    sure = {names.get(one, one): value for one, value in result.confidence.items()}
    return replace(
        result,
        corrections=replace(
            c, predicted=predicted, accepted=moved(c.accepted), unsure=moved(c.unsure), edited=moved(c.edited)
        ),
        confidence=sure | {one: value for one, value in result.confidence.items() if one in elsewhere},
    )


def _is_in(labels: Labels, one: int, n_asked: int) -> bool:
    return has(labels, one) if n_asked < FEW else True


def _rename(labels: Labels, names: Mapping[int, int]) -> None:
    """Write new ids in place, all at once in each block; arrays of the size of the labels would take longer."""
    for block in blocks_of(labels):
        part = labels[block]
        if len(names) < FEW:
            places = [(part == old, new) for old, new in names.items()]
            for place, new in places:
                part[place] = new
        else:  # by blocks as well: fastremap lets nobody else compute meanwhile
            labels[block] = fastremap.remap(np.ascontiguousarray(part), dict(names), preserve_missing_labels=True)
