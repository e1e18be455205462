"""File > Open Sample: generated images with their ground truth, made offline in about a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.ui.layers import layer_options

if TYPE_CHECKING:
    from napari.types import LayerData

    from napari_unet.core.synthetic.sample import Synthetic


def nuclei_2d() -> list[LayerData]:
    """Make a fluorescence image of nuclei, with the nuclei as labels."""
    from napari_unet.core.synthetic.nuclei import nuclei_2d as make

    return _layers(make())


def nuclei_3d() -> list[LayerData]:
    """Make an anisotropic stack of nuclei, with the nuclei as labels."""
    from napari_unet.core.synthetic.nuclei import nuclei_3d as make

    return _layers(make())


def mri_classes() -> list[LayerData]:
    """Make an MRI-like volume, with its three tissue classes as labels."""
    from napari_unet.core.synthetic.mri import mri_classes as make

    return _layers(make())


def _layers(sample: Synthetic) -> list[LayerData]:
    name = sample.image.name
    truth: dict[str, Any] = {"name": f"{name} (ground truth)", "visible": False, **layer_options(sample.image, "")}
    if sample.classes:
        truth["features"] = {"index": range(len(sample.classes) + 1), "class": ("background", *sample.classes)}
    # The truth lies below: the image stays the active layer, ready to be segmented.
    return [
        (sample.labels, truth, "labels"),
        (sample.image.data, {"name": name, **layer_options(sample.image)}, "image"),
    ]
