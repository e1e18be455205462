"""Read images, read and write labels: one file for each format, one line for each suffix.

An image comes with its axes and its voxel size in µm where the file tells them. What a file leaves open and would
change the result is asked for by a `UserError`, never guessed. Labels are written on the grid of their image; those of
a PNG or JPEG become a TIFF, because neither holds a voxel size and 8 bit are too few for many objects.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.files import write_atomic
from napari_unet.core.io import nifti, npy, png, tiff
from napari_unet.core.io.axes import settle
from napari_unet.core.io.guard import reading
from napari_unet.core.io.labels import as_labels, smallest
from napari_unet.core.io.paths import find_files, stem, suffix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image
    from napari_unet.core.io.stored import Stored

READERS: dict[str, Callable[[Path], Stored]] = {
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
}

WRITERS: dict[str, Callable[[NDArray[np.integer], Image | None, str], bytes]] = {
    ".tif": tiff.write_labels,
    ".tiff": tiff.write_labels,
    ".ome.tif": tiff.write_labels,
    ".ome.tiff": tiff.write_labels,
    ".nii": nifti.write_labels,
    ".nii.gz": nifti.write_labels,
    ".npy": npy.write_labels,
}

__all__ = [
    "READERS",
    "WRITERS",
    "expand",
    "label_path",
    "read_image",
    "read_labels",
    "stem",
    "suffix",
    "write_image",
    "write_labels",
]


def read_image(path: str | Path, axes: str | None = None, voxel_size: Sequence[float] | None = None) -> Image:
    """Read an image with its axes and voxel size.

    Parameters
    ----------
    path : str or Path
        TIFF, OME-TIFF, ImageJ TIFF, PNG, JPEG, NIfTI or .npy.
    axes : str or None
        One letter of ``TCZYX`` for each axis of the array, in the array's order (that of a NIfTI is read as ``TZYX``, x
        last); wins over the file. None takes them from the file.
    voxel_size : sequence of float, µm, or None
        One for each spatial axis, in the order ``ZYX``; wins over the file.

    Returns
    -------
    Image
        Named after the file. Axes of length 1 are left out, unless `axes` names them; colours come first, without
        alpha.

    Raises
    ------
    ReadError
        When there is no such file, it cannot be read, or it needs more memory than there is.
    UserError
        When the format is unknown, or the file does not tell its axes.
    """
    path = Path(path)
    stored = _read(path)
    return settle(stored, stem(path), str(path), axes, voxel_size)


def read_labels(path: str | Path) -> NDArray[np.signedinteger]:
    """Read labels, instances or classes.

    Parameters
    ----------
    path : str or Path
        Any format that `read_image` reads.

    Returns
    -------
    array, ([T,] [Z,] Y, X), int32 (int64 where a label needs it)
        0 is background; axes of length 1 are left out.

    Raises
    ------
    ReadError
        When the file cannot be read.
    UserError
        When it holds colours, channels, fractions or negative numbers.
    """
    path = Path(path)
    return as_labels(_read(path), path)


def write_labels(path: str | Path, labels: NDArray[np.integer], like: Image | None = None) -> Path:
    """Write labels in the format that the suffix of `path` names; atomically, replacing what is there.

    Parameters
    ----------
    path : str or Path
        TIFF, OME-TIFF, NIfTI or .npy; see `label_path`.
    labels : integer array, ([T,] [Z,] Y, X)
        Written in the smallest integer type that holds them.
    like : Image or None
        The image they belong to: its axes and voxel size go with them, and for NIfTI its whole grid.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        When the format cannot be written, the labels do not fit the image, or the disk refuses.
    """
    path = Path(path)
    writer = WRITERS.get(suffix(path))
    if writer is None:
        raise UserError(f"Labels cannot be written as '{path.name}'.", f"Use one of {', '.join(WRITERS)}.")
    if like is not None and labels.shape != like.label_shape:
        raise UserError(
            f"The labels have the shape {labels.shape}, the image '{like.name}' {like.label_shape}.",
            "Write labels on the grid of their image.",
        )
    return _write(path, writer(smallest(labels), like, suffix(path)))


def write_image(path: str | Path, image: Image) -> Path:
    """Write an image as OME-TIFF with its axes and voxel size; atomically, replacing what is there.

    Parameters
    ----------
    path : str or Path
        Ends in a suffix of TIFF.
    image : Image
        Read into memory at once. Whole numbers of 64 bit become float64, 16-bit floats become float32.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        When the suffix is none of TIFF, or the disk refuses.
    """
    path = Path(path)
    if READERS.get(suffix(path)) is not tiff.read:
        raise UserError(f"Images cannot be written as '{path.name}'.", "Use .tif or .ome.tif.")
    return _write(path, tiff.write_image(image))


def label_path(folder: str | Path, image: str | Path) -> Path:
    """Say where the labels of an image file go: the same stem and format; TIFF for what labels cannot be."""
    image = Path(image)
    kind = suffix(image)
    return Path(folder) / (stem(image) + (kind if kind in WRITERS else ".tif"))


def expand(inputs: Sequence[str | Path]) -> list[Path]:
    """List the image files that files, folders and patterns name.

    Parameters
    ----------
    inputs : sequence of str or Path
        A folder stands for the readable files right inside it; a pattern may hold ``*``, ``?`` and ``**``.

    Returns
    -------
    list of Path
        Sorted by name, each file once.

    Raises
    ------
    UserError
        When an input matches nothing, or names a file of another format.
    """
    return find_files(inputs, tuple(READERS))


def _read(path: Path) -> Stored:
    reader = READERS.get(suffix(path))
    if reader is None:
        raise UserError(f"The format of '{path.name}' is not known.", f"Use one of {', '.join(READERS)}.")
    if not path.is_file():
        raise ReadError(f"There is no file '{path}'.", "Check its name and folder.")
    with reading(path):
        return reader(path)


def _write(path: Path, data: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        raise UserError(
            f"'{path}' cannot be written: {error.strerror or error}.", "Check the folder and its free space."
        ) from error
    return path
