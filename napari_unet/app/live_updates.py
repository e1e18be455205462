"""Carry a new prediction of a part of some labels from a job's thread to the labels, which the user goes on painting.

The thread compares; the main thread writes the few voxels that differ. What the user touched in between, and every
object that lies in its way, waits for the next update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.app.annotations import Box, Corrections, Labels, checked_box, unique_ids
from napari_unet.app.merging import merge_prediction
from napari_unet.app.result import carry_confidence
from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari_unet.app.requests import KeptOutput
    from napari_unet.app.teaching import Snapshot

ALIKE = 0.5
"""Overlap as a share of the union, from which on a new object is the old one: it keeps its number and colour."""


@dataclass(frozen=True, eq=False)
class LabelUpdate:
    """Say which voxels of some labels a new prediction changes.

    Parameters
    ----------
    snapshot : Snapshot
        The labels and corrections that it was compared with.
    where : tuple of (N,) int arrays
        One for each axis of the labels.
    values : (N,) integer
        What is written there.
    groups : (N,) int or None
        Objects that take voxels from each other change together or not at all; None for classes.
    group_of : dict of int to int
        The group of each object, by its number before or after.
    predicted : integer array, shape of the labels
        The kept prediction with these changes; not handed out yet.
    first_new : int
        Numbers from this one on are new.
    confidence : dict of int to float
        Of the objects in the box.
    """

    snapshot: Snapshot
    where: tuple[NDArray[np.intp], ...] = field(repr=False)
    values: Labels = field(repr=False)
    groups: NDArray[np.intp] | None = field(repr=False)
    group_of: Mapping[int, int] = field(repr=False)
    predicted: Labels = field(repr=False)
    first_new: int
    confidence: Mapping[int, float] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Written:
    """Say what is to be written: voxels and values, the kept prediction after it, and the confidence of objects."""

    where: tuple[NDArray[np.intp], ...]
    values: Labels
    predicted: Labels
    confidence: Mapping[int, float]


def compare(snapshot: Snapshot, prediction: Labels, box: Box, kept: KeptOutput | None = None) -> LabelUpdate:
    """Find what a prediction changes of labels as they were at a moment; for the job's thread.

    Parameters
    ----------
    snapshot : Snapshot
        Of the whole labels.
    prediction : integer array, shape of the box
        What is to be shown there.
    box : Box
        One slice for each axis of the labels.
    kept : KeptOutput, optional
        Knows how certain the network was of the objects of `prediction`.

    Raises
    ------
    UserError
        When the labels' type has no room for the new objects.
    """
    labels, corrections = snapshot.labels, snapshot.corrections
    where, first_new = checked_box(box, labels.shape), _first_free(corrections, labels)
    # Numbers are given out freely here, and only those that are needed are written: they may fit a small type.
    merged, _ = merge_prediction(
        corrections, labels.astype(np.result_type(labels, np.int32)), prediction, where, first=first_new
    )
    new, old = merged[where], labels[where]
    if not corrections.semantic:
        new = _keep_numbers(new, old, first_new, unique_ids(merged))
        _check_room(int(new.max(initial=0)), labels)
    inside = np.nonzero(new != old)
    before, after = old[inside], new[inside].astype(labels.dtype)
    at = tuple(axis + part.start for axis, part in zip(inside, where, strict=True))
    predicted = corrections.predicted.copy()
    predicted[at] = after
    groups, group_of = (None, {}) if corrections.semantic else _groups(before, after)
    sure = {} if kept is None else carry_confidence(kept, new, prediction)
    return LabelUpdate(snapshot, at, after, groups, group_of, predicted, first_new, sure)


def settle(update: LabelUpdate, corrections: Corrections, labels: Labels) -> Written | None:
    """Leave out of an update what the user has touched since; for the main thread.

    Parameters
    ----------
    update : LabelUpdate
        From `compare`.
    corrections : Corrections
        As they are now.
    labels : integer array
        The layer's array as it is now; not changed.

    Returns
    -------
    Written or None
        None where the update has become stale, or nothing of it is left.
    """
    before = update.snapshot.corrections
    if corrections.predicted is not before.predicted or labels.shape != update.snapshot.labels.shape:
        return None
    if corrections.done != before.done or corrections.background is not before.background:
        return None
    differs = labels != update.snapshot.labels
    touched = set(corrections.accepted - before.accepted)
    if differs.any():
        touched |= set(unique_ids(labels[differs])) | set(unique_ids(update.snapshot.labels[differs]))
    free = _free(update, touched, differs[update.where])
    values, shift = update.values, _shift(update, corrections, labels, is_painted=bool(touched))
    if shift:
        values = np.where(values >= update.first_new, values + shift, values)
    predicted = update.predicted
    predicted[update.where] = np.where(free, values, before.predicted[update.where])
    predicted.flags.writeable = False
    if not free.any():
        return None
    sure = {one + shift if one >= update.first_new else one: value for one, value in update.confidence.items()}
    return Written(tuple(axis[free] for axis in update.where), values[free], predicted, sure)


def _free(update: LabelUpdate, touched: Iterable[int], hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which voxels may be written: those of groups with which the user has nothing to do."""
    if update.groups is None:
        return ~hit
    is_free = np.ones(max(update.group_of.values(), default=-1) + 1, bool)
    is_free[update.groups[hit]] = False
    # Numbers that were free at that time are the user's by now, not those of this prediction.
    is_free[[update.group_of[one] for one in touched if one < update.first_new and one in update.group_of]] = False
    free: NDArray[np.bool_] = is_free[update.groups]
    return free


def _shift(update: LabelUpdate, corrections: Corrections, labels: Labels, *, is_painted: bool) -> int:
    """Say by how much new numbers have to grow, because by now they are those of what the user has drawn."""
    if update.groups is None or not (is_painted or corrections is not update.snapshot.corrections):
        return 0
    shift = max(0, _first_free(corrections, labels) - update.first_new)
    _check_room(int(update.values.max(initial=0)) + shift, labels)
    return shift


def _check_room(highest: int, labels: Labels) -> None:
    if highest > np.iinfo(labels.dtype).max:
        raise UserError(
            f"The labels are {labels.dtype}: they have no room for object {highest}.",
            "Convert the labels layer to int32.",
        )


def _first_free(c: Corrections, labels: Labels) -> int:
    """Give the first number of which nobody has said anything, also not of an object that is gone by now."""
    said = max(c.accepted | c.unsure | c.edited, default=0)
    return max(int(labels.max(initial=0)), int(c.predicted.max(initial=0)), said) + 1


def _keep_numbers(new: Labels, old: Labels, first_new: int, there: frozenset[int]) -> Labels:
    """Give a new object the number of the old one that it is most like, if that number is free; the others follow."""
    fresh = new >= first_new
    n = int(new.max(initial=0)) + 1 - first_new
    if not fresh.any():
        return new
    both = fresh & (old > 0)
    pairs, overlaps = np.unique(old[both].astype(np.int64) * n + (new[both] - first_new), return_counts=True)
    new_sizes = np.bincount(new[fresh] - first_new, minlength=n)
    ids, counts = np.unique(old[old > 0], return_counts=True)
    old_sizes = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    numbers = np.zeros(n, np.int64)
    for pair, overlap in zip(pairs.tolist(), overlaps.tolist(), strict=True):
        before, after = divmod(pair, n)
        # More than half of the union: there is one such object at most, seen from either side.
        if before not in there and overlap > ALIKE * (old_sizes[before] + new_sizes[after] - overlap):
            numbers[after] = before
    rest = np.flatnonzero((numbers == 0) & (new_sizes > 0))
    numbers[rest] = first_new + np.arange(len(rest))
    kept = new.copy()
    kept[fresh] = numbers[new[fresh] - first_new]
    return kept


def _groups(before: Labels, after: Labels) -> tuple[NDArray[np.intp], dict[int, int]]:
    """Join the objects that take voxels from each other; gives the group of each voxel, and of each object."""
    ids, at = np.unique(np.concatenate((before, after)), return_inverse=True)
    one, other = at[: len(before)], at[len(before) :]
    joined = (before > 0) & (after > 0)
    edges = scipy.sparse.coo_array((np.ones(int(joined.sum()), bool), (one[joined], other[joined])), (len(ids),) * 2)
    _, group = scipy.sparse.csgraph.connected_components(edges, directed=False)
    group_of = {int(number): int(of) for number, of in zip(ids, group, strict=True) if number}
    return group[np.where(before > 0, one, other)], group_of
