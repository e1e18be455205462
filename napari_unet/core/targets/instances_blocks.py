"""Instances decoded block by block, exactly as at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.core.base.tiles import Box, Tile, shift
from napari_unet.core.targets.ascent import climb
from napari_unet.core.targets.basins import Numbering, know
from napari_unet.core.targets.facts import Facts, Parts, Rule
from napari_unet.core.targets.merging import surround

if TYPE_CHECKING:
    from napari_unet.core.targets.base import DecodeSettings
    from napari_unet.core.targets.blockwise import Work

TRUNCATE = 4.0
"""Sigmas at which the smoothing ends."""


class InstanceBlocks:
    """Basins that may leave their block."""

    def rule(self, settings: DecodeSettings) -> Rule:
        """Join basins that hardly stand out."""
        return Rule(settings.seed, settings.split)

    def look(self, work: Work, core: Box) -> Facts:
        """Find the basins of a block, and the passes between them and to those of its neighbours."""
        tile, height, basins = _climb(work, core)
        return know(basins, height, tile, work.shape, self.rule(work.settings))

    def paint(self, work: Work, core: Box, numbering: Numbering) -> NDArray[np.int32]:
        """Find the basins again and give each its object's number."""
        tile, _, basins = _climb(work, core)
        return numbering.of(basins.ends)[basins.numbers[tile.inner]]


def smooth_distance(
    distance: NDArray[Any], settings: DecodeSettings, sampling: tuple[float, ...]
) -> NDArray[np.float32]:
    """Smooth a distance map.

    Parameters
    ----------
    distance : ([Z,] Y, X), 0..1
        From the network.
    settings : DecodeSettings
        With the sigma.
    sampling : tuple of float
        Relative voxel size per axis; the smoothing is equal in length, not in voxels.

    Returns
    -------
    array, ([Z,] Y, X), float32
        Each value is a sum of the same numbers in the same order wherever the array begins: equal to the bit.
    """
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(
        np.asarray(distance, np.float32), _sigma(settings, sampling), truncate=TRUNCATE
    )
    return smooth


def _climb(work: Work, core: Box) -> tuple[Tile, NDArray[np.float32], Parts]:
    """Find the basins of a block, with one voxel of its neighbours."""
    reach = tuple(int(TRUNCATE * sigma + 0.5) + 1 for sigma in _sigma(work.settings, work.sampling))
    wide, tile = surround(core, reach, work.shape), surround(core, (1,) * len(core), work.shape)
    inside = shift(tile.read, tuple(-s.start for s in wide.read))
    maps = work.read(wide.read)
    distance = smooth_distance(maps[1], work.settings, work.sampling)[inside]
    height = np.where(maps[0][inside] > work.settings.foreground, distance, np.float32(-np.inf))
    return tile, height, climb(height, tile, work.shape)


def _sigma(settings: DecodeSettings, sampling: tuple[float, ...]) -> list[float]:
    finest = min(sampling)
    return [settings.smooth * finest / size for size in sampling]
