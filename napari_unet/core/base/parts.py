"""Read an image part by part, so that little of it is in memory: to check it, and for statistics."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.lazy import is_lazy
from napari_unet.core.base.sample import grid_step, is_large, is_sampled, pick_boxes
from napari_unet.core.base.tiles import Box, full_box

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image

BLOCK_VOXELS = 2**21
"""Of a lazy image that are read at a time, unless its stored blocks are larger."""


def samples(image: Image, channel: int | None = None) -> Iterator[NDArray[Any]]:
    """Read what stands for the image in statistics, in bounded memory.

    Parameters
    ----------
    image : Image
        In memory, or lazy: the same voxels of either.
    channel : int or None
        Read this one only; None reads all.

    Yields
    ------
    array, (C, [Z,] Y, X)
        Every voxel of each time point, or those on a regular grid; of a large image boxes that are spread over space
        and time, always the same ones. About 4 M voxels in all.
    """
    if is_large(image.data):
        yield from _boxes(image, channel)
        return
    step = grid_step(image.n_times * prod(image.spatial_shape), image.dims)
    if step == 1 and not is_lazy(image.data):
        yield from (image.box(time, full_box(image.spatial_shape), channel) for time in range(image.n_times))
        return
    n_channels = image.n_channels if channel is None else 1
    for time in range(image.n_times):
        grid = np.empty((n_channels, *(ceil(n / step) for n in image.spatial_shape)), image.data.dtype)
        for box in _blocks(image):
            inside = tuple(slice(ceil(s.start / step), ceil(s.stop / step)) for s in box)
            starts = (slice(-s.start % step, None, step) for s in box)
            grid[(slice(None), *inside)] = image.box(time, box, channel)[(slice(None), *starts)]
        yield grid


def check_image(image: Image) -> None:
    """Refuse an image that no network can segment.

    Parameters
    ----------
    image : Image
        Checked once, where it enters. Every voxel is read once; of a large lazy image only `samples` are, so that
        NaN elsewhere in it are found later, or not at all.

    Raises
    ------
    UserError
        Empty, one pixel wide, complex or non-numeric, NaN or infinite, or constant.
    """
    name = f"The image '{image.name}'"
    if 0 in image.data.shape:
        raise UserError(f"{name} is empty: its shape is {tuple(image.data.shape)}.", "Open an image with voxels.")
    kind = np.dtype(image.data.dtype).kind
    if kind not in "buif":
        raise UserError(
            f"{name} has values of type {image.data.dtype}; real numbers are expected.",
            "Convert it first, for example to its magnitude.",
        )
    if min(image.spatial_shape[-2:]) < 2:
        raise UserError(f"{name} is {image.spatial_shape} voxels: too small to segment.", "Use at least 2 x 2 voxels.")
    lowest, highest = np.inf, -np.inf
    for part in _all_parts(image):
        low, high = float(part.min()), float(part.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise UserError(f"{name} holds NaN or infinite values.", "Replace them, for example with numpy.nan_to_num.")
        lowest, highest = min(lowest, low), max(highest, high)
    if lowest == highest:
        looked = " that was looked at" if is_sampled(image.data) else ""
        raise UserError(
            f"{name} is constant: every voxel{looked} is {lowest:g}.",
            "Choose another channel, or check how it was saved.",
        )


def _all_parts(image: Image) -> Iterator[NDArray[Any]]:
    """Read all of an image part by part; of a large lazy one the boxes that `samples` gives."""
    if is_sampled(image.data):
        yield from _boxes(image, None)
        return
    for time in range(image.n_times):
        yield from (image.box(time, box) for box in _blocks(image))


def _boxes(image: Image, channel: int | None) -> Iterator[NDArray[Any]]:
    for moment, *box in pick_boxes((image.n_times, *image.spatial_shape)):
        yield image.box(moment.start, tuple(box), channel)


def _blocks(image: Image) -> Iterator[Box]:
    """Cut a time point into the blocks in which a lazy image is stored, small ones put together."""
    shape = image.spatial_shape
    if not is_lazy(image.data):
        yield full_box(shape)
        return
    chunks = getattr(image.data, "chunks", None) or (1,) * len(image.axes)
    stored = dict(zip(image.axes, chunks, strict=True))
    largest = [stored[a] if isinstance(stored[a], int) else max(stored[a]) for a in image.spatial_axes]
    edges = [min(n, edge) for n, edge in zip(shape, largest, strict=True)]
    # The last axis first: what lies behind each other is read in one go.
    for axis in reversed(range(len(shape))):
        edges[axis] = min(shape[axis], edges[axis] * max(1, BLOCK_VOXELS // prod(edges)))
    starts = (range(0, n, e) for n, e in zip(shape, edges, strict=True))
    for corner in product(*starts):
        yield tuple(slice(s, min(s + e, n)) for s, e, n in zip(corner, edges, shape, strict=True))
