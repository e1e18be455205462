"""File > Open for NIfTI, OME-TIFF and OME-Zarr: axes, voxel size, pyramid and affine arrive on the layer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.lazy import rearrange
from napari_unet.ui import messages
from napari_unet.ui.layers import layer_options

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from napari.types import LayerData
    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image

    Reader = Callable[[str | Sequence[str]], list[LayerData]]

NIFTI = (".nii", ".nii.gz")
OME = (".ome.tif", ".ome.tiff")
ZARR = ".zarr"
NO_LAYER: list[LayerData] = [(None,)]  # npe2's sign for "read, but nothing to show"


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Give the reader for NIfTI, OME-TIFF and zarr, on the disk or at an address; None for others."""
    first = str(path if isinstance(path, str) else path[0]).lower()
    is_ours = first.endswith((*NIFTI, *OME)) or f"{ZARR}/" in f"{first.replace(os.sep, '/')}/"
    return read_layers if is_ours else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read files as layers; a file that cannot be read is told about, the others still open."""
    from napari_unet.core.io import STORES, read_levels, suffix

    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        try:
            found = _zarr_layers(one) if suffix(one) in STORES else [_layer(read_levels(one), Path(one))]
            layers.extend(found)
        except UserError as error:
            messages.show_user_error(error)
    return layers or NO_LAYER


def open_zarr() -> None:
    """Ask for the folder of a zarr image and open it.

    The manifest does not claim folders: napari would then ask which reader to take for any folder that is dropped.
    """
    import napari
    from napari.layers import Layer
    from qtpy.QtWidgets import QFileDialog

    viewer = napari.current_viewer()
    folder = QFileDialog.getExistingDirectory(None, "Open OME-Zarr: choose the .zarr folder")
    if viewer is None or not folder:
        return
    with with_source(folder):
        made = [Layer.create(*data) for data in read_layers(folder) if data is not NO_LAYER[0]]
    for layer in made:
        viewer.add_layer(layer)


def with_source(path: str) -> AbstractContextManager[None]:
    """Let layers that are made inside know where they come from, as those of File > Open do."""
    from napari.layers._source import layer_source  # napari has no public way (0.9); a test notices when this goes

    source: AbstractContextManager[None] = layer_source(path=path, reader_plugin="napari-unet")
    return source


def _zarr_layers(path: str) -> list[LayerData]:
    """Read an image and, hidden, the labels that lie within it; or a folder of labels."""
    from napari_unet.core.io import is_labels, label_names, read_levels

    if is_labels(path):
        return [_labels(path)]
    layers = [_layer(read_levels(path), Path(path))]
    for name in label_names(path):
        try:
            data, options, kind = _labels(f"{path.rstrip('/')}/{name}")
        except UserError as error:
            messages.show_user_error(error)  # the image is worth opening without them
        else:
            layers.append((data, {**options, "visible": False}, kind))
    return layers


def _layer(levels: list[Image], path: Path) -> LayerData:
    image = levels[0]
    made = [image_layer(one) for one in levels]
    arrays, options = [data for data, *_ in made], made[0][1]
    if path.name.lower().endswith(NIFTI) and image.spatial_axes == "ZYX" and image.voxel_size is not None:
        options["affine"] = nifti_affine(path, image.voxel_size, len(options["scale"]))
    if len(levels) == 1:
        return arrays[0], options, "image"
    return arrays, {**options, "multiscale": True}, "image"


def image_layer(image: Image) -> tuple[Any, dict[str, Any], str]:
    """Give the data and the options of a layer that shows an image; colours come last, as napari wants them."""
    options: dict[str, Any] = {"name": image.name, **layer_options(image)}
    if not image.rgb:
        return image.data, options, "image"
    order = [*(i for i, a in enumerate(image.axes) if a != "C"), image.axes.index("C")]
    return rearrange(image.data, (slice(None),) * len(order), order), {**options, "rgb": True}, "image"


def _labels(path: str) -> LayerData:
    """Read labels: into memory, where they can be painted; with their pyramid where they are large."""
    from napari_unet.core.io import read_labels, read_levels
    from napari_unet.core.io.stored import LAZY_BYTES

    levels = read_levels(path)
    options = {"name": levels[0].name, **layer_options(levels[0])}
    if np.prod(levels[0].data.shape, dtype=object) * np.dtype(np.int32).itemsize <= LAZY_BYTES:
        return read_labels(path), options, "labels"
    return [one.data for one in levels], {**options, "multiscale": True}, "labels"


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
