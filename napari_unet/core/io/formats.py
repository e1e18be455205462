"""The formats: one line for each suffix, and how it is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.io import nifti, npy, png, tiff, zarr_read, zarr_whole
from napari_unet.core.io.guard import reading
from napari_unet.core.io.paths import STORES, is_url, location, suffix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image
    from napari_unet.core.io.stored import Reader, Stored

    Writer = Callable[[Path, NDArray[np.integer], Image | None], None]

T = TypeVar("T")

READERS: dict[str, Reader] = {
    ".tif": tiff.read,
    ".tiff": tiff.read,
    ".ome.tif": tiff.read,
    ".ome.tiff": tiff.read,
    ".png": png.read,
    ".jpg": png.read,
    ".jpeg": png.read,
    ".nii": nifti.read,
    ".nii.gz": nifti.read,
    ".npy": npy.read,
    ".zarr": zarr_read.read,
    ".ome.zarr": zarr_read.read,
}

WRITERS: dict[str, Writer] = {
    ".tif": tiff.write_labels,
    ".tiff": tiff.write_labels,
    ".ome.tif": tiff.write_labels,
    ".ome.tiff": tiff.write_labels,
    ".nii": nifti.write_labels,
    ".nii.gz": nifti.write_labels,
    ".npy": npy.write_labels,
    ".zarr": zarr_whole.write_labels,
    ".ome.zarr": zarr_whole.write_labels,
}


def read_stored(path: Path) -> Stored:
    """Read what the suffix of a path names, with every failure as one error.

    Raises
    ------
    ReadError
        When there is no such file, or it cannot be read.
    UserError
        When the format is unknown.
    """
    read = by_suffix(READERS, path, f"The format of '{path.name}' is not known.")
    if is_url(path):
        if suffix(path) not in STORES:
            raise UserError(f"Of '{location(path)}' only zarr could be read from afar.", "Download it first.")
    elif not (path.is_dir() if suffix(path) in STORES else path.is_file()):
        kind = "folder" if suffix(path) in STORES else "file"
        raise ReadError(f"There is no {kind} '{path}'.", "Check its name and folder.")
    with reading(path):
        return read(path)


def by_suffix(table: dict[str, T], path: Path, unknown: str) -> T:
    """Find what a suffix stands for; `unknown` is said where there is nothing."""
    found = table.get(suffix(path))
    if found is None:
        raise UserError(unknown, f"Use one of {', '.join(table)}.")
    return found
