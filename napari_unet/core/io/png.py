"""PNG and JPEG: 2D pictures, gray or colour, without a voxel size."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Picture

from napari_unet.core.base.errors import UserError
from napari_unet.core.io.guard import check_memory
from napari_unet.core.io.stored import SAMPLES, Stored

if TYPE_CHECKING:
    from pathlib import Path

PALETTE_ENTRIES = 256


def read(path: Path) -> Stored:
    """Read a PNG or JPEG (see `Reader`): ``YX`` or ``YXS``; colours of 16 bit for each channel as 8 bit."""
    with warnings.catch_warnings():
        # Pillow warns of large pictures; the memory is asked here, and its hard limit stays.
        warnings.simplefilter("ignore", Picture.DecompressionBombWarning)
        with Picture.open(path, formats=("PNG", "JPEG")) as picture:
            check_memory(path, picture.width * picture.height * len(picture.getbands()) * 4)
            if picture.mode == "CMYK":
                raise UserError(f"'{path.name}' holds the printing colours CMYK.", "Convert it to RGB.")
            data = np.asarray(picture)
            colours = _palette(picture) if picture.mode == "P" else None
    axes = "YX" if data.ndim == 2 else "YX" + SAMPLES
    return Stored(data, axes, {}, colours)


def _palette(picture: Picture.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None:
    flat = picture.getpalette("RGB") or []
    table = np.zeros((PALETTE_ENTRIES, 3), np.uint8)
    known = np.asarray(flat, np.uint8).reshape(-1, 3)
    table[: len(known)] = known
    return table
