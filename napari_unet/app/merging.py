"""Write a prediction into labels that a user has worked on: what was corrected or accepted always wins."""

from __future__ import annotations

from dataclasses import replace

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
    c: Corrections, labels_now: Labels, prediction: Labels, box: Box | None = None
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

    Returns
    -------
    labels : integer array, dtype of `labels_now`
        The new labels; new ids follow the largest that stays.
    corrections : Corrections
        With these labels as the kept prediction, and earlier edits and erasures remembered.

    Raises
    ------
    UserError
        When shapes do not fit or the labels' type has no room for the new ids.
    """
    where = checked_box(box or (slice(None),) * labels_now.ndim, labels_now.shape)
    now = labels_now[where]
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
    rest = labels_now.copy()
    rest[where][~kept] = 0
    staying = unique_ids(rest)
    pieces = _surviving(prediction, blocked)
    labels = _with_new_ids(rest, where, pieces, now)
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


def _surviving(prediction: Labels, blocked: Mask) -> Labels:
    """Take blocked voxels from predicted objects, drop those that lost more than half, number the others 1, 2, ..."""
    numbered, _ = fastremap.renumber(np.ascontiguousarray(prediction), preserve_zero=True)
    numbered = numbered.astype(np.int32)
    free = np.where(blocked, 0, numbered)
    before = np.bincount(numbered.ravel())
    after = np.bincount(free.ravel(), minlength=len(before))
    alive = (2 * after >= before) & (after > 0)
    alive[0] = False
    table = np.where(alive, np.cumsum(alive), 0).astype(np.int32)
    return table[free]


def _with_new_ids(rest: Labels, where: Box, pieces: Labels, now: Labels) -> Labels:
    """Write the pieces into what stays, with new ids, or with that of the object they continue."""
    n_pieces = int(pieces.max(initial=0))
    first = int(rest.max(initial=0)) + 1
    if first + n_pieces - 1 > np.iinfo(rest.dtype).max:
        raise UserError(
            f"The labels are {rest.dtype}: they have no room for {n_pieces} more objects.",
            "Convert the labels layer to int32.",
        )
    table = np.zeros(n_pieces + 1, rest.dtype)
    old = _continued(rest, where, pieces, now)
    fresh = [piece for piece in range(1, n_pieces + 1) if piece not in old]
    table[fresh] = np.arange(first, first + len(fresh))
    for piece, one in old.items():
        table[piece] = one
    written = pieces > 0
    rest[where][written] = table[pieces[written]]
    return rest


def _continued(rest: Labels, where: Box, pieces: Labels, now: Labels) -> dict[int, int]:
    """Find for each piece the object that crosses the box's border and covered at least half of it; one piece each."""
    if rest.shape == now.shape:
        return {}
    outside = rest.copy()
    outside[where] = 0
    both = (pieces > 0) & (now > 0) & (rest[where] == 0)
    crossing = unique_ids(now[both]) & unique_ids(outside)
    pairs, overlaps = np.unique(np.stack([pieces[both], now[both]]).astype(np.int64), axis=1, return_counts=True)
    sizes = np.bincount(pieces.ravel())
    found: dict[int, int] = {}
    for at in np.argsort(-overlaps, kind="stable"):
        piece, old = int(pairs[0, at]), int(pairs[1, at])
        is_new = piece not in found and old not in found.values()
        if old in crossing and is_new and 2 * overlaps[at] >= sizes[piece]:
            found[piece] = old
    return found
