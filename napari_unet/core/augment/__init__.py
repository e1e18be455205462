"""Augmentation: parameters are drawn apart from applying them, so that image and labels get the same draw.

The presets by name are in ``core.base.catalogue.AUGMENTS``.
"""

from __future__ import annotations

from napari_unet.core.augment.intensity import IntensityRecipe, change_intensity
from napari_unet.core.augment.spatial import SpatialDraw, SpatialRecipe, apply_spatial, draw_spatial

__all__ = [
    "IntensityRecipe",
    "SpatialDraw",
    "SpatialRecipe",
    "apply_spatial",
    "change_intensity",
    "draw_spatial",
]
