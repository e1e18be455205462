"""Where a hand goes: the middle of a cell, a way through its pieces, what one stroke of a brush covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import skimage
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.core.base.tiles import bounding_box, grow

if TYPE_CHECKING:
    from benchmarks.correct_errors import Labels, Mask

MOST_STROKES = 40
REACHES = (1.0, 0.75, 0.5, 0.3)
"""Radius of a brush that fits, for one of the largest ball inside the object."""

FITS = 0.9  # of the radius; a brush may stick out of the object a little
ALONG, ACROSS = 1.0, 1000.0  # cost of a way inside what may be drawn through, and elsewhere


def middle(mask: Mask, sampling: Sequence[float]) -> NDArray[np.int64]:
    """Give the voxel farthest from what is outside; of a stack, in the slice where it is."""
    box = grow(bounding_box(mask), (1,) * mask.ndim, mask.shape)
    depth = _depth(mask[box], sampling)
    at = np.unravel_index(int(depth.argmax()), depth.shape)
    return np.array([i + part.start for i, part in zip(at, box, strict=True)])


def way_through(labels: Labels, pieces: Sequence[int], own: Mask) -> list[NDArray[np.float64]] | None:
    """Give one stroke from piece to piece that keeps out of other objects; in a stack it lies in a slice that has all.

    Parameters
    ----------
    labels : int32 array
        What is drawn on.
    pieces : sequence of int
        At least two.
    own : bool array
        The true object.

    Returns
    -------
    list of (N, ndim) float, or None
        One stroke; None where no slice has all of the pieces.
    """
    plane: int | None = None
    if labels.ndim == 3:
        least = np.min([(labels == one).sum((1, 2)) for one in pieces], axis=0)
        plane = int(least.argmax())
        if not least[plane]:
            return None
    flat, inside = (labels, own) if plane is None else (labels[plane], own[plane])
    stops = [middle(flat == one, (1.0, 1.0)) for one in pieces]
    costs = np.where(np.isin(flat, [0, *pieces]), np.where(inside, ALONG, 10 * ALONG), ACROSS)
    way: list[tuple[int, ...]] = []
    for start, stop in pairwise(stops):
        way += skimage.graph.route_through_array(costs, start, stop)[0]  # type: ignore[no-untyped-call]  # no types
    points = np.array(way, float)
    return [points if plane is None else np.insert(points, 0, plane, axis=1)]


def outline_of(mask: Mask) -> NDArray[np.float64] | None:
    """Give the longest outline of a mask in 2D."""
    found = skimage.measure.find_contours(np.pad(mask, 1).astype(float), 0.5)  # type: ignore[no-untyped-call]  # no types
    return max(found, key=len) - 1 if found else None


@dataclass(frozen=True)
class Painted:
    """An object as it is after some strokes.

    Parameters
    ----------
    n_strokes : int
        How many it took.
    radius : float
        Of the brush.
    mask : bool array
        What of the labels is the object then.
    """

    n_strokes: int
    radius: float
    mask: Mask = field(repr=False)


def strokes(
    target: Mask, have: Mask, room: Mask, sampling: Sequence[float], wanted: Sequence[float], *, flat: bool
) -> Iterator[Painted]:
    """Paint an object with a round brush, in several sizes, with as few strokes as reach an IoU.

    A stroke may wind: it paints all that the brush reaches from places where it fits into the object. In a stack the
    brush is a ball that moves in one slice at a time, or a disc with one stroke in each slice; the best slice comes
    first.

    Parameters
    ----------
    target, have, room : bool array
        The object as it shall be, what there is of it, and where the brush writes.
    sampling : (ndim,) float
        Relative length of a voxel's edges.
    wanted : sequence of float
        IoU at which one could stop, ascending.
    flat : bool
        In a stack: paint slice by slice.
    """
    box = grow(bounding_box(target | have), (4, 12, 12)[-target.ndim :], target.shape)
    inner = target[box]
    for share in REACHES[:1] if flat else REACHES:
        depth = _depth(inner, (1e6, *sampling[1:]) if flat else sampling)
        radius = max(0.5, share * float(depth.max()))
        dabs = [inner & _slab(inner, z) for z in np.flatnonzero(inner.any((1, 2)))] if flat else None
        if dabs is None:
            fits = depth >= FITS * radius
            planes = [fits] if target.ndim == 2 else [fits & _slab(fits, z) for z in np.flatnonzero(fits.any((1, 2)))]
            dabs = [ndimage.distance_transform_edt(~centres, sampling) <= radius for centres in planes]
        for n, painted in _greedy(inner, have[box], [dab & room[box] for dab in dabs], wanted):
            whole = np.zeros(target.shape, bool)
            whole[box] = painted
            yield Painted(n, radius, whole)


def _slab(mask: Mask, z: int) -> Mask:
    only = np.zeros_like(mask)
    only[z] = True
    return only


def _greedy(target: Mask, have: Mask, dabs: Sequence[Mask], wanted: Sequence[float]) -> Iterator[tuple[int, Mask]]:
    """Take the stroke that brings most, again and again; gives what is painted where an IoU is reached."""
    painted, n, goals = have.copy(), 0, list(wanted)
    gain = {at: len(target.ravel()) for at in range(len(dabs))}  # as much as it could be, until it is counted
    while gain and n < MOST_STROKES and goals:
        best = max(gain, key=lambda at: gain[at])
        now = int((2 * target[dabs[best] & ~painted].astype(int) - 1).sum())
        if now < gain[best]:  # it never grows: what is painted already brings nothing
            gain[best] = now
            if now != max(gain.values()):
                continue
        if now <= 0:
            return
        del gain[best]
        painted, n = painted | dabs[best], n + 1
        iou = float((painted & target).sum() / (painted | target).sum())
        if iou >= goals[0]:
            yield n, painted
            goals = [goal for goal in goals if goal > iou]


def _depth(mask: Mask, sampling: Sequence[float]) -> NDArray[np.float64]:
    """Give how far each voxel is from what is outside; the border of the image is no outside."""
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"), sampling)
    return depth[(slice(1, -1),) * mask.ndim]
