"""Bring boxes of a volume to another grid, as if the whole had been resampled: each voxel from the same neighbours."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box


class _Taps(NamedTuple):
    """What new voxels along one axis are made of: (n, K) positions on the old grid, and (n, K) weights."""

    place: NDArray[np.intp]
    weight: NDArray[np.float32]


def source_box(shape: tuple[int, ...], new_shape: tuple[int, ...], box: Box) -> Box:
    """Give what has to be read of a volume to resample a box.

    Parameters
    ----------
    shape, new_shape : tuple of int, voxels
        Of the whole volume, on its own grid and on the new one.
    box : Box
        On the new grid; not empty.

    Returns
    -------
    Box
        On the old grid.
    """
    taps = _all_taps(shape, new_shape, box)
    return tuple(slice(int(one.place.min()), int(one.place.max()) + 1) for one in taps)


def resize_box(part: NDArray[Any], shape: tuple[int, ...], new_shape: tuple[int, ...], box: Box) -> NDArray[np.float32]:
    """Resample a box of a volume linearly; averages where the grid becomes coarser.

    Parameters
    ----------
    part : (C, *box)
        What `source_box` names.
    shape, new_shape : tuple of int, voxels
        Of the whole volume.
    box : Box
        On the new grid.

    Returns
    -------
    array, (C, *box), float32
        What `resize_linear` gives there for the whole volume, but for rounding: 1e-5 of the largest intensity.
    """
    out = part.astype(np.float32, copy=False)
    begin = source_box(shape, new_shape, box)
    for axis, taps in reversed(list(enumerate(_all_taps(shape, new_shape, box)))):
        if shape[axis] != new_shape[axis]:
            out = _along(out, axis + 1, taps, begin[axis].start)
    return out


def nearest_index(old: int, new: int, part: slice) -> NDArray[np.intp]:
    """Give the old position that each new one of a part takes over, see `resize_nearest`."""
    index: NDArray[np.intp] = ((np.arange(part.start, part.stop) + 0.5) * (old / new)).astype(np.intp)
    return index


def _along(volume: NDArray[np.float32], axis: int, taps: _Taps, begin: int) -> NDArray[np.float32]:
    at_axis = tuple(-1 if a == axis else 1 for a in range(volume.ndim))
    total: NDArray[np.float32] | None = None
    for index, weight in zip(taps.place.T, taps.weight.T, strict=True):
        part = np.take(volume, index - begin, axis) * weight.reshape(at_axis)
        total = part if total is None else total + part
    return volume if total is None else total


def _all_taps(shape: tuple[int, ...], new_shape: tuple[int, ...], box: Box) -> list[_Taps]:
    # As in `resize_linear`: a plane is smoothed before it shrinks, a stack is averaged afterwards.
    taps_of = _smooth_taps if len(shape) == 2 else _mean_taps
    return [
        taps_of(old, new, np.arange(part.start, part.stop)) if old != new else _same(part)
        for old, new, part in zip(shape, new_shape, box, strict=True)
    ]


def _same(part: slice) -> _Taps:
    index = np.arange(part.start, part.stop, dtype=np.intp)[:, None]
    return _Taps(index, np.ones(index.shape, np.float32))


def _smooth_taps(old: int, new: int, places: NDArray[np.intp]) -> _Taps:
    """Weigh with a triangle as wide as two voxels of the coarser grid."""
    scale = old / new
    width = max(1.0, scale)
    middle = (places + 0.5) * scale
    first = np.maximum((middle - width + 0.5).astype(np.intp), 0)
    last = np.minimum((middle + width + 0.5).astype(np.intp), old)
    index = first[:, None] + np.arange(ceil(2 * width) + 1)
    weight = np.maximum(0, 1 - np.abs(index + 0.5 - middle[:, None]) / width) * (index < last[:, None])
    weight /= weight.sum(1, keepdims=True)
    return _Taps(np.minimum(index, last[:, None] - 1), weight.astype(np.float32))


def _mean_taps(old: int, new: int, places: NDArray[np.intp]) -> _Taps:
    """Take the mean of `factor` values between two voxels each."""
    factor = max(1, round(old / new))
    fine = places[:, None] * factor + np.arange(factor)
    position = np.maximum((fine + 0.5) * (old / (new * factor)) - 0.5, 0)
    low = np.minimum(position.astype(np.intp), old - 1)
    share = position - low
    index = np.concatenate((low, np.minimum(low + 1, old - 1)), axis=1)
    weight = np.concatenate((1 - share, share), axis=1) / factor
    return _Taps(index, weight.astype(np.float32))
