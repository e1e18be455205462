"""Bring what a tile shows from the network's grid to the image's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.core.base.glimpse import Glimpse
from napari_unet.core.base.resize import resize_nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.core.base.tiles import Box


@dataclass(frozen=True)
class Place:
    """Say where the network's grid lies in the image.

    Parameters
    ----------
    time : int
        Time point.
    outer : Box
        The part of the image that was read.
    size : tuple of int
        Its shape on the network's grid.
    inner : Box
        The part of it that is asked for.
    """

    time: int
    outer: Box
    size: tuple[int, ...]
    inner: Box

    def see(self, classes: NDArray[np.uint8], core: Box) -> Glimpse | None:
        """Bring a tile to the image's grid.

        Parameters
        ----------
        classes : (*core) uint8
            On the network's grid.
        core : Box
            Of the tile, there.

        Returns
        -------
        Glimpse or None
            None where nothing of it is asked for.
        """
        covered, shown, part = [], [], []
        for c, o, n, wanted in zip(core, self.outer, self.size, self.inner, strict=True):
            scale = (o.stop - o.start) / n
            low, high = (o.start + round(edge * scale) for edge in (c.start, c.stop))
            start, stop = max(low, wanted.start), min(high, wanted.stop)
            if stop <= start:
                return None
            covered.append(high - low)
            shown.append(slice(start, stop))
            part.append(slice(start - low, stop - low))
        return Glimpse(self.time, tuple(shown), resize_nearest(classes, tuple(covered))[tuple(part)])
