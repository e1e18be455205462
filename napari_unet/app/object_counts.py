"""Counts and boxes of objects: of a block of labels, and what a change adds and takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import fastremap
import numpy as np
import scipy  # its parts load when first used: the dock opens without them

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.app.annotations import Box, Labels

FARTHEST = np.iinfo(np.int64).max
SPARSE = 1 << 16  # ids above it are numbered anew before their boxes are looked for


@dataclass(frozen=True, eq=False)
class Change:
    """Say what was written into labels.

    Parameters
    ----------
    where : (N,) int arrays, one for each axis
        The voxels, each once.
    before, after : (N,) int
        Their labels.
    """

    where: tuple[NDArray[np.intp], ...] = field(repr=False)
    before: Labels = field(repr=False)
    after: Labels = field(repr=False)


@dataclass(frozen=True, eq=False)
class Counts:
    """Count what objects have, or gain and lose; to be added up.

    Parameters
    ----------
    ids : (N,) int64
        Objects, and predicted ones of which nothing is left; before they are added up one may come several times.
    n_voxels, n_differing, n_done : (N,) int64
        Voxels: all; those that were gained or lost since the prediction; those in finished regions.
    low, high : (N, axes) int64
        A box that holds each; it may be larger than what is left of the object.
    """

    ids: NDArray[np.int64] = field(repr=False)
    n_voxels: NDArray[np.int64] = field(repr=False)
    n_differing: NDArray[np.int64] = field(repr=False)
    n_done: NDArray[np.int64] = field(repr=False)
    low: NDArray[np.int64] = field(repr=False)
    high: NDArray[np.int64] = field(repr=False)


def counted(values: Labels, ndim: int, name: str, sign: int = 1) -> Counts:
    """Count each value as one of the columns; without boxes."""
    found, counts = fastremap.unique(np.ascontiguousarray(values), return_counts=True)
    none = np.zeros(len(found), np.int64)
    columns = {"n_voxels": none, "n_differing": none, "n_done": none, name: sign * counts.astype(np.int64)}
    low, high = np.full((len(found), ndim), FARTHEST), np.full((len(found), ndim), -1)
    return Counts(found.astype(np.int64), low=low, high=high, **columns)


def counts_of_block(part: Labels, block: Box) -> list[Counts]:
    """Count the objects of a block and find their boxes."""
    all_here = counted(part, part.ndim, "n_voxels")
    rows = all_here.ids != 0
    ids = all_here.ids[rows]
    if not len(ids):
        return []
    numbered, at = part, ids - 1
    if ids[0] < 0 or ids[-1] > SPARSE:
        numbered, numbers = fastremap.renumber(part, in_place=False)
        at = np.array([numbers[one] for one in ids.tolist()]) - 1
    boxes = scipy.ndimage.find_objects(numbered)
    bounds = np.array([[(side.start, side.stop) for side in boxes[one]] for one in at.tolist()], np.int64)
    bounds += np.array([side.start for side in block])[:, None]
    none = np.zeros(len(ids), np.int64)
    return [Counts(ids, all_here.n_voxels[rows], none, none, bounds[..., 0], bounds[..., 1])]


def counts_of_change(change: Change, kept: Labels, done: tuple[Box, ...]) -> list[Counts]:
    """Count what a change gives and takes."""
    if not len(change.before):
        return []
    ndim, before, after = len(change.where), change.before, change.after
    predicted = kept[change.where]
    rows = [counted(before, ndim, "n_voxels", -1), counted(after, ndim, "n_voxels")]
    for values, sign in ((before, -1), (after, 1)):
        differs = values != predicted
        if differs.any():
            rows += [counted(one[differs], ndim, "n_differing", sign) for one in (values, predicted)]
    if done:
        inside = np.zeros(len(before), bool)
        for box in done:
            inside |= np.logical_and.reduce(
                [(at >= side.start) & (at < side.stop) for at, side in zip(change.where, box, strict=True)]
            )
        rows += [counted(before[inside], ndim, "n_done", -1), counted(after[inside], ndim, "n_done")]
    order = np.argsort(after, kind="stable")
    ids, starts = np.unique(after[order], return_index=True)
    none = np.zeros(len(ids), np.int64)
    low = np.stack([np.minimum.reduceat(at[order], starts) for at in change.where], axis=1)
    high = np.stack([np.maximum.reduceat(at[order], starts) for at in change.where], axis=1) + 1
    return [*rows, Counts(ids.astype(np.int64), none, none, none, low, high)]


def added_up(rows: list[Counts]) -> Counts:
    """Make one row of those of the same object; none of the background, and of what was never there."""
    ids, *sums = (
        np.concatenate([getattr(one, name) for one in rows]) for name in ("ids", "n_voxels", "n_differing", "n_done")
    )
    order = np.argsort(ids, kind="stable")
    found, starts = np.unique(ids[order], return_index=True)
    if not len(found):
        return rows[0]
    totals = [np.add.reduceat(one[order], starts) for one in sums]
    low = np.minimum.reduceat(np.concatenate([one.low for one in rows])[order], starts, axis=0)
    high = np.maximum.reduceat(np.concatenate([one.high for one in rows])[order], starts, axis=0)
    kept = (found != 0) & ((totals[0] > 0) | (totals[1] > 0))
    return Counts(found[kept], totals[0][kept], totals[1][kept], totals[2][kept], low[kept], high[kept])
