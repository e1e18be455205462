"""From maps to objects: CPU time at once and in blocks against scikit-image's peaks and watershed; the objects found.

The maps are those of a perfect network and a little noise, of ellipses that touch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from benchmarks.measure import Cost, cost_of, cpu_ratio, interleaved, median_cpu, say
from benchmarks.record import Figure, Result, Settings
from napari_unet.core.metrics.instances import average_precision, match_counts
from napari_unet.core.pipeline.blocks import decode_blocks
from napari_unet.core.targets import TARGETS, DecodeSettings

CASES = {
    "2D, 500 cells": ((1024, 1024), 500),
    "2D, 2000 cells": ((1024, 1024), 2000),
    "3D, 500 cells": ((64, 128, 128), 500),
}
QUICK_CASES = {"2D, 125 cells": ((512, 512), 125), "3D, 60 cells": ((32, 64, 64), 60)}

TIME_TARGET = {2: 0.10, 3: 0.20}
"""CPU seconds for a million voxels, by number of axes."""

BLOCKS = 2
"""Along each axis."""

NOISE = 0.02
LENGTH = 1.4
"""Of the ellipses, for their width."""

Decode = Callable[[], NDArray[np.int32]]


def run(settings: Settings) -> Result:
    """Measure each case in turn."""
    figures: list[Figure] = []
    samples: dict[str, list[float]] = {}
    for name, (shape, n) in (QUICK_CASES if settings.quick else CASES).items():
        say(f"{name}, {' x '.join(map(str, shape))}")
        truth = touching_ellipses(shape, n)
        works = _works(perfect_maps(truth), round(typical_radius(truth) / 2))
        found = {kind: work() for kind, work in works.items()}
        rounds = 2 if settings.quick else 9
        costs = interleaved({kind: partial(cost_of, work) for kind, work in works.items()}, rounds)
        figures += _figures(name, truth, found, costs)
        samples |= {f"{name}, {kind}, CPU s": [cost.cpu for cost in part] for kind, part in costs.items()}
    return Result(tuple(figures), samples)


def _works(maps: NDArray[np.float16], apart: int) -> dict[str, Decode]:
    return {
        "ours": partial(at_once, maps),
        "in blocks": partial(in_blocks, maps),
        "scikit-image": partial(plain, maps, apart),
    }


def _figures(
    name: str, truth: NDArray[np.int32], found: dict[str, NDArray[np.int32]], costs: dict[str, list[Cost]]
) -> list[Figure]:
    size, target = truth.size / 1e6, TIME_TARGET[truth.ndim]
    figures = [
        Figure(f"{name}, {kind}: CPU time", median_cpu(part) / size, "s/Mvoxel", target if kind == "ours" else None)
        for kind, part in costs.items()
    ]
    figures.append(Figure(f"{name}: CPU time / scikit-image", cpu_ratio(costs["ours"], costs["scikit-image"])))
    figures += [
        Figure(f"{name}, {kind}: AP at IoU 0.5", average_precision(match_counts(labels, truth, (0.5,)))[0])
        for kind, labels in found.items()
        if kind != "in blocks"
    ]
    differ = int(np.count_nonzero(found["in blocks"] != found["ours"]))
    return [*figures, Figure(f"{name}: voxels that blocks change", differ, target=0)]


def at_once(maps: NDArray[np.float16]) -> NDArray[np.int32]:
    """Decode as the plugin does."""
    return TARGETS["instances"].decode(maps, DecodeSettings(), (1.0,) * (maps.ndim - 1))


def in_blocks(maps: NDArray[np.float16]) -> NDArray[np.int32]:
    """Decode as the plugin does where maps do not fit into the memory."""
    out = np.zeros(maps.shape[1:], np.int32)
    block = tuple(n // BLOCKS for n in out.shape)
    decode_blocks(maps, DecodeSettings(), (1.0,) * out.ndim, out.__setitem__, block=block)
    return out


def plain(maps: NDArray[np.float16], apart: int) -> NDArray[np.int32]:
    """Decode with scikit-image: smoothing, peaks that reach the seed, flooding, without small objects.

    It has to be told how far peaks are apart, in voxels.
    """
    settings = DecodeSettings()
    distance = ndimage.gaussian_filter(maps[1].astype(np.float32), settings.smooth)
    mask = maps[0] > settings.foreground
    peaks = peak_local_max(distance, min_distance=apart, threshold_abs=settings.seed, labels=mask.astype(np.int32))
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels: NDArray[np.int32] = watershed(-distance, markers, mask=mask)
    labels[np.bincount(labels.ravel())[labels] < settings.min_size] = 0
    return labels


def touching_ellipses(shape: tuple[int, ...], n: int, seed: int = 0) -> NDArray[np.int32]:
    """Label ellipses (ellipsoids) that lie so close that most of them touch others."""
    scale = np.array([LENGTH] + [1.0] * (len(shape) - 1))
    size = np.array(shape) / scale
    radius = 0.6 * (prod(size) / n) ** (1 / len(shape))
    middles = np.random.default_rng(seed).uniform(0, size, (n, len(shape)))
    grid = np.indices(shape).reshape(len(shape), -1).T / scale
    distance, nearest = cKDTree(middles).query(grid)
    return np.where(distance < radius, nearest + 1, 0).reshape(shape).astype(np.int32)


def typical_radius(labels: NDArray[np.int32]) -> float:
    """Give half the edge of a cube as large as the median object, in voxels."""
    return float(np.median(np.unique(labels[labels > 0], return_counts=True)[1]) ** (1 / labels.ndim) / 2)


def perfect_maps(labels: NDArray[np.int32], seed: int = 0) -> NDArray[np.float16]:
    """Give what a network would give that is right but for a little noise: (2, [Z,] Y, X)."""
    maps = TARGETS["instances"].encode(labels, None, (1.0,) * labels.ndim).target[:2]
    noise = NOISE * np.random.default_rng(seed).standard_normal(maps.shape)
    return np.clip(maps + noise, 0, 1).astype(np.float16)
