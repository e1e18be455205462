"""What strokes of a brush cover, and how few of them paint an object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.core.base.tiles import Box, bounding_box, grow

if TYPE_CHECKING:
    from benchmarks.correct_errors import Mask

MOST_STROKES = 40
REACHES = (1.0, 0.75, 0.5, 0.3)
"""Radius of a brush that fits, for one of the largest ball inside the object."""

FITS = 0.9  # of the radius; a brush may stick out of the object a little


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
    box : Box
        Where it was painted.
    ways : list of bool array, shape of the box
        Where the middle of the brush goes, stroke by stroke; of a disc in a slice, what it covers.
    """

    n_strokes: int
    radius: float
    mask: Mask = field(repr=False)
    box: Box
    ways: list[Mask] = field(repr=False)


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
        radius = max(0.5, round(2 * share * float(depth.max())) / 2)  # napari's brush has a diameter in whole pixels
        if flat:
            ways = [inner & _slab(inner, z) for z in np.flatnonzero(inner.any((1, 2)))]
        else:
            fits = depth >= min(FITS * radius, float(depth.max()))
            planes = [fits] if target.ndim == 2 else [fits & _slab(fits, z) for z in np.flatnonzero(fits.any((1, 2)))]
            ways = planes
        dabs = ways if flat else [dab(way, radius, sampling) for way in ways]
        for chosen, painted in _greedy(inner, have[box], [one & room[box] for one in dabs], wanted):
            whole = np.zeros(target.shape, bool)
            whole[box] = painted
            yield Painted(len(chosen), radius, whole, box, [ways[at] for at in chosen])


def dab(way: Mask, radius: float, sampling: Sequence[float]) -> Mask:
    """Give all that a round brush covers whose middle goes along a way."""
    covered: Mask = ndimage.distance_transform_edt(~way, sampling) <= radius
    return covered


def _slab(mask: Mask, z: int) -> Mask:
    only = np.zeros_like(mask)
    only[z] = True
    return only


def _greedy(
    target: Mask, have: Mask, dabs: Sequence[Mask], wanted: Sequence[float]
) -> Iterator[tuple[list[int], Mask]]:
    """Take the stroke that brings most, again and again; gives what is painted where an IoU is reached."""
    painted, chosen, goals = have.copy(), list[int](), list(wanted)
    gain = {at: len(target.ravel()) for at in range(len(dabs))}  # as much as it could be, until it is counted
    while gain and len(chosen) < MOST_STROKES and goals:
        best = max(gain, key=lambda at: gain[at])
        now = int((2 * target[dabs[best] & ~painted].astype(int) - 1).sum())
        if now < gain[best]:  # it never grows: what is painted already brings nothing
            gain[best] = now
            if now != max(gain.values()):
                continue
        if now <= 0:
            return
        del gain[best]
        painted = painted | dabs[best]
        chosen.append(best)
        iou = float((painted & target).sum() / (painted | target).sum())
        if iou >= goals[0]:
            yield list(chosen), painted
            goals = [goal for goal in goals if goal > iou]


def _depth(mask: Mask, sampling: Sequence[float]) -> NDArray[np.float64]:
    """Give how far each voxel is from what is outside; the border of the image is no outside."""
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"), sampling)
    return depth[(slice(1, -1),) * mask.ndim]
