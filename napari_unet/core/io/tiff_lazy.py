"""Large TIFF files: as a memory map where the pixels lie in one piece, by tiles and strips through zarr otherwise."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_unet.core.io.guard import check_chunk
from napari_unet.core.io.stored import UNKNOWN, Stored


def read(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries, size: dict[str, float]) -> Stored:
    """Read a series lazily, with the coarser levels of its pyramid.

    Parameters
    ----------
    path : Path
        The file.
    file : tifffile.TiffFile
        Open; closed when the last of the arrays is gone.
    series : tifffile.TiffPageSeries
        Of that file.
    size : dict of str to float, µm
        By axis, of the finest level.

    Returns
    -------
    Stored
        Arrays through zarr cannot be pickled: another process opens the file itself.

    Raises
    ------
    ReadError
        When a single tile or strip does not fit into the memory.
    """
    if series.dataoffset is not None:
        data = tifffile.memmap(path, series=0, mode="r")
        file.close()
        return Stored(data, known_axes(series.axes), size)
    # Each store holds on to the file.
    weakref.finalize(file, file.filehandle.close)
    levels = [_level(path, series, level) for level in range(len(series.levels))]
    axes = known_axes(series.axes)
    first, *others = levels
    coarser = tuple(
        Stored(data, axes, {a: v * first.shape[axes.index(a)] / data.shape[axes.index(a)] for a, v in size.items()})
        for data in others
        if data.ndim == first.ndim
    )
    return Stored(first, axes, size, coarser=coarser)


def known_axes(axes: str) -> str:
    """Turn the letters that tifffile gives into those of `Stored`."""
    return "".join(UNKNOWN if a in "IQ" else a for a in axes)


def _level(path: Path, series: tifffile.TiffPageSeries, level: int) -> Any:
    import zarr  # slow to load, and the dock opens without it

    store: Any = series.aszarr(level=level)
    array = zarr.open_array(store, mode="r")
    check_chunk(path, int(np.prod(array.chunks, dtype=object)) * np.dtype(array.dtype).itemsize)
    return array
