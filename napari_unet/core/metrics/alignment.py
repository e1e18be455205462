"""See whether outlines lie where the image has its edges, beside them, or nowhere in particular."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.base.tiles import Box, bounding_box, grow

FEWEST = 6
"""Objects; fewer may agree by chance."""

MOST = 60
"""Objects that are looked at; of more, so many that lie evenly in their list."""

BAND = 2
"""Voxels inside and outside of the outline that are compared."""

REACH = 0.6
"""Of an object's extent: so far aside is looked. Much farther the next object of a dense image begins."""

LEAST, LEAST_VOXELS = 0.15, 2.0
"""Of the extent, and in voxels; people draw no more exactly."""

ALIKE = 0.35
"""Half of the objects, and the other half, lie aside alike when they differ by no more than this share of it."""

CLEARLY = 0.7
"""Share of the contrast aside that is left at the outline where it is clearly in the wrong place."""


@dataclass(frozen=True)
class Alignment:
    """Say how outlines lie on an image.

    Parameters
    ----------
    verdict : {"fits", "shifted", "follows nothing"}
    n_objects : int
        That were looked at.
    voxels : tuple of float
        From the edges of the image to the outlines, along each axis; 0 where the verdict is not `shifted`.
    """

    verdict: Literal["fits", "shifted", "follows nothing"]
    n_objects: int
    voxels: tuple[float, ...]


def alignment(
    read: Callable[[Box], NDArray[Any]], labels: NDArray[np.integer[Any]], ids: Sequence[int]
) -> Alignment | None:
    """Compare the contrast across outlines with that across the same outlines moved aside.

    Parameters
    ----------
    read : function of a box
        Gives the image there, (C, *box).
    labels : ([Z,] Y, X) integer
        Instances.
    ids : sequence of int
        Which of them are looked at.

    Returns
    -------
    Alignment or None
        None for fewer than `FEWEST` objects.

    Notes
    -----
    For each displacement the mean just inside of the outline minus that just outside is summed over the objects. Drawn
    rightly, it is strongest at no displacement; drawn beside their place, it is strongest for the way back, for one
    half of the objects as for the other; halves that disagree follow nothing in common.
    """
    if len(ids) < FEWEST:
        return None
    chosen = [ids[int(at)] for at in np.linspace(0, len(ids) - 1, min(MOST, len(ids)))]
    boxes = _boxes(labels, chosen)
    extent = np.median([[part.stop - part.start for part in box] for box in boxes.values()], axis=0)
    reach = tuple(max(1, math.ceil(REACH * one)) for one in extent)
    found = [_contrast(read, labels, one, box, reach) for one, box in boxes.items()]
    maps = [one for one in found if one is not None]
    if len(maps) < FEWEST:
        return None
    total = np.sum(maps, axis=0)
    place, halves = _peak(total, extent), [_peak(np.sum(maps[side::2], axis=0), extent) for side in (0, 1)]
    size = float(np.linalg.norm(place / extent))
    length = float(np.linalg.norm(place))
    none = (0.0,) * labels.ndim
    strength = np.linalg.norm(total, axis=0)
    left = float(strength[reach] / strength[tuple(place + reach)])
    if size < LEAST or length < LEAST_VOXELS or left > CLEARLY:
        return Alignment("fits", len(maps), none)
    if max(float(np.linalg.norm(half - place)) for half in halves) > ALIKE * length:
        return Alignment("follows nothing", len(maps), none)
    return Alignment("shifted", len(maps), tuple(float(-one) for one in place))


def _boxes(labels: NDArray[np.integer[Any]], ids: Sequence[int]) -> dict[int, Box]:
    """Give the box of each object."""
    whole = np.isin(labels, ids)
    around = bounding_box(whole)
    known, inverse = np.unique(np.where(whole[around], labels[around], 0), return_inverse=True)
    parts = scipy.ndimage.find_objects(inverse.reshape(labels[around].shape))
    return {
        int(known[number]): tuple(
            slice(part.start + outer.start, part.stop + outer.start) for part, outer in zip(box, around, strict=True)
        )
        for number, box in enumerate(parts, start=1)
        if box is not None
    }


def _contrast(
    read: Callable[[Box], NDArray[Any]],
    labels: NDArray[np.integer[Any]],
    one: int,
    box: Box,
    reach: tuple[int, ...],
) -> NDArray[np.float64] | None:
    """Give the contrast across one outline, (C, *displacements), with 0 in the middle; None where there is none."""
    wide = grow(box, (BAND + 1,) * labels.ndim, labels.shape)
    mask, others = labels[wide] == one, labels[wide] > 0
    inside = mask & ~scipy.ndimage.binary_erosion(mask, iterations=BAND, border_value=1)
    outside = scipy.ndimage.binary_dilation(mask, iterations=BAND) & ~others
    if not inside.any() or not outside.any():
        return None
    kernel = inside / inside.sum() - outside / outside.sum()
    around = grow(wide, reach, labels.shape)
    image = read(around).astype(np.float64)
    image -= image.mean(axis=tuple(range(1, image.ndim)), keepdims=True)
    # Where the image ends, its edge is repeated.
    pads = [(r - (w.start - a.start), r - (a.stop - w.stop)) for r, w, a in zip(reach, wide, around, strict=True)]
    padded = np.pad(image, [(0, 0), *pads], mode="edge")
    return np.stack([scipy.signal.correlate(channel, kernel, "valid", "fft") for channel in padded])


def _peak(maps: NDArray[np.float64], extent: NDArray[np.float64]) -> NDArray[np.intp]:
    """Give the displacement at which the contrast is strongest, up to `REACH` away."""
    strength = np.linalg.norm(maps, axis=0)
    middle = np.array(strength.shape) // 2
    steps = np.indices(strength.shape) - middle.reshape(-1, *(1,) * strength.ndim)
    away = np.linalg.norm(steps / extent.reshape(-1, *(1,) * strength.ndim), axis=0)
    best = np.unravel_index(int(np.where(away <= REACH, strength, -1.0).argmax()), strength.shape)
    place: NDArray[np.intp] = np.array(best) - middle
    return place
