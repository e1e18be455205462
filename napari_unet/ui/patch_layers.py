"""Augmented patches beside their image: one image layer and one labels layer, replaced each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.ui import layers, view

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_unet.app.preview import Patches

IMAGE, LABELS = "augmented patches", "augmented labels"
GAP = 0.03
"""Between the image and the patches, as a share of the image's width."""

OPACITY = 0.4
"""Of the labels: both can be seen."""


def show(viewer: Viewer, layer: ImageLayer, axes: str, patches: Patches) -> None:
    """Show patches to the right of their image, in place of those shown before; the image stays the current one.

    Parameters
    ----------
    viewer : napari Viewer
        Gets the layers, and looks at them.
    layer : napari Image layer
        What the patches are from.
    axes : str
        In the layer's order.
    patches : Patches
        From ``app.preview``.
    """
    active = viewer.layers.selection.active
    for old in [one for one in viewer.layers if layers.is_preview(one)]:
        viewer.layers.remove(old)
    data = _like(layer, axes, patches.image)
    metadata = {layers.KEY: {"preview": True}}
    place = layers.transform_of(layer, list(range(layer.ndim)))
    place["translate"] = _beside(viewer, layer, axes, data.shape)
    made = viewer.add_image(data, name=IMAGE, rgb=layer.rgb, metadata=metadata, **place)
    if not layer.rgb:
        # One contrast for all patches, so that their brightness can be compared; single hot voxels set aside.
        made.contrast_limits = _limits(data)
    shown = patches.labels[np.newaxis] if "T" in axes else patches.labels
    labels = layers.add_labels(viewer, made, axes, shown, LABELS)
    labels.metadata[layers.KEY]["preview"] = True
    labels.editable, labels.opacity = False, OPACITY
    viewer.layers.selection.active = active if active in viewer.layers else layer
    view.fit(viewer, made)


def _like(layer: ImageLayer, axes: str, image: NDArray[np.float32]) -> NDArray[Any]:
    """Bring (C, [Z,] Y, X) into the order of the layer's axes; a time axis has the length 1."""
    letters = "C" + "".join(a for a in "ZYX" if a in axes)
    if layer.rgb:
        image = np.moveaxis(image.clip(0, 1), 0, -1)
        letters = letters[1:] + "C"
    elif "C" not in axes:
        image, letters = image[0], letters[1:]
    if "T" in axes:
        image, letters = image[np.newaxis], f"T{letters}"
    return image.transpose([letters.index(a) for a in (f"{axes}C" if layer.rgb else axes)])


def _limits(data: NDArray[Any]) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(data, (0.5, 99.5)))
    return low, max(high, low + 1e-6)


def _beside(viewer: Viewer, layer: ImageLayer, axes: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Give the translation that puts a layer to the right of another, its middle plane into the shown slice."""
    at, first = view.position(viewer, layer), np.zeros(layer.ndim)
    for index, axis in enumerate(axes):
        if axis == "X":
            first[index] = (1 + GAP) * layer.data.shape[index]
        elif axis == "Z":
            first[index] = at[index] - shape[index] // 2
        elif axis == "T":
            first[index] = at[index]
    world = np.append(layer.data_to_world(first), 1.0)
    physical = np.linalg.inv(np.asarray(layer.affine.affine_matrix)) @ world
    return np.asarray(physical[:-1], dtype=float)
