"""What decoding block by block needs of a target: look at each block, join what all of them know, paint each block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.targets.base import DecodeSettings
    from napari_unet.core.targets.basins import Numbering
    from napari_unet.core.targets.facts import Facts, Rule


class Maps(Protocol):
    """Maps of any size, read piece by piece: a numpy, zarr or dask array, or anything that is sliced as they are.

    (K, [Z,] Y, X). Floats hold 0..1; unsigned integers hold 0 to the largest value of their type instead.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Give (K, [Z,] Y, X)."""

    def __getitem__(self, index: tuple[slice, ...], /) -> Any:
        """Read a box: (K, *box)."""


@dataclass(frozen=True)
class Channels:
    """Maps kept in arrays of their own, such as the foreground in 8 bit and the distance in 16.

    Parameters
    ----------
    arrays : tuple of ([Z,] Y, X) arrays
        One for each map; sliced piece by piece.
    """

    arrays: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Give (K, [Z,] Y, X)."""
        return (len(self.arrays), *self.arrays[0].shape)

    def __getitem__(self, index: tuple[slice, ...], /) -> NDArray[np.float32]:
        """Read a box, values 0..1: (K, *box)."""
        parts = [as_unit(np.asarray(array[index[1:]])) for array in self.arrays[index[0]]]
        return np.stack(parts).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Work:
    """What is decoded, and how: the same for every block.

    Parameters
    ----------
    maps : Maps
        Of the whole volume.
    settings : DecodeSettings
        Thresholds.
    sampling : tuple of float
        Relative voxel size per axis.
    """

    maps: Maps
    settings: DecodeSettings
    sampling: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the spatial shape of the volume."""
        return tuple(int(n) for n in self.maps.shape[1:])

    def read(self, box: Box) -> NDArray[Any]:
        """Read the maps in a box, values 0..1: (K, *box)."""
        return as_unit(np.asarray(self.maps[(slice(None), *box)]))


class Blockwise(Protocol):
    """Decode one kind of target block by block.

    `look` and `paint` read nothing but one block and its surroundings, change nothing and can be done again: they may
    run anywhere and in any order.
    """

    def rule(self, settings: DecodeSettings) -> Rule:
        """Say which parts become one object."""

    def look(self, work: Work, core: Box) -> Facts | None:
        """Find what the others have to know of a block; None where they need to know nothing."""

    def paint(self, work: Work, core: Box, numbering: Numbering) -> NDArray[np.int32]:
        """Give the labels of a block."""


def as_unit(maps: NDArray[Any]) -> NDArray[Any]:
    """Bring stored maps to 0..1: unsigned integers become float32, everything else stays as it is."""
    if maps.dtype.kind != "u":
        return maps
    return maps.astype(np.float32) / np.float32(np.iinfo(maps.dtype).max)
