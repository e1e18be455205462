"""Augmentation: parameters are drawn apart from applying them, so that image and labels get the same draw."""

from __future__ import annotations

from napari_unet.core.augment.intensity import IntensityRecipe, change_intensity
from napari_unet.core.augment.spatial import SpatialDraw, SpatialRecipe, apply_spatial, draw_spatial

__all__ = [
    "AUGMENTS",
    "IntensityRecipe",
    "SpatialDraw",
    "SpatialRecipe",
    "apply_spatial",
    "change_intensity",
    "draw_spatial",
]

AUGMENTS: dict[str, tuple[SpatialRecipe, IntensityRecipe]] = {
    # Cells have no up or down; stains and lamps differ.
    "microscopy": (SpatialRecipe(), IntensityRecipe()),
    # The brain has an up and a down: small turns only, no flips.
    "mri": (
        SpatialRecipe(flip=False, quarter_turns=False, rotation=15.0, scale=(0.85, 1.2), elastic=0.2),
        IntensityRecipe(gain=(0.8, 1.25), offset=0.2, gamma=(1.0, 1.0), noise=0.1),
    ),
    "none": (
        SpatialRecipe(flip=False, quarter_turns=False, rotation=0.0, scale=(1.0, 1.0), elastic=0.0),
        IntensityRecipe(gain=(1.0, 1.0), offset=0.0, gamma=(1.0, 1.0), noise=0.0, blur=0.0),
    ),
}
