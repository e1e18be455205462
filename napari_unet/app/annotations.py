"""What the user corrected, accepted and finished: found by comparing the labels with the kept prediction.

The labels layer's array is the only truth about corrections; nothing here listens to painting. `Corrections` never
changes: each verb gives a new one, so that undo puts the old one back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import fastremap
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError

Box = tuple[slice, ...]
Labels = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]
ObjectState = Literal["predicted", "edited", "accepted", "unsure"]


@dataclass(frozen=True, eq=False)
class Corrections:
    """Keep what a labels layer is compared with, and what the user said about it.

    Parameters
    ----------
    predicted : integer array, shape of the labels
        The prediction as it was last written into the layer; the size of the labels in memory.
    accepted, unsure : set of int
        Objects the user accepted, and those that shall not teach.
    edited : set of int
        Objects edited before the last prediction was written; later edits are found by comparison.
    background : bool array, shape of the labels, or None
        Voxels known to be background unless the user drew over them: deleted and erased before the last prediction
        was written, and background strokes.
    painted : bool array, shape of the labels, or None
        Classes only: voxels the user painted before the last prediction was written.
    done : tuple of Box
        Regions in which everything is right, in voxels, one slice for each axis of the labels.
    semantic : bool
        The labels are classes, not objects.
    """

    predicted: Labels = field(repr=False)
    accepted: frozenset[int] = frozenset()
    unsure: frozenset[int] = frozenset()
    edited: frozenset[int] = frozenset()
    background: Mask | None = field(default=None, repr=False)
    painted: Mask | None = field(default=None, repr=False)
    done: tuple[Box, ...] = ()
    semantic: bool = False


@dataclass(frozen=True, eq=False)
class Changes:
    """Say how labels differ from the kept prediction.

    Parameters
    ----------
    edited : set of int
        Objects of the labels that gained or lost a voxel, now or before the last prediction was written.
    erased : bool array, shape of the labels
        Voxels that carried a predicted object and carry none now.
    """

    edited: frozenset[int]
    erased: Mask = field(repr=False)


def start(labels: Labels, *, semantic: bool = False) -> Corrections:
    """Begin with a prediction that nobody has looked at; `labels` are copied. Zeros where all will be drawn."""
    return Corrections(_frozen_copy(labels), semantic=semantic)


def accept(c: Corrections, ids: Iterable[int]) -> Corrections:
    """Say that objects are right: they teach, and no prediction changes them.

    Raises
    ------
    UserError
        For classes, which are not objects.
    """
    chosen = _checked_ids(c, ids)
    return replace(c, accepted=c.accepted | chosen, unsure=c.unsure - chosen)


def unaccept(c: Corrections, ids: Iterable[int]) -> Corrections:
    """Take acceptance back."""
    return replace(c, accepted=c.accepted - _checked_ids(c, ids))


def mark_unsure(c: Corrections, ids: Iterable[int]) -> Corrections:
    """Say that objects shall not teach, even when they were edited."""
    chosen = _checked_ids(c, ids)
    return replace(c, unsure=c.unsure | chosen, accepted=c.accepted - chosen)


def mark_sure(c: Corrections, ids: Iterable[int]) -> Corrections:
    """Let objects teach again."""
    return replace(c, unsure=c.unsure - _checked_ids(c, ids))


def mark_done(c: Corrections, box: Box) -> Corrections:
    """Say that everything inside a region is right: unlabelled voxels in it are background.

    Raises
    ------
    UserError
        When the region does not fit the labels or lies outside them.
    """
    inside = checked_box(box, c.predicted.shape)
    return c if inside in c.done else replace(c, done=(*c.done, inside))


def unmark_done(c: Corrections, index: int) -> Corrections:
    """Take one finished region back."""
    return replace(c, done=c.done[:index] + c.done[index + 1 :])


def mark_background(c: Corrections, region: Mask | Box) -> Corrections:
    """Say that voxels are background; those of an object that is neither accepted nor edited at the next Segment.

    Parameters
    ----------
    c : Corrections
        Stays as it is.
    region : bool array of the labels' shape, or Box
        The strokes or the region.

    Raises
    ------
    UserError
        When the region does not fit the labels.
    """
    background = np.zeros(c.predicted.shape, bool) if c.background is None else c.background.copy()
    if isinstance(region, np.ndarray):
        if region.shape != background.shape:
            raise UserError(
                f"The background strokes have the shape {region.shape}, the labels {background.shape}.",
                "Draw them on the labels' own grid.",
            )
        background |= region.astype(bool)
    else:
        background[checked_box(region, background.shape)] = True
    return replace(c, background=_read_only(background))


def checked_box(box: Box, shape: tuple[int, ...]) -> Box:
    """Cut a box to the shape and give it plain starts and stops.

    Raises
    ------
    UserError
        When it has another number of axes, or nothing of it lies inside.
    """
    if len(box) != len(shape):
        raise UserError(f"A region of {len(box)} axes does not fit labels of {len(shape)}.", "Draw it on the labels.")
    cut = tuple(slice(*part.indices(size)[:2]) for part, size in zip(box, shape, strict=True))
    if any(part.stop <= part.start for part in cut):
        raise UserError("The region lies outside the labels.", "Draw it on the image.")
    return cut


def changes(c: Corrections, labels: Labels) -> Changes:
    """Find what differs from the kept prediction.

    Parameters
    ----------
    c : Corrections
        With the kept prediction.
    labels : integer array
        The layer's array as it is now.

    Returns
    -------
    Changes
        Needs about three bool arrays of the labels' shape while it computes.

    Raises
    ------
    UserError
        When the labels have another shape than the prediction.
    """
    if labels.shape != c.predicted.shape:
        raise UserError(
            f"The labels have the shape {labels.shape}, their prediction had {c.predicted.shape}.",
            "Make a new labels layer with Segment.",
        )
    differs = labels != c.predicted
    touched = set(unique_ids(labels[differs])) | set(unique_ids(c.predicted[differs])) | c.edited
    edited = frozenset(touched & unique_ids(labels)) if touched else frozenset()
    return Changes(edited, (c.predicted > 0) & (labels == 0))


def decided_voxels(c: Corrections, labels: Labels, found: Changes | None = None) -> Mask:
    """Find the voxels, outside objects, whose value the user decided.

    Returns
    -------
    bool array, shape of the labels
        For objects: background by deletion, erasure or stroke. For classes: every painted voxel.
    """
    if c.semantic:
        decided: Mask = labels != c.predicted
        if c.painted is not None:
            decided |= c.painted
    else:
        decided = (changes(c, labels) if found is None else found).erased.copy()
    if c.background is not None:
        decided |= c.background & (labels == 0)
    return decided


def done_mask(c: Corrections) -> Mask:
    """Draw the finished regions as one mask of the labels' shape."""
    mask = np.zeros(c.predicted.shape, bool)
    for box in c.done:
        mask[box] = True
    return mask


def states(c: Corrections, labels: Labels) -> dict[int, ObjectState]:
    """Say of each object whether it is predicted, edited, accepted or unsure."""
    edited = changes(c, labels).edited
    ids = unique_ids(labels)
    found: dict[int, ObjectState] = dict.fromkeys(sorted(ids), "predicted")
    found |= dict.fromkeys(edited & ids, "edited")
    found |= dict.fromkeys(c.accepted & ids, "accepted")
    found |= dict.fromkeys(c.unsure & ids, "unsure")
    return found


def at_time(c: Corrections, time: int) -> Corrections:
    """Take one time point of corrections whose first axis is time."""
    return replace(
        c,
        predicted=c.predicted[time],
        background=None if c.background is None else c.background[time],
        painted=None if c.painted is None else c.painted[time],
        done=tuple(box[1:] for box in c.done if box[0].start <= time < box[0].stop),
    )


def unique_ids(labels: Labels) -> frozenset[int]:
    """Give the ids of all objects in labels, without the background."""
    if labels.size == 0:
        return frozenset()
    return frozenset(int(one) for one in fastremap.unique(np.ascontiguousarray(labels))) - {0}


def _checked_ids(c: Corrections, ids: Iterable[int]) -> frozenset[int]:
    if c.semantic:
        raise UserError("These labels are classes, not single objects.", "Mark a region as done instead.")
    return frozenset(int(one) for one in ids) - {0}


def _frozen_copy(labels: Labels) -> Labels:
    return _read_only(np.array(labels))


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
