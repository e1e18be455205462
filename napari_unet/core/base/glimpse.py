"""What one tile shows, before all tiles are there: foreground or classes, on the image's own grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box


@dataclass(frozen=True, eq=False)
class Glimpse:
    """Show a tile.

    Parameters
    ----------
    time : int
        Time point; 0 where there is no time axis.
    box : Box
        One slice for each spatial axis of the image.
    classes : (*box) uint8
        0 background, 1 foreground; or the number of the class.
    """

    time: int
    box: Box
    classes: NDArray[np.uint8] = field(repr=False)
