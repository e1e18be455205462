"""Carry outlines through a stack: between them their shapes are blended, beyond them the object closes like a ball.

References
----------
Between two outlines: S. Raya, J. Udupa: Shape-based interpolation of multidimensional objects. IEEE Transactions on
Medical Imaging 1990, doi:10.1109/42.52980.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil, pi, sqrt

import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.edits.completed import completed
from napari_unet.core.edits.interpolate import blend
from napari_unet.core.edits.magic_scene import SMOOTHING_PX

TALL = 1.25
"""Height of an object for its width: microscopes blur along their axis."""

TRUST = 0.5
"""What the network saw counts so much, for the middle of a ball; found on the stacks of go_nuclear_3d."""

FAINT = 0.02
"""Mean value in the outlines below which the network saw nothing."""

SLIGHT = 0.01
"""Difference of two outlines below which neither is the narrower one."""

N_TURNS = 48
"""Directions in which the size of an outline is measured."""

Section = NDArray[np.bool_]


def reach_of(sections: Mapping[int, Section], lengths: Sequence[float]) -> int:
    """Give how many slices an object may go on beyond its outlines."""
    widest = max(_width(one, lengths) for one in sections.values())
    return ceil(TALL * sqrt(1 + TRUST) * widest / lengths[0]) + 1


def carry(
    sections: Mapping[int, Section],
    n_slices: int,
    seen: NDArray[np.floating] | None,
    free: NDArray[np.bool_],
    lengths: Sequence[float],
) -> NDArray[np.bool_]:
    """Make an object of its outlines in some slices.

    Beyond the first and the last one it closes like a ball through them, `TALL` times as high as wide; where the
    network saw more or less than that, the boundary moves.

    Parameters
    ----------
    sections : mapping of int to (Y, X) bool
        The inside of each outline, by its slice; none is empty.
    n_slices : int
        Of the part of the stack that is looked at.
    seen : (n_slices, Y, X) float or None
        High inside objects, such as the network's foreground probability.
    free : (n_slices, Y, X) bool
        Where the object may be, besides its outlines.
    lengths : (3,) float
        Of a voxel's edges.

    Returns
    -------
    (n_slices, Y, X) bool
        In the slices of the outlines exactly these.
    """
    drawn = sorted(sections)
    depth = np.zeros((n_slices, *sections[drawn[0]].shape))
    for low, high in pairwise(drawn):
        depth[low + 1 : high] = _between(sections[low], sections[high], high - low, lengths)
    for at, slices in ((drawn[0], np.arange(drawn[0])), (drawn[-1], np.arange(drawn[-1] + 1, n_slices))):
        depth[slices] = _inside_ball(sections, at, slices, lengths)
    whole = (depth + (0.0 if seen is None else TRUST * _evidence(seen, sections)) > 0) & free
    for at, section in sections.items():
        whole[at] = section
    parts = scipy.ndimage.label(whole)[0]
    kept = np.unique(np.concatenate([parts[at][section] for at, section in sections.items()]))
    return np.isin(parts, kept[kept > 0])


def _evidence(seen: NDArray[np.floating], sections: Mapping[int, Section]) -> NDArray[np.floating] | float:
    """Give -1 to 1 for what the network saw, 1 where it saw as much as in the outlines; 0 where nothing in them."""
    mean = float(np.mean(np.concatenate([seen[at][section] for at, section in sections.items()])))
    if mean < FAINT:
        return 0.0
    smooth = scipy.ndimage.gaussian_filter(seen, SMOOTHING_PX)
    evidence: NDArray[np.floating] = np.clip(2 * smooth / mean - 1, -1, 1)
    return evidence


def _between(first: Section, last: Section, n: int, lengths: Sequence[float]) -> NDArray[np.float64]:
    """Give how far inside the object each voxel of the n - 1 slices between two outlines is, as `_inside_ball` does.

    Where one is narrower, the object does not close along a straight line, but as an ellipsoid does.
    """
    one, other = (_width(section, lengths) for section in (first, last))
    widest, narrow, way = max(one, other), min(one, other), np.arange(1, n) / n
    from_widest = way if one >= other else 1 - way
    round_width = np.sqrt(widest**2 - (widest**2 - narrow**2) * from_widest**2)
    swell = round_width - (widest - (widest - narrow) * from_widest)
    depths = np.reshape(blend(first, last, n, lengths[1:]), (n - 1, *first.shape))
    inside: NDArray[np.float64] = 2 * (depths + swell[:, None, None]) / round_width[:, None, None]
    return inside


def _inside_ball(
    sections: Mapping[int, Section], at: int, slices: NDArray[np.int_], lengths: Sequence[float]
) -> NDArray[np.float64]:
    """Give how far inside the closing end of an object each voxel beyond its outline in slice `at` is: 1 to below 0.

    The outline shrinks towards its middle as the sections of an ellipsoid do. The widest outline is taken for the
    middle of that; a narrower one at the end says itself how soon the object closes.
    """
    widths = {z: _width(one, lengths) for z, one in sections.items()}
    middle = max(widths, key=lambda z: widths[z])
    passed, share = abs(at - middle) * lengths[0], 1 - (widths[at] / widths[middle]) ** 2
    height = TALL * widths[middle]
    if passed:
        height = min(passed / sqrt(max(share, SLIGHT)), passed + height)
    away = passed + np.abs(slices - at) * lengths[0]
    left = (1 - (away / height) ** 2) / (1 - (passed / height) ** 2)
    gauge = _gauge(sections[at])
    depth: NDArray[np.float64] = np.where(gauge < 1, left[:, None, None] - gauge**2, -np.inf)
    return depth


def width_of(section: Section, lengths: Sequence[float]) -> float:
    """Give the radius of the disc of the same area; of the largest disc inside where the image cuts it off."""
    inner: NDArray[np.float64] = scipy.ndimage.distance_transform_edt(section, lengths[1:])
    return max(sqrt(np.count_nonzero(section) * lengths[1] * lengths[2] / pi), float(inner.max()))


def _width(section: Section, lengths: Sequence[float]) -> float:
    """Give the same; where the image cuts it off, half way (as a factor) to half the length of the cut."""
    shown = width_of(section, lengths)
    return sqrt(shown * max(shown, 0.5 * completed(section, lengths[1:]).seam))


def _gauge(section: Section) -> NDArray[np.float64]:
    """Give how far each pixel is from the middle of an outline, for the outline itself in that direction."""
    whole = completed(section, (1.0, 1.0))
    middle: NDArray[np.float64] = np.argwhere(whole.mask).mean(axis=0)
    y, x = np.indices(whole.mask.shape) - middle[:, None, None]
    distance, turn = np.hypot(y, x), ((np.arctan2(y, x) / (2 * pi) + 1) % 1 * N_TURNS).astype(int) % N_TURNS
    rim = np.zeros(N_TURNS)
    np.maximum.at(rim, turn[whole.mask], distance[whole.mask] + 0.5)
    known = np.flatnonzero(rim)
    rims: NDArray[np.float64] = np.interp(np.arange(N_TURNS), known, rim[known], period=float(N_TURNS))
    gauge: NDArray[np.float64] = (distance / rims[turn])[whole.part]
    return gauge
