"""The hand of both annotators: it trembles, and does not follow corners.

A hand that traces a contour leaves it by a smooth error: tracing errors of mouse and pen are slow drifts, not jitter
from pixel to pixel. Its standard deviation is 5 % of the object's radius, because a person zooms until an object fills
a part of the screen, and at least 0.7 px, below which a picture shows nothing to aim at. Where the image cuts an object
off, the hand goes on outside of it: nothing has to be aimed at there. Both annotators have the same hand: what one
outlines and what the other outlines, paints or erases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import skimage
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.core.base.tiles import bounding_box, grow
from napari_unet.core.edits.drawing import draw_outline

if TYPE_CHECKING:
    from benchmarks.correct_errors import Mask

TREMOR_PX, TREMOR = 0.7, 0.05
"""Standard deviation of the error: at least, and for each px of an object's radius."""

WAVES = 8.0
"""Drifts around an object: the error is alike over an eighth of its outline."""

CORNER_PX = 1.0
"""Standard deviation of the Gaussian that rounds the outline before it is traced."""

BEYOND = 4
"""px outside of the image, where it cuts an object off."""


@dataclass
class Hand:
    """Draw and paint as a person does.

    Parameters
    ----------
    rng : Generator
        Of the errors.
    tremor : float
        Times the usual error; 0 is a machine.
    """

    rng: np.random.Generator = field(repr=False)
    tremor: float = 1.0

    def outline(self, mask: Mask) -> NDArray[np.float64] | None:
        """Trace the largest contour of a mask in 2D: (N, 2), about 1 px apart; None where there is none."""
        contour = contour_of(mask)
        return None if contour is None else self._shaken(contour, radius_of(mask), is_closed=True)

    def line(self, points: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
        """Draw a line (N, 2) across something of a radius."""
        return self._shaken(resampled(points), radius, is_closed=False)

    def mask(self, mask: Mask) -> Mask:
        """Give what is outlined in one plane where a mask shall be covered exactly, piece by piece."""
        if not self.tremor:
            return mask
        planes = np.flatnonzero(mask.any((1, 2))).tolist() if mask.ndim == 3 else [...]
        found = np.zeros(mask.shape, bool)
        for at in planes:
            pieces, n = ndimage.label(mask[at])
            for piece, place in enumerate(ndimage.find_objects(pieces, n), start=1):
                box = grow(place, (4, 4), pieces.shape)
                drawn = self.outline(pieces[box] == piece)
                if drawn is not None:
                    found[at][box] |= draw_outline(drawn, pieces[box].shape)
        return found

    def way(self, centres: Mask, radius: float) -> Mask:
        """Give where the middle of a brush really goes, in whole pixels, in one plane of something of a radius."""
        if not self.tremor:
            return centres
        points = np.argwhere(centres)
        spread, length = self._spread(radius), max(1.0, 2 * np.pi * radius / WAVES / 2)
        size, corner = np.ptp(points[:, -2:], axis=0) + 1, points[:, -2:].min(axis=0)
        noise = self.rng.standard_normal((2, *size))
        # White noise after a Gaussian has less variance; in a small window, hardly less than that of one value.
        smooth = np.stack([ndimage.gaussian_filter(one, length, mode="wrap") for one in noise])
        smooth *= min(2 * np.sqrt(np.pi) * length, float(np.sqrt(size.prod())))
        moved = points.copy()
        moved[:, -2:] = np.rint(points[:, -2:] + spread * smooth[:, *(points[:, -2:] - corner).T].T)
        found = np.zeros(centres.shape, bool)
        found[tuple(np.clip(moved, 0, np.array(centres.shape) - 1).T)] = True
        return found

    def slips(self, radius: float) -> float:
        """Give in how many px an outline of something of a radius is wrong, on average."""
        return 2 * math.pi * radius * math.sqrt(2 / math.pi) * self._spread(radius)

    def _spread(self, radius: float) -> float:
        return self.tremor * max(TREMOR_PX, TREMOR * radius)

    def _shaken(self, points: NDArray[np.float64], radius: float, *, is_closed: bool) -> NDArray[np.float64]:
        """Move points along the normals of their line by a smooth random error."""
        spread = self._spread(radius)
        mode = "wrap" if is_closed else "nearest"
        along = ndimage.gaussian_filter1d(points, 1.5, axis=0, mode=mode)
        tangent = np.roll(along, -1, 0) - np.roll(along, 1, 0) if is_closed else np.gradient(along, axis=0)
        normal = tangent[:, ::-1] * (1, -1) / np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
        length = max(len(points) / WAVES / 2, 0.5)  # of the Gaussian that makes the error smooth
        noise = ndimage.gaussian_filter1d(self.rng.standard_normal(len(points)), length, mode="wrap")
        error = noise * (2 * np.sqrt(np.pi) * length) ** 0.5  # white noise after a Gaussian has that variance
        moved: NDArray[np.float64] = points + normal * (spread * error)[:, None]
        return moved


def radius_of(mask: Mask) -> float:
    """Give the radius of the disc of the same area."""
    return float(np.sqrt(np.count_nonzero(mask) / np.pi))


def contour_of(mask: Mask) -> NDArray[np.float64] | None:
    """Give the longest contour of a mask in 2D, its corners rounded; None where the mask is empty.

    Where the mask ends at the array's end, the contour goes `BEYOND` px farther.
    """
    if not mask.any():
        return None
    box = grow(bounding_box(mask), (BEYOND, BEYOND), mask.shape)
    padded = np.pad(mask[box], BEYOND, mode="edge")
    smooth = ndimage.gaussian_filter(padded.astype(float), CORNER_PX)
    smooth[[0, -1]] = smooth[:, [0, -1]] = 0.0
    found = skimage.measure.find_contours(smooth, 0.5) or skimage.measure.find_contours(padded.astype(float), 0.5)  # type: ignore[no-untyped-call]  # no types
    if not found:
        return None
    contour = resampled(max(found, key=len))[:-1]
    shifted: NDArray[np.float64] = contour - BEYOND + [part.start for part in box]
    return shifted


def resampled(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put points on a line about 1 px apart."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    n = max(2, round(way[-1])) + 1
    at = np.linspace(0.0, way[-1], n)
    return np.stack([np.interp(at, way, axis) for axis in points.T], axis=1)
