"""Whole labels as OME-Zarr: complete, or not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.io.zarr_read import is_labels
from napari_unet.core.io.zarr_write import blocks, create_labels, finish_labels, taken

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image


def write_labels(path: Path, labels: NDArray[np.integer], like: Image | None) -> None:
    """Write whole labels with their pyramid; what is there is replaced when the new ones are complete.

    Parameters
    ----------
    path : Path
        As for `create_labels`.
    labels : array of uint8, uint16 or uint32
        Written as int32, as uint32 where a label needs it.
    like : Image or None
        Gives axes and voxel size.
    """
    if path.exists() and not is_labels(path):
        raise taken(path)
    axes = like.label_axes if like is not None else "TZYX"[-labels.ndim :]
    size = like.voxel_size if like is not None else None
    dtype = np.int32 if labels.max(initial=0) < 2**31 else np.uint32
    folder = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        array = create_labels(folder / path.name, labels.shape, axes, size, dtype=dtype)
        for box in blocks(labels.shape, array.chunks):
            array[box] = labels[box]
        finish_labels(folder / path.name)
        if path.exists():
            path.rename(folder / "old")
        (folder / path.name).rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
