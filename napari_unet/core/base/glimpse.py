"""What one tile shows, before all tiles are there: foreground, classes or objects, on the image's grid or a coarser."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box

MOST_SHOWN = 2**24
"""Voxels of what is shown of a large image while it is segmented: 64 MB."""


@dataclass(frozen=True, eq=False)
class Glimpse:
    """Show a tile.

    Parameters
    ----------
    time : int
        Time point; 0 where there is no time axis.
    box : Box
        One slice for each spatial axis of the image.
    classes : (*box) uint8, or int32
        0 background, 1 foreground; or the number of the class, or of the object.
    """

    time: int
    box: Box
    classes: NDArray[np.integer[Any]] = field(repr=False)

    def every(self, steps: tuple[int, ...]) -> Glimpse:
        """Take the voxels of the image at the multiples of a step along each axis, on a grid of these alone."""
        box = tuple(slice(ceil(s.start / n), ceil(s.stop / n)) for s, n in zip(self.box, steps, strict=True))
        inside = (slice(b.start * n - s.start, None, n) for b, s, n in zip(box, self.box, steps, strict=True))
        return Glimpse(self.time, box, self.classes[tuple(inside)].copy())


def choose_steps(shape: tuple[int, ...], dims: int, most: int = MOST_SHOWN) -> tuple[int, ...]:
    """Choose how coarse labels of ([T,] [Z,] Y, X) are shown: powers of two for the `dims` last axes, longest first."""
    times, space = prod(shape[: len(shape) - dims]), shape[len(shape) - dims :]
    steps = [1] * dims
    while times * prod(coarse := [ceil(n / s) for n, s in zip(space, steps, strict=True)]) > most and max(coarse) > 1:
        steps[coarse.index(max(coarse))] *= 2
    return tuple(steps)
