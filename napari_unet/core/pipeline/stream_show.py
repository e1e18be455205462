"""What a large image shows of itself while it is segmented: coarse tiles and blocks, those that are looked at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.core.base.glimpse import Glimpse
from napari_unet.core.base.tiles import full_box
from napari_unet.core.pipeline.glimpse import Place as Grid
from napari_unet.core.pipeline.predictor import show_maps

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.pipeline.stream_place import Place


@dataclass(frozen=True)
class Looker:
    """Somebody who looks on.

    Parameters
    ----------
    first : Box
        What is looked at: one slice for each axis of the labels. It is done first.
    steps : tuple of int
        How coarse tiles and blocks are shown, for each spatial axis: see `Glimpse.every`.
    """

    first: Box
    steps: tuple[int, ...]

    def distance(self, image: Image, grid: tuple[int, ...], time: int, box: Box) -> tuple[int, float]:
        """Give the distance of a box from what is looked at, in time points and in voxels of the image, squared.

        Parameters
        ----------
        image : Image
            The whole.
        grid : tuple of int
            Shape of the whole image on the grid of the box.
        time, box
            Where it is.
        """
        later = abs(time - self.first[0].start) if "T" in image.axes else 0
        gaps = (
            max(0.0, f.start - b.stop * n / m + 1, b.start * n / m - f.stop + 1)  # 1 where they only touch
            for f, b, n, m in zip(self.first[-image.dims :], box, image.spatial_shape, grid, strict=True)
        )
        return later, sum(gap * gap for gap in gaps)


def show_tile(place: Place, time: int, core: Box, maps: NDArray[Any], steps: tuple[int, ...] | None) -> Glimpse | None:
    """Show the maps of a tile: foreground, or classes; nothing where nobody looks on."""
    if steps is None:
        return None
    whole = full_box(place.image.spatial_shape)
    found = Grid(time, whole, place.shape, whole).see(show_maps(place.model, place.plan.options, maps), core)
    return found and found.every(steps)


def show_block(time: int, box: Box, labels: NDArray[np.int32], steps: tuple[int, ...] | None) -> Glimpse | None:
    """Show the labels of a block; nothing where nobody looks on."""
    return None if steps is None else Glimpse(time, box, labels).every(steps)
