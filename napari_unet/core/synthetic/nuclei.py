"""Fluorescent nuclei: lumpy ellipsoids in clusters, with chromatin, nucleoli, blur, uneven light and camera noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_unet.core.base.image import Image
from napari_unet.core.synthetic.sample import Synthetic, bias_field, smooth_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

BACKGROUND = 180.0  # camera counts: offset and medium
BRIGHTNESS = 1400.0  # camera counts of a typical nucleus
READ_NOISE = 12.0  # camera counts
CLUSTERED = 0.6  # share of nuclei that are put beside another one
LEAST_VISIBLE = 0.7  # a nucleus that neighbours or the border hide more than that is left out
TRIALS_EACH = 40


@dataclass(frozen=True)
class Nucleus:
    """Describe one nucleus: an ellipsoid with bumps; lengths in µm, axes as the image's spatial axes."""

    centre: Array
    radii: Array
    rotation: Array
    bumps: Array  # (n, dims): direction of each bump; its length is the height
    brightness: float


def nuclei_2d(seed: int = 0, shape: tuple[int, int] = (512, 512), n: int = 120) -> Synthetic:
    """Generate a 2D image of fluorescent nuclei, some of them touching.

    Parameters
    ----------
    seed : int
        The same seed gives the same image.
    shape : tuple of int, (Y, X)
        Voxels of 0.325 µm.
    n : int
        Nuclei wanted; fewer are placed where the room ends.

    Returns
    -------
    Synthetic
        uint16 image and instances numbered from 1 without gaps.
    """
    return _nuclei(seed, shape, n, voxel_size=(0.325, 0.325), radius_um=4.6, blur_um=(0.35, 0.35))


def nuclei_3d(seed: int = 0, shape: tuple[int, int, int] = (32, 160, 160), n: int = 60) -> Synthetic:
    """Generate a confocal stack of nuclei whose planes lie four times wider apart than its pixels.

    Parameters
    ----------
    seed : int
        The same seed gives the same image.
    shape : tuple of int, (Z, Y, X)
        Voxels of 1.0 x 0.25 x 0.25 µm.
    n : int
        Nuclei wanted; fewer are placed where the room ends.

    Returns
    -------
    Synthetic
        uint16 image and instances numbered from 1 without gaps.
    """
    return _nuclei(seed, shape, n, voxel_size=(1.0, 0.25, 0.25), radius_um=3.6, blur_um=(0.8, 0.25, 0.25))


def _nuclei(
    seed: int,
    shape: tuple[int, ...],
    n: int,
    *,
    voxel_size: tuple[float, ...],
    radius_um: float,
    blur_um: tuple[float, ...],
) -> Synthetic:
    rng = np.random.default_rng(seed)
    size = np.asarray(voxel_size, np.float32)
    labels = np.zeros(shape, np.int32)
    light = np.zeros(shape, np.float32)
    chromatin = (
        1 + 0.16 * smooth_field(rng, shape, tuple(0.5 / size)) + 0.08 * smooth_field(rng, shape, tuple(1.6 / size))
    )
    placed: list[Nucleus] = []
    for _ in range(n * TRIALS_EACH):
        if len(placed) == n:
            break
        nucleus = _draw(rng, np.asarray(shape) * size, radius_um, placed)
        if _paint(rng, nucleus, size, labels, light, len(placed) + 1):
            placed.append(nucleus)
    light *= chromatin
    image = Image(
        _photograph(rng, light, tuple(blur_um / size)), "ZYX"[-len(shape) :], voxel_size, f"nuclei {len(shape)}D"
    )
    return Synthetic(image, labels)


def _draw(rng: np.random.Generator, extent_um: Array, radius_um: float, placed: list[Nucleus]) -> Nucleus:
    dims = len(extent_um)
    radii = radius_um * rng.uniform(0.8, 1.2) * rng.uniform(0.82, 1.22, dims)
    if placed and rng.random() < CLUSTERED:
        beside = placed[rng.integers(len(placed))]
        away = _directions(rng, 1, dims)[0]
        centre = beside.centre + away * (beside.radii.mean() + radii.mean()) * rng.uniform(0.92, 1.05)
    else:
        centre = rng.uniform(0, 1, dims) * extent_um
    rotation, _ = np.linalg.qr(rng.standard_normal((dims, dims)))
    bumps = _directions(rng, 5, dims) * rng.uniform(0.01, 0.05, (5, 1))
    brightness = BRIGHTNESS * float(np.exp(rng.normal(0, 0.4)))
    return Nucleus(
        centre.astype(np.float32),
        radii.astype(np.float32),
        rotation.astype(np.float32),
        bumps.astype(np.float32),
        brightness,
    )


def _paint(
    rng: np.random.Generator, nucleus: Nucleus, size: Array, labels: NDArray[np.int32], light: Array, number: int
) -> bool:
    """Write one nucleus into `labels` and `light`, unless too little of it would be seen."""
    reach = nucleus.radii.max() * 1.3
    low = np.floor((nucleus.centre - reach) / size).astype(int)
    high = np.ceil((nucleus.centre + reach) / size).astype(int) + 1
    box = tuple(slice(max(0, a), max(0, min(b, n))) for a, b, n in zip(low, high, labels.shape, strict=True))
    middle = tuple(int(min(max(c, 0), n - 1)) for c, n in zip(nucleus.centre / size, labels.shape, strict=True))
    if any(s.start >= s.stop for s in box) or labels[middle]:
        return False
    depth = _depth(nucleus, [np.arange(a, b) * s for a, b, s in zip(low, high, size, strict=True)])
    whole = np.count_nonzero(depth > 0)
    depth = depth[tuple(slice(s.start - a, s.stop - a) for s, a in zip(box, low, strict=True))]
    free = (depth > 0) & (labels[box] == 0)
    if whole == 0 or np.count_nonzero(free) < LEAST_VISIBLE * whole:
        return False
    labels[box][free] = number
    dome = 0.72 + 0.28 * np.sqrt(np.clip(depth, 0, 1))
    light[box][free] = (nucleus.brightness * dome * _nucleoli(rng, depth, free))[free]
    return True


def _depth(nucleus: Nucleus, axes_um: list[Array]) -> Array:
    """Give 1 in the centre, 0 on the surface and negative values outside."""
    grid = np.stack(np.meshgrid(*axes_um, indexing="ij"), axis=-1).astype(np.float32) - nucleus.centre
    turned = grid @ nucleus.rotation.T / nucleus.radii
    rho = np.linalg.norm(turned, axis=-1)
    direction = turned / np.maximum(rho, 1e-6)[..., None]
    heights = np.linalg.norm(nucleus.bumps, axis=1)
    waves = np.sin(3 * direction @ (nucleus.bumps / heights[:, None]).T)
    depth: Array = 1 - rho / (1 + waves @ heights)
    return depth


def _nucleoli(rng: np.random.Generator, depth: Array, inside: NDArray[np.bool_]) -> Array:
    """Give the factor by which nucleoli, two or three round spots without DNA, darken a nucleus."""
    factor = np.ones(depth.shape, np.float32)
    deep = np.argwhere(inside & (depth > 0.35))
    if not len(deep):
        return factor
    spread = np.asarray(depth.shape) / 14
    grid = np.indices(depth.shape, dtype=np.float32)
    for at in deep[rng.integers(len(deep), size=rng.integers(1, 4))]:
        offset = (grid - at.reshape(-1, *([1] * depth.ndim))) / spread.reshape(-1, *([1] * depth.ndim))
        factor *= 1 - rng.uniform(0.25, 0.5) * np.exp(-0.5 * (offset**2).sum(axis=0))
    return factor


def _photograph(rng: np.random.Generator, light: Array, blur_px: tuple[float, ...]) -> NDArray[np.uint16]:
    """Blur by the optics, add haze and uneven light, then shot and read noise."""
    sharp = gaussian_filter(light, blur_px)
    haze = gaussian_filter(light, tuple(12 * b for b in blur_px))
    seen = (sharp + 0.12 * haze) * bias_field(rng, light.shape, 0.35) + BACKGROUND
    noisy = rng.poisson(seen / 4) * 4.0 + rng.normal(0, READ_NOISE, light.shape)
    counts: NDArray[np.uint16] = np.clip(np.round(noisy), 0, 65535).astype(np.uint16)
    return counts


def _directions(rng: np.random.Generator, n: int, dims: int) -> NDArray[np.float64]:
    vectors = rng.standard_normal((n, dims))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
