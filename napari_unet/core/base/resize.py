"""Bring volumes to another grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.core.base.repeated import is_repeated, repeat


def resize_linear(volume: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Resample (C, [Z,] Y, X) intensities linearly to a spatial shape; averages where it shrinks.

    Returns
    -------
    array, (C, *shape), float32
    """
    if volume.shape[1:] == shape:
        return volume.astype(np.float32, copy=False)
    if is_repeated(volume):
        return repeat(resize_linear(volume[:1], shape), len(volume))
    tensor = torch.from_numpy(np.require(volume, np.float32, ["C", "W"]))[None]  # torch warns of read-only arrays
    dims = volume.ndim - 1
    # torch smooths before it shrinks only in 2D; in 3D averaging whole numbers of voxels afterwards does the same.
    if dims == 2:
        out = torch.nn.functional.interpolate(tensor, shape, mode="bilinear", antialias=True)
    else:
        factors = [max(1, round(n / s)) for n, s in zip(volume.shape[1:], shape, strict=True)]
        finer = [s * f for s, f in zip(shape, factors, strict=True)]
        out = torch.nn.functional.interpolate(tensor, finer, mode="trilinear")
        if max(factors) > 1:
            out = torch.nn.functional.avg_pool3d(out, factors)
    return out[0].numpy()


def resize_nearest(labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Resample labels to a spatial shape; every voxel takes the label of its nearest neighbour, ids are kept."""
    if labels.shape == shape:
        return labels
    # The middle of each new voxel, on the old grid.
    index = [((np.arange(n) + 0.5) * (old / n)).astype(np.intp) for n, old in zip(shape, labels.shape, strict=True)]
    return labels[np.ix_(*index)]
