"""Which changes fit which kind of image; each preset is a pair of a spatial and an intensity recipe.

The benchmarks of the documentation were made with `MICROSCOPY` and `MRI`. The others differ from them where the kind of
image does, each for the reason beside it: chosen by what such images are like, not measured. Dropping whole channels is
in none of them, for a model refuses an image that lacks one.
"""

from __future__ import annotations

from napari_unet.core.augment.intensity import IntensityRecipe
from napari_unet.core.augment.spatial import SpatialRecipe

Preset = tuple[SpatialRecipe, IntensityRecipe]

# Cells have no up or down; stains and lamps differ.
MICROSCOPY: Preset = (SpatialRecipe(), IntensityRecipe())

# Corrections: cells that were annotated together, in a corner of one image, are of like size; those of other images are
# not. With sizes of 0.75 to 1.35 a network did not find the large ones (docs/training.md, "From few cells").
FEW_CELLS: Preset = (SpatialRecipe(scale=(0.5, 2.0)), IntensityRecipe())

# The brain has an up and a down: small turns only, no flips.
MRI: Preset = (
    SpatialRecipe(flip=False, quarter_turns=False, rotation=15.0, scale=(0.85, 1.2), elastic=0.2),
    IntensityRecipe(gain=(0.8, 1.25), offset=0.2, gamma=(1.0, 1.0), noise=0.1),
)

NONE: Preset = (
    SpatialRecipe(flip=False, quarter_turns=False, rotation=0.0, scale=(1.0, 1.0), elastic=0.0),
    IntensityRecipe(gain=(1.0, 1.0), offset=0.0, gamma=(1.0, 1.0), noise=0.0, blur=0.0),
)

# Bright on dark. Few photons: the noise grows with the light. Expression and exposure differ from cell to cell and from
# day to day, so brightness and gamma change widely. Dyes shine into each other's channels. Stacks are taken in any
# steps of Z, and the optics blur along Z anyway.
FLUORESCENCE: Preset = (
    SpatialRecipe(),
    IntensityRecipe(gain=(0.5, 1.7), gamma=(0.6, 1.6), shot=0.15, coarse=3.0, mix=0.15),
)

# Bright field, phase and interference contrast: the background is in the middle of the greys, so contrast changes about
# the mean. Whether a border is bright or dark depends on the focus, so a few patches are inverted and more are blurred.
BRIGHTFIELD: Preset = (
    SpatialRecipe(),
    IntensityRecipe(gain=(0.85, 1.2), gamma=(0.8, 1.25), noise=0.03, blur_share=0.3, invert=0.1, contrast=(0.6, 1.6)),
)

# Stained sections in colour: stain and scanner differ from laboratory to laboratory, so channels change apart and mix;
# grey patches keep the network from relying on one stain. Light is plenty: little noise.
HISTOLOGY: Preset = (
    SpatialRecipe(),
    IntensityRecipe(
        gain=(0.8, 1.25), offset=0.1, gamma=(0.8, 1.25), noise=0.02, colour=0.15, gray=0.1, contrast=(0.7, 1.4), mix=0.2
    ),
)

# Sections are squeezed by the knife and fold, so more patches are bent; contrast differs from section to section.
# Membranes are a few voxels thin: blurred little. Sections are thicker than pixels are wide, in any ratio; where voxels
# are cubes (a focused ion beam cuts that thin), tissue can be turned in any direction.
EM: Preset = (
    SpatialRecipe(elastic=0.3, tilt=45.0),
    IntensityRecipe(
        gain=(0.8, 1.25), offset=0.1, noise=0.1, blur=1.0, contrast=(0.6, 1.6), coarse=4.0, coarse_share=0.2
    ),
)

# The body has an up, a down and sides. Hounsfield units are calibrated: brightness changes little, gamma not at all.
# Dose (noise), reconstruction kernel (sharpness) and slice thickness are what differs between scanners.
CT: Preset = (
    SpatialRecipe(flip=False, quarter_turns=False, rotation=15.0, scale=(0.85, 1.2), elastic=0.2, tilt=10.0),
    IntensityRecipe(
        gain=(0.9, 1.1), offset=0.05, gamma=(1.0, 1.0), noise=0.1, blur_share=0.3, coarse=4.0, coarse_share=0.3
    ),
)

# Seen from above there is no up or down. Houses and roads have straight edges: nothing is bent. Sun, haze and season
# change light, contrast and colour; flying height and camera change scale and sharpness.
AERIAL: Preset = (
    SpatialRecipe(rotation=45.0, scale=(0.7, 1.4), elastic=0.0),
    IntensityRecipe(
        gain=(0.7, 1.4), gamma=(0.8, 1.25), noise=0.03, colour=0.1, contrast=(0.7, 1.4), coarse=2.0, coarse_share=0.1
    ),
)
