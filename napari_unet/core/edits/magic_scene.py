"""What magic correction looks at: labels and the network's maps in a box around the strokes, read when needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.edits.edit import Labels

SMOOTHING_PX = 1.0  # as decoding does, so that the boundaries are the same

Basins = Callable[[NDArray[np.float32], NDArray[np.bool_], float], NDArray[np.int32]]
"""``(height, mask, prominence) -> pieces``: cut a mask into the basins of a map; how objects were decoded."""


class Maps(Protocol):
    """What the network saw, on the grid of the labels, computed box by box.

    Of objects: foreground and boundary distance; of classes: the probability of the background and of each class.
    """

    def __getitem__(self, box: tuple[slice, ...], /) -> NDArray[Any]:
        """Give (K, *box) float32, 0 to 1."""


class CutOff(Exception):
    """The box is too small: what belongs to the correction reaches its sides.

    Parameters
    ----------
    sides : list of (int, int)
        Axis, and 0 for its low end or 1 for its high one.
    is_endless : bool
        It is background that reaches there, which might go on for ever.
    """

    def __init__(self, sides: list[tuple[int, int]], *, is_endless: bool) -> None:
        super().__init__()
        self.sides = sides
        self.is_endless = is_endless


class Scene:
    """A part of the labels with the maps there.

    Parameters
    ----------
    labels : integer array, n-D
        All labels; only the box is read.
    maps : Maps
        Of the same grid.
    box : Box
        What is looked at.
    sampling : (ndim,) float
        Relative length of a voxel's edges; the smallest is 1.
    """

    def __init__(self, labels: Labels, maps: Maps, box: Box, sampling: Sequence[float]) -> None:
        self.box, self.sampling = box, tuple(sampling)
        self.labels: Labels = np.asarray(labels[box])
        self._source, self._shape = maps, labels.shape

    @cached_property
    def maps(self) -> NDArray[np.float32]:
        """Read the maps: (K, *box)."""
        return np.asarray(self._source[self.box], np.float32)

    @property
    def foreground(self) -> NDArray[np.float32]:
        """Give the probability that a voxel belongs to any object."""
        values: NDArray[np.float32] = self.maps[0]
        return values

    @cached_property
    def height(self) -> NDArray[np.float32]:
        """Give the boundary distance, smoothed equally in length: high in the middle of objects."""
        sigma = [SMOOTHING_PX / edge for edge in self.sampling]
        smooth: NDArray[np.float32] = scipy.ndimage.gaussian_filter(self.maps[min(1, len(self.maps) - 1)], sigma)
        return smooth

    def check_whole(self, mask: NDArray[np.bool_], *, is_endless: bool = False) -> None:
        """Ask for a larger box where a mask reaches a side of this one that is not a side of the labels.

        Raises
        ------
        CutOff
        """
        sides = [
            (axis, end)
            for axis, (part, n) in enumerate(zip(self.box, self._shape, strict=True))
            for end, is_inner in enumerate((part.start > 0, part.stop < n))
            if is_inner and mask.take(-end, axis).any()
        ]
        if sides:
            raise CutOff(sides, is_endless=is_endless)
