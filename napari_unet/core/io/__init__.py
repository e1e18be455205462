"""Read images, read and write labels: one file for each format, one line of `formats` for each suffix.

An image comes with its axes and its voxel size in µm where the file tells them. What a file leaves open and would
change the result is asked for by a `UserError`, never guessed. zarr and large TIFF and .npy files are not read at once
but where they are asked. Labels are written on the grid of their image; those of a PNG or JPEG become a TIFF, because
neither holds a voxel size and 8 bit are too few for many objects.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.io import tiff
from napari_unet.core.io.axes import settle
from napari_unet.core.io.formats import READERS, WRITERS, by_suffix, read_stored
from napari_unet.core.io.labels import as_labels, smallest
from napari_unet.core.io.levels import choose_level
from napari_unet.core.io.paths import STORES, find_files, location, stem, suffix
from napari_unet.core.io.provenance import KEY, read_provenance, write_provenance
from napari_unet.core.io.zarr_objects import read_objects, write_objects
from napari_unet.core.io.zarr_read import is_labels, label_names
from napari_unet.core.io.zarr_write import create_labels, finish_labels, open_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image
__all__ = [
    "READERS",
    "STORES",
    "WRITERS",
    "by_stem",
    "create_labels",
    "expand",
    "finish_labels",
    "is_labels",
    "label_names",
    "label_path",
    "open_labels",
    "read_image",
    "read_labels",
    "read_levels",
    "read_objects",
    "read_provenance",
    "stem",
    "suffix",
    "write_image",
    "write_labels",
    "write_objects",
    "write_provenance",
]


def read_image(
    path: str | Path,
    axes: str | None = None,
    voxel_size: Sequence[float] | None = None,
    *,
    at_least: Sequence[float] | None = None,
) -> Image:
    """Read an image with its axes and voxel size.

    Parameters
    ----------
    path : str or Path
        TIFF, OME-TIFF, ImageJ TIFF, PNG, JPEG, NIfTI, .npy, OME-Zarr or zarr; of zarr also an address, such as
        ``https://...`` or ``s3://...``, and a part of a store, such as ``plate.zarr/A/1/0``.
    axes : str or None
        One letter of ``TCZYX`` for each axis of the array, in the array's order (that of a NIfTI is read as ``TZYX``, x
        last); wins over the file. None takes them from the file.
    voxel_size : sequence of float, µm, or None
        One for each spatial axis, in the order ``ZYX``; wins over the file.
    at_least : sequence of float, µm, or None
        One for each spatial axis: of a pyramid, take the coarsest level that is as fine as this. None takes the finest.

    Returns
    -------
    Image
        Named after the file. Axes of length 1 are left out, unless `axes` names them; colours come first, without
        alpha. Of zarr and large TIFF and .npy files nothing is read yet.

    Raises
    ------
    ReadError
        When there is no such file, it cannot be read, or it needs more memory than there is.
    UserError
        When the format is unknown, or the file does not tell its axes.
    """
    path = Path(path)
    stored = read_stored(path)
    if at_least is not None:
        stored = choose_level(stored, at_least)
    return settle(stored, stem(path), location(path), axes, voxel_size)


def read_levels(path: str | Path) -> list[Image]:
    """Read an image with its pyramid, the finest level first; see `read_image`."""
    path = Path(path)
    stored = read_stored(path)
    return [settle(one, stem(path), location(path), None, None) for one in (stored, *stored.coarser)]


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
    return as_labels(read_stored(path), path)


def write_labels(
    path: str | Path, labels: NDArray[np.integer], like: Image | None = None, told: Mapping[str, Any] | None = None
) -> Path:
    """Write labels in the format that the suffix of `path` names; atomically, replacing what is there.

    Parameters
    ----------
    path : str or Path
        TIFF, OME-TIFF, NIfTI, .npy or OME-Zarr (see also `create_labels`); see `label_path`.
    labels : integer array, ([T,] [Z,] Y, X)
        Written in the smallest integer type that holds them.
    like : Image or None
        The image they belong to: its axes and voxel size go with them, and for NIfTI its whole grid.
    told : mapping of str to JSON, or None
        Who made them; see `core.io.provenance`.

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
    write = by_suffix(WRITERS, path, f"Labels cannot be written as '{path.name}'.")
    if like is not None and labels.shape != like.label_shape:
        raise UserError(
            f"The labels have the shape {labels.shape}, the image '{like.name}' {like.label_shape}.",
            "Write labels on the grid of their image.",
        )
    with _writing(path):
        if told is not None and write is tiff.write_labels:
            tiff.write_labels(path, smallest(labels), like, json.dumps({KEY: told}))
            return path
        write(path, smallest(labels), like)
        if told is not None:
            write_provenance(path, told)
    return path


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
    with _writing(path):
        tiff.write_image(path, image)
    return path


def label_path(folder: str | Path, image: str | Path) -> Path:
    """Say where the labels of an image file go: the same stem and format; TIFF for what labels cannot be."""
    image = Path(image)
    kind = suffix(image)
    return Path(folder) / (stem(image) + (kind if kind in WRITERS else ".tif"))


def expand(inputs: Sequence[str | Path]) -> list[Path]:
    """List the images that files, folders, addresses and patterns name.

    Parameters
    ----------
    inputs : sequence of str or Path
        A folder stands for the readable files right inside it; a ``.zarr`` folder is one image, and so is an address; a
        pattern may hold ``*``, ``?`` and ``**``.

    Returns
    -------
    list of Path
        Sorted by name, each once. `Path` leaves one slash of the two in an address: whatever reads knows that.

    Raises
    ------
    UserError
        When an input matches nothing, or names a file of another format.
    """
    return find_files(inputs, tuple(READERS))


def by_stem(folder: str | Path) -> dict[str, Path]:
    """List the images right inside a folder by their stems, to find what belongs together.

    Raises
    ------
    UserError
        When there is none, or two have one stem: which of them is meant, nobody can know.
    """
    found: dict[str, Path] = {}
    for path in expand([folder]):
        if found.setdefault(stem(path), path) is not path:
            raise UserError(f"{folder} holds '{stem(path)}' in two formats.", "Keep one of them.")
    return found


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"'{path}' cannot be written: {error.strerror or error}.", "Check the folder and its free space."
        ) from error
