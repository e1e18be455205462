"""Run the network once for all tiles that show nothing but one value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box

KEPT = 4
"""Results at a time: in a balanced grid the tiles away from the border have at most this many shapes in 2D."""


class Reuse:
    """Compute the logits of tiles; those of constant tiles only once.

    Two tiles that are constant, equal in shape and in value, are the same input: the result is the same to the last
    bit, at the border of the volume as well.

    Parameters
    ----------
    compute : function
        Of a tile (C, [Z,] Y, X); gives (K, [Z,] Y, X).
    """

    def __init__(self, compute: Callable[[NDArray[np.float32]], Tensor]) -> None:
        self.compute = compute
        self.kept: dict[tuple[object, ...], Tensor] = {}

    def __call__(self, tile: NDArray[np.float32], inner: Box) -> Tensor:
        """Give the logits of a box of a tile; not to be changed in place."""
        index = (slice(None), *inner)
        values = constant_values(tile)
        if values is None:
            return self.compute(tile)[index]
        key = (values, tile.shape, *((s.start, s.stop) for s in inner))
        if key not in self.kept:
            if len(self.kept) == KEPT:
                del self.kept[next(iter(self.kept))]
            self.kept[key] = self.compute(tile)[index].clone()
        return self.kept[key]


def constant_values(tile: NDArray[np.float32]) -> tuple[float, ...] | None:
    """Give the value of each channel of (C, [Z,] Y, X); None where one of them varies."""
    flat = tile.reshape(len(tile), -1) if tile.flags.c_contiguous else tile
    first = tile[(slice(None), *(slice(0, 1),) * (tile.ndim - 1))]
    # Hardly any tile passes this look at its middle, and it costs nothing.
    middle = tile[(slice(None), *(n // 2 for n in tile.shape[1:]))]
    if not np.array_equal(middle, first.ravel()):
        return None
    if not (flat == first.reshape(len(tile), *(1,) * (flat.ndim - 1))).all():
        return None
    return tuple(first.ravel().tolist())
