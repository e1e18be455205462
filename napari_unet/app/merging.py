"""Write a prediction into labels that a user has worked on: what was corrected or accepted always wins."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import fastremap
import numpy as np

from napari_unet.app.annotations import (
    Box,
    Corrections,
    Labels,
    Mask,
    changes,
    checked_box,
    decided_voxels,
    done_mask,
    start,
    unique_ids,
)
from napari_unet.core.base.errors import UserError


def merge_prediction(
    c: Corrections, labels_now: Labels, prediction: Labels, box: Box | None = None, *, first: int | None = None
) -> tuple[Labels, Corrections]:
    """Replace what nobody touched by a new prediction.

    Accepted and edited objects, and objects that reach into a finished region, never change and keep their ids; what
    was deleted, erased or marked as background stays background; a predicted object loses the voxels in both and is
    dropped when more than half of it is lost. Outside the box nothing changes; an object that crosses the box's
    border goes on under its old id.

    Parameters
    ----------
    c : Corrections
        What the user said; with the prediction that was written last.
    labels_now : integer array
        The layer's array as it is now; stays as it is.
    prediction : integer array
        Of the labels' shape, or of the box's.
    box : Box, optional
        The region that was predicted; the whole by default.
    first : int, optional
        Number of the first new object; by default it follows the largest that stays.

    Returns
    -------
    labels : integer array, dtype of `labels_now`
        The new labels.
    corrections : Corrections
        With these labels as the kept prediction, and earlier edits and erasures remembered.

    Raises
    ------
    UserError
        When shapes do not fit or the labels' type has no room for the new ids.
    """
    where = checked_box(box or (slice(None),) * labels_now.ndim, labels_now.shape)
    now, prediction = labels_now[where], np.ascontiguousarray(prediction, np.int32)
    if prediction.shape != now.shape:
        raise UserError(
            f"The prediction has the shape {prediction.shape}, its place in the labels {now.shape}.",
            "Segment again: the labels were replaced meanwhile.",
        )
    if c.semantic:
        return _merge_classes(c, labels_now, prediction, where)
    found = changes(c, labels_now)
    decided = decided_voxels(c, labels_now, found)
    finished = done_mask(c)
    protected = (c.accepted | found.edited) | unique_ids(labels_now[finished])
    kept = np.isin(now, list(protected)) & (now > 0)
    closed = decided if c.background is None else decided | c.background
    blocked = kept | closed[where] | finished[where]
    labels = labels_now.copy()
    labels[where][~kept] = 0
    staying = unique_ids(labels)
    survivors = _survivors(prediction, blocked)
    free = ~blocked & (prediction > 0)
    pieces = np.where(free & np.isin(prediction, survivors), prediction, 0) if box is not None else None
    old = {} if pieces is None else _continued(labels, where, pieces, now)
    ids = {one: old[one] for one in survivors if one in old}
    fresh = [one for one in survivors if one not in old]
    ids |= dict(zip(fresh, count(max(staying, default=0) + 1 if first is None else first), strict=False))
    _write(labels[where], prediction, free, ids)
    background = closed & (labels == 0)
    merged = replace(
        start(labels),
        accepted=c.accepted & staying,
        unsure=c.unsure & staying,
        edited=found.edited,
        background=background if background.any() else None,
        done=c.done,
    )
    return labels, merged


def _merge_classes(c: Corrections, labels_now: Labels, prediction: Labels, where: Box) -> tuple[Labels, Corrections]:
    decided = decided_voxels(c, labels_now)
    keep = (decided | done_mask(c))[where]
    labels = labels_now.copy()
    fresh = prediction if c.background is None else np.where(c.background[where], 0, prediction)
    labels[where] = np.where(keep, labels_now[where], fresh)
    merged = replace(
        start(labels, semantic=True),
        painted=decided if decided.any() else None,
        background=c.background,
        done=c.done,
    )
    return labels, merged


def _survivors(prediction: Labels, blocked: Mask) -> list[int]:
    """Give the predicted objects that keep at least half of their voxels, in the order of their numbers."""
    numbers, sizes = fastremap.unique(prediction, return_counts=True)
    hit, lost = np.unique(prediction[blocked], return_counts=True)
    gone = dict(zip(hit.tolist(), lost.tolist(), strict=True))
    return [
        one
        for one, size in zip(numbers.tolist(), sizes.tolist(), strict=True)
        if one > 0 and 2 * gone.get(one, 0) <= size
    ]


def _write(place: Labels, prediction: Labels, free: Mask, ids: dict[int, int]) -> None:
    """Write the objects of a prediction into a place, each under its new id; the others are dropped."""
    highest = max(ids.values(), default=0)
    if highest > np.iinfo(place.dtype).max:
        raise UserError(
            f"The labels are {place.dtype}: they have no room for object {highest}.",
            "Convert the labels layer to int32.",
        )
    dropped = dict.fromkeys(unique_ids(prediction) - ids.keys(), 0)
    renamed = fastremap.remap(prediction, {0: 0, **dropped, **ids})
    np.copyto(place, renamed, where=free & (renamed > 0), casting="unsafe")


def _continued(rest: Labels, where: Box, pieces: Labels, now: Labels) -> dict[int, int]:
    """Find for each piece the object that crosses the box's border and covered at least half of it; one piece each."""
    outside = rest.copy()
    outside[where] = 0
    both = (pieces > 0) & (now > 0) & (rest[where] == 0)
    crossing = unique_ids(now[both]) & unique_ids(outside)
    if not crossing:
        return {}
    both &= np.isin(now, list(crossing))
    pairs, overlaps = np.unique(np.stack([pieces[both], now[both]]).astype(np.int64), axis=1, return_counts=True)
    sizes = dict(zip(*(part.tolist() for part in np.unique(pieces, return_counts=True)), strict=True))
    found: dict[int, int] = {}
    for at in np.argsort(-overlaps, kind="stable"):
        piece, old = int(pairs[0, at]), int(pairs[1, at])
        is_new = piece not in found and old not in found.values()
        if old in crossing and is_new and 2 * overlaps[at] >= sizes[piece]:
            found[piece] = old
    return found
