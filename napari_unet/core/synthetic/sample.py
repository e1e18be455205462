"""One generated image with its ground truth, and the random fields that all of them are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image


@dataclass(frozen=True)
class Synthetic:
    """Keep a generated image and what is in it.

    Parameters
    ----------
    image : Image
        With voxel size.
    labels : int32 array, the image's spatial shape
        Instances, or classes 1..K where there are `classes`; 0 is background.
    classes : tuple of str
        The names of the classes 1..K; empty for instances.
    """

    image: Image
    labels: NDArray[np.int32]
    classes: tuple[str, ...] = ()


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], size_px: tuple[float, ...]) -> NDArray[np.float32]:
    """Draw a smooth random field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides the field.
    shape : tuple of int
        Voxels.
    size_px : tuple of float, voxels, one for each axis
        How large its lumps are (sigma of the blur).

    Returns
    -------
    array of `shape`, float32
        Mean 0, standard deviation 1.
    """
    field = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), size_px, mode="reflect")
    field -= field.mean()
    result: NDArray[np.float32] = field / max(float(field.std()), 1e-6)
    return result


def bias_field(rng: np.random.Generator, shape: tuple[int, ...], strength: float) -> NDArray[np.float32]:
    """Draw uneven illumination: a product of half waves along the axes.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides the phases.
    shape : tuple of int
        Voxels.
    strength : float, 0 to 1
        Largest deviation from 1, roughly.

    Returns
    -------
    array of `shape`, float32
        Around 1.
    """
    field = np.ones((1,) * len(shape), np.float32)
    for axis, length in enumerate(shape):
        wave = np.cos(np.linspace(0, np.pi, length) * rng.uniform(0.6, 1.1) + rng.uniform(0, np.pi))
        along = [1] * len(shape)
        along[axis] = length
        field = field * (1 + strength / len(shape) * wave.astype(np.float32)).reshape(along)
    return np.broadcast_to(field, shape).astype(np.float32)
