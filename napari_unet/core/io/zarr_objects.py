"""What is known of the objects in stored labels, kept in the same store: arrays that any reader of zarr can open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import ReadError

OBJECTS = "objects"
"""The group in the labels."""

CHUNK = 2**18


def write_objects(path: Path, columns: dict[str, NDArray[np.generic]]) -> None:
    """Write a column for each thing that is known of the objects, into labels that are there.

    Parameters
    ----------
    path : Path
        Of the labels, ends in ``.zarr``.
    columns : dict of (N + 1,) or (N + 1, D) arrays
        By their names; by the number of the object, with one for the background.
    """
    import zarr  # slow to load, and the dock opens without it

    group = zarr.open_group(path.absolute(), mode="r+", zarr_format=2).create_group(OBJECTS, overwrite=True)
    for name, values in columns.items():
        chunks = (min(CHUNK, len(values)), *values.shape[1:])
        array = group.create_array(name, shape=values.shape, chunks=chunks, dtype=values.dtype)
        array[...] = values


def read_objects(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read what `write_objects` wrote; empty where nothing is known of the objects.

    Parameters
    ----------
    path : Path
        Of the labels.

    Returns
    -------
    dict of (N + 1, ...) arrays
        ``size`` in voxels, int64; ``confidence``, float32, 0..1, NaN where it is not known; ``low`` and ``high``,
        (N + 1, D) int32, the first voxel of the box around it and one after the last, equal where nothing is left of
        it; of a time series ``time``, int32.

    Raises
    ------
    ReadError
        When they are damaged.
    """
    import zarr

    if not (path / OBJECTS).is_dir():
        return {}
    try:
        group = zarr.open_group((path / OBJECTS).absolute(), mode="r")
        return {name: np.asarray(array[...]) for name, array in group.arrays()}
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ReadError(
            f"What is known of the objects in '{path}' cannot be read: {error}.", "Segment the image once more."
        ) from error
