"""What a reader gives: the array as it lies in the file and what the file says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN, SAMPLES = "?", "S"

TO_UM = {
    "pm": 1e-6,
    "å": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "inch": 25400.0,
    "in": 25400.0,
    "m": 1e6,
    "picometer": 1e-6,
    "angstrom": 1e-4,
    "centimeter": 1e4,
    "meter": 1e6,
}
"""Names of lengths, in small letters, as OME-TIFF, ImageJ and OME-Zarr write them."""

LAZY_BYTES = 2**30
"""A file that holds more is read where it is asked, if its format allows that."""


@dataclass(frozen=True)
class Stored:
    """Keep an array and what its file says.

    Parameters
    ----------
    data : array (numpy, memory map, zarr)
        In the file's own order.
    axes : str
        One letter for each axis: ``TCZYX``, ``S`` for colour samples, ``?`` where the file does not say, any other
        letter for a meaning that an image here cannot have.
    voxel_size : dict of str to float, µm
        By axis; only those that the file tells.
    colours : array, (n, 3), or None
        The palette, where the values are numbers of colours.
    coarser : tuple of Stored
        The coarser levels of a pyramid, the finest of them first.

    Raises
    ------
    ValueError
        When there is not one letter for each axis: the file contradicts itself.
    """

    data: Any
    axes: str
    voxel_size: dict[str, float] = field(default_factory=dict)
    colours: NDArray[np.uint8] | None = None
    coarser: tuple[Stored, ...] = ()

    def __post_init__(self) -> None:
        """Check that every axis has its letter."""
        if len(self.axes) != len(self.data.shape):
            raise ValueError(f"it announces the axes '{self.axes}' and holds an array of shape {self.data.shape}")


Reader = Callable[[Path], Stored]
"""Reads the image at an existing path.

Raises
------
ReadError
    When it claims more than the memory, or is cut short.
UserError
    When it holds what an image here cannot be, or several images.
Exception
    Anything else that the bytes of a broken file bring about; `napari_unet.core.io.guard.reading` makes it a ReadError.
"""


def length_um(value: object, unit: object) -> float | None:
    """Convert a length to µm; None for what is no positive length in a known unit."""
    factor = TO_UM.get(str(unit).strip().lower())
    try:
        length = float(str(value))
    except ValueError:
        return None
    if factor is None or not np.isfinite(length) or length <= 0:
        return None
    return length * factor
