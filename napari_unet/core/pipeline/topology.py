"""How a network is laid out for voxels of some size: the rules of a plan that need nothing but the geometry.

References
----------
F. Isensee et al.: nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation. Nat
Methods 2021, doi:10.1038/s41592-020-01008-z: supplementary note 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig
    from napari_unet.core.pipeline.fingerprint import Fingerprint

ANISOTROPIC = 3.0
"""An axis whose voxels are longer than this times the others' gets the 10th percentile instead of the median."""

COARSER = 2.0
"""Axes whose voxels are not this much longer than the finest are pooled, and convolved, together."""

SMALLEST_MAP = 4
"""Edge below which a feature map is not pooled."""


def target_voxel_size(facts: Fingerprint) -> tuple[float, ...] | None:
    """Choose the voxel size that images are brought to.

    Returns
    -------
    tuple of float, µm, or None
        The median; along an axis with much longer voxels and far fewer of them the 10th percentile, so that the finer
        images keep their slices, but not finer than the other axes.
    """
    median = facts.voxel_size
    if median is None or facts.voxel_sizes is None:
        return None
    shape = np.median(facts.shapes, axis=0)
    worst = int(np.argmax(median))
    others = [axis for axis in range(facts.dims) if axis != worst]
    longest = max(median[axis] for axis in others)
    if median[worst] <= ANISOTROPIC * longest or ANISOTROPIC * shape[worst] >= min(shape[axis] for axis in others):
        return median
    fine = float(np.percentile([size[worst] for size in facts.voxel_sizes], 10))
    return tuple(max(fine, longest) if axis == worst else size for axis, size in enumerate(median))


def topology(
    sampling: Sequence[float], edges: Sequence[int], deepest: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Choose poolings and kernels, level by level, for voxels and a patch.

    Parameters
    ----------
    sampling : sequence of float
        Relative voxel size per axis.
    edges : sequence of int, voxels
        Of the patch.
    deepest : int
        Poolings at most.

    Returns
    -------
    strides, kernels : tuple of tuples of int
        One row for each pooling, at least one. An axis is pooled while its map stays `SMALLEST_MAP` long and its
        voxels are not `COARSER` than the finest of those that can still be pooled; it is convolved once its voxels are
        not coarser than the finest of all.
    """
    voxels, maps = list(sampling), list(edges)
    kernel = [1] * len(maps)
    strides: list[tuple[int, ...]] = []
    kernels: list[tuple[int, ...]] = []
    while len(strides) < deepest:
        able = [axis for axis, n in enumerate(maps) if n >= 2 * SMALLEST_MAP]
        finest = min((voxels[axis] for axis in able), default=0.0)
        pooled = [axis for axis in able if voxels[axis] < COARSER * finest]
        # One axis alone has to be long, or its map would be of a few voxels only.
        if not pooled or (len(pooled) == 1 and maps[pooled[0]] < 3 * SMALLEST_MAP and strides):
            break
        kernel = [3 if k == 3 or v < COARSER * min(voxels) else 1 for k, v in zip(kernel, voxels, strict=True)]
        strides.append(tuple(2 if axis in pooled else 1 for axis in range(len(maps))))
        kernels.append(tuple(kernel))
        for axis in pooled:
            voxels[axis] *= 2
            maps[axis] = ceil(maps[axis] / 2)
    return tuple(strides), tuple(kernels)


def context(config: NetConfig) -> tuple[int, ...]:
    """Give how far a network with two convolutions a level sees to each side, per axis, in voxels."""
    reach, step = [0] * config.dims, [1] * config.dims
    for level in range(config.depth + 1):
        passes = 1 if level == config.depth else 2
        for axis in range(config.dims):
            reach[axis] += passes * config.convs * (config.kernel(level)[axis] // 2) * step[axis]
            if level < config.depth:
                step[axis] *= config.stride(level)[axis]
    return tuple(reach)
