"""File > Open for NIfTI and OME-TIFF: axes, voxel size and the scanner's affine arrive on the layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.ui import messages
from napari_unet.ui.layers import layer_options

if TYPE_CHECKING:
    from napari.types import LayerData
    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image

    Reader = Callable[[str | Sequence[str]], list[LayerData]]

NIFTI = (".nii", ".nii.gz")
OME = (".ome.tif", ".ome.tiff")
NO_LAYER: list[LayerData] = [(None,)]  # npe2's sign for "read, but nothing to show"


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Give the reader for NIfTI and OME-TIFF files; None for others."""
    first = str(path if isinstance(path, str) else path[0]).lower()
    return read_layers if first.endswith((*NIFTI, *OME)) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read files as image layers, one each; a file that cannot be read is told about, the others still open."""
    from napari_unet.core.io import read_image

    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        try:
            image = read_image(one)
            layers.append(_layer(image, Path(one)))
        except UserError as error:
            messages.show_user_error(error)
    return layers or NO_LAYER


def _layer(image: Image, path: Path) -> LayerData:
    options: dict[str, Any] = {"name": image.name, **layer_options(image)}
    data = image.data
    if image.rgb:
        data = np.moveaxis(data, image.axes.index("C"), -1)
        options["rgb"] = True
    if path.name.lower().endswith(NIFTI) and image.spatial_axes == "ZYX" and image.voxel_size is not None:
        options["affine"] = nifti_affine(path, image.voxel_size, len(options["scale"]))
    return data, options, "image"


def nifti_affine(path: Path, voxel_size: tuple[float, ...], ndim: int) -> NDArray[np.float64]:
    """Give the part of the scanner's affine that the scale does not hold: rotation, flips and position.

    napari cannot show a slice of a volume whose axes are permuted in the world, so the world's axes are named after
    the array's: each stays the one that the array axis is nearest to.

    Parameters
    ----------
    path : Path
        A NIfTI file.
    voxel_size : (3,) float, µm, ZYX
        The scale of the layer.
    ndim : int
        Dimensions of the layer; Z, Y and X are the last three.

    Returns
    -------
    (ndim + 1, ndim + 1) float64
        From µm along the array's axes to µm in the scanner.
    """
    from scipy.optimize import linear_sum_assignment

    from napari_unet.core.io.nifti import read_affine

    whole = read_affine(path)
    rotation = whole[:3, :3] / np.asarray(voxel_size)
    _, world_of = linear_sum_assignment(-np.abs(rotation.T))  # for each array axis, the world axis nearest to it
    affine = np.eye(ndim + 1)
    affine[-4:-1, -4:-1] = rotation[world_of]
    affine[-4:-1, -1] = whole[world_of, 3]
    return affine
