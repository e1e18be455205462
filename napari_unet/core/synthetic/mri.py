"""A T1-weighted MRI of a head, as a sketch: skull, folded cortex, white matter and ventricles, unevenly lit, noisy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from napari_unet.core.base.image import Image
from napari_unet.core.synthetic.sample import Synthetic, bias_field, smooth_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

CLASSES = ("csf", "grey matter", "white matter")
CSF, GREY, WHITE = 1, 2, 3
INTENSITY = {0: 25.0, CSF: 190.0, GREY: 520.0, WHITE: 760.0}  # arbitrary units of a T1-weighted scan
SKULL, SCALP = 90.0, 830.0
NOISE = 22.0
VOXEL_UM = 1500.0
SULCUS_HALF_MM = 0.9
BRAIN_MM = (68.0, 62.0, 51.0)  # half lengths: foot to head, front to back, left to right


def mri_classes(seed: int = 0, shape: tuple[int, int, int] = (40, 96, 96)) -> Synthetic:
    """Generate an MRI-like volume with three tissue classes.

    Parameters
    ----------
    seed : int
        The same seed gives the same image.
    shape : tuple of int, (Z, Y, X)
        Voxels of 1.5 mm.

    Returns
    -------
    Synthetic
        float32 image and the classes 1 csf, 2 grey matter, 3 white matter.
    """
    rng = np.random.default_rng(seed)
    mm = VOXEL_UM / 1000
    zyx = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * mm for n in shape]
    grid = list(np.meshgrid(*zyx, indexing="ij"))
    rho = _radius(grid, BRAIN_MM) * (1 + 0.012 * smooth_field(rng, shape, (8.0, 8.0, 8.0)))
    labels = _tissue(rng, grid, rho, mm)
    intensity = np.vectorize(INTENSITY.get, otypes=[np.float32])(labels)
    intensity[(labels == 0) & (rho < 1.11)] = SKULL
    scalp = (rho >= 1.11) & (rho < 1.22)
    intensity[scalp] = SCALP * (0.8 + 0.1 * smooth_field(rng, shape, (2.0, 2.0, 2.0))[scalp])
    data = _scan(rng, intensity)
    image = Image(data, "ZYX", (VOXEL_UM,) * 3, "brain MRI")
    return Synthetic(image, labels, CLASSES)


def _tissue(rng: np.random.Generator, grid: list[Array], rho: Array, mm: float) -> NDArray[np.int32]:
    """Give the class of each voxel: the cortex is what lies within about 4 mm of the folded surface of the brain."""
    z, y, x = grid
    uneven = smooth_field(rng, rho.shape, (3.0 / mm,) * 3)
    side: Array = np.abs(x + 2.5 * np.sin(y / 25)).astype(np.float32)
    fissure = (rho > 0.42) & (side < 1.0)
    brain = (rho < 0.95 + 0.012 * uneven) & ~_sulci(rng, rho, mm) & ~fissure
    depth_mm = distance_transform_edt(brain, sampling=mm)
    labels = np.zeros(rho.shape, np.int32)
    labels[rho < 1.0] = CSF
    labels[brain] = GREY
    labels[depth_mm > 3.6 + 0.4 * uneven] = WHITE
    labels[_radius([z + 8, y - 4, side - 14], (17.0, 15.0, 9.0)) < 1 + 0.05 * uneven] = GREY  # thalamus, basal ganglia
    bent: Array = (side - 6.5 - 0.06 * np.abs(y)).astype(np.float32)
    ventricle = _radius([z - 6 + 0.02 * y**2, y - 2, bent], (9.0, 27.0, 4.2))
    labels[ventricle < 1 + 0.05 * uneven] = CSF
    return labels


def _sulci(rng: np.random.Generator, rho: Array, mm: float) -> NDArray[np.bool_]:
    """Give thin winding sheets that reach in from the surface: where a smooth random field changes its sign."""
    field = smooth_field(rng, rho.shape, (5.5 / mm,) * 3)
    slope = np.sqrt(sum(np.square(g) for g in np.gradient(field, mm)))
    bottom = 0.7 + 0.06 * smooth_field(rng, rho.shape, (8.0 / mm,) * 3)
    sheets: NDArray[np.bool_] = (np.abs(field) < SULCUS_HALF_MM * slope) & (rho > bottom)
    return sheets


def _radius(grid: Sequence[NDArray[np.floating]], half: tuple[float, ...]) -> Array:
    """Give the distance from the centre of an ellipsoid; 1 on its surface."""
    total = sum((axis / h) ** 2 for axis, h in zip(grid, half, strict=True))
    return np.sqrt(np.asarray(total, np.float32))


def _scan(rng: np.random.Generator, intensity: Array) -> Array:
    """Blur, shade and add the noise of a magnitude image (Rician)."""
    texture = 1 + 0.03 * smooth_field(rng, intensity.shape, (1.0, 1.0, 1.0))
    clean = gaussian_filter(intensity * texture, 0.55) * bias_field(rng, intensity.shape, 0.5)
    real = clean + rng.normal(0, NOISE, clean.shape)
    magnitude: Array = np.hypot(real, rng.normal(0, NOISE, clean.shape)).astype(np.float32)
    return magnitude
