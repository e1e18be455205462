"""NumPy's .npy: an array and nothing else; pickled objects are refused."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.io.guard import check_memory
from napari_unet.core.io.stored import UNKNOWN, Stored

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image


def read(path: Path) -> Stored:
    """Read an array; the file says nothing about its axes.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    Stored
        With unknown axes.

    Raises
    ------
    ReadError
        When it claims more than the memory.
    ValueError
        When it holds pickled objects or less than it announces.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        n_bytes = int(dtype.itemsize) * int(np.prod(shape, dtype=object))
        check_memory(path, n_bytes)
        left = path.stat().st_size - file.tell()
    if not dtype.hasobject and left < n_bytes:
        raise ValueError(f"it announces {n_bytes} bytes and has {left}")
    data = np.load(path, allow_pickle=False)
    return Stored(data, UNKNOWN * data.ndim)


def write_labels(labels: NDArray[np.integer], like: Image | None, kind: str) -> bytes:
    """Encode labels as .npy; neither axes nor voxel size have a place in it."""
    buffer = io.BytesIO()
    np.save(buffer, labels, allow_pickle=False)
    return buffer.getvalue()
