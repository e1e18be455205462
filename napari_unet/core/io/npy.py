"""NumPy's .npy: an array and nothing else; pickled objects are refused."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.files import write_atomic
from napari_unet.core.io.guard import check_memory
from napari_unet.core.io.stored import LAZY_BYTES, UNKNOWN, Stored

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image


def read(path: Path) -> Stored:
    """Read an array, as a memory map where it is large; the file says nothing about its axes (see `Reader`)."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        n_bytes = int(dtype.itemsize) * int(np.prod(shape, dtype=object))
        is_large = n_bytes > LAZY_BYTES
        if not is_large:
            check_memory(path, n_bytes)
        left = path.stat().st_size - file.tell()
    if not dtype.hasobject and left < n_bytes:
        raise ValueError(f"it announces {n_bytes} bytes and has {left}")
    data = np.load(path, mmap_mode="r" if is_large else None, allow_pickle=False)
    return Stored(data, UNKNOWN * data.ndim)


def write_labels(path: Path, labels: NDArray[np.integer], like: Image | None) -> None:
    """Write labels as .npy; neither axes nor voxel size have a place in it."""
    buffer = io.BytesIO()
    np.save(buffer, labels, allow_pickle=False)
    write_atomic(path, buffer.getvalue())
