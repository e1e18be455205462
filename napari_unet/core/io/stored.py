"""What a reader gives: the array as it lies in the file and what the file says about it."""

from __future__ import annotations

from dataclasses import dataclass, field
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
}
"""Names of lengths, in small letters, as OME-TIFF and ImageJ write them."""


@dataclass(frozen=True)
class Stored:
    """Keep an array and what its file says.

    Parameters
    ----------
    data : array
        In the file's own order.
    axes : str
        One letter for each axis: ``TCZYX``, ``S`` for colour samples, ``?`` where the file does not say, any other
        letter for a meaning that an image here cannot have.
    voxel_size : dict of str to float, µm
        By axis; only those that the file tells.
    colours : array, (n, 3), or None
        The palette, where the values are numbers of colours.

    Raises
    ------
    ValueError
        When there is not one letter for each axis: the file contradicts itself.
    """

    data: NDArray[Any]
    axes: str
    voxel_size: dict[str, float] = field(default_factory=dict)
    colours: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        """Check that every axis has its letter."""
        if len(self.axes) != self.data.ndim:
            raise ValueError(f"it announces the axes '{self.axes}' and holds an array of shape {self.data.shape}")


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
