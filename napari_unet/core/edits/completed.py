"""What an outline would be without the image's end: the other half of an object that the image cuts off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence


WIDEST = 0.8
"""Of its greatest width: where an outline is less wide at the image's end, its middle lies in the image."""


@dataclass(frozen=True)
class Completed:
    """An outline, mirrored where it is cut off.

    Parameters
    ----------
    mask : (Y, X) bool
        Its inside, in the image and beyond.
    part : (slice, slice)
        What of it lies in the image.
    seam : float
        Length of the longest side along which the image cuts it off, mirrored as well; 0 where it is whole.
    """

    mask: NDArray[np.bool_] = field(repr=False)
    part: tuple[slice, slice]
    seam: float


def completed(section: NDArray[np.bool_], lengths: Sequence[float]) -> Completed:
    """Mirror an outline at the ends of its array that it touches; not where it goes on from end to end.

    Parameters
    ----------
    section : (Y, X) bool
        The inside of an outline; the array ends where the image does, or where nothing is.
    lengths : (2,) float
        Of a pixel's edges.
    """
    mask, part, cut = section, [slice(0, n) for n in section.shape], list[tuple[int, int]]()
    for axis in (0, 1):
        across = section.sum(1 - axis)
        low, high = (bool(across[end] > WIDEST * across.max()) for end in (0, -1))
        if low == high:
            continue
        n = section.shape[axis]
        mask = np.concatenate([np.flip(mask, axis), mask] if low else [mask, np.flip(mask, axis)], axis)
        part[axis] = slice(n, 2 * n) if low else slice(0, n)
        cut.append((axis, n))
    seams = [float(mask.take(n, axis).sum() * lengths[1 - axis]) for axis, n in cut]
    return Completed(mask, (part[0], part[1]), max(seams, default=0.0))
