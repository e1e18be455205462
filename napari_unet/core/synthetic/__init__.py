"""Images made by arithmetic, with their ground truth: what File > Open Sample shows and what tests segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.core.synthetic.mri import mri_classes
from napari_unet.core.synthetic.nuclei import nuclei_2d, nuclei_3d

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.core.synthetic.sample import Synthetic

SYNTHETIC: dict[str, Callable[..., Synthetic]] = {
    "nuclei_2d": nuclei_2d,
    "nuclei_3d": nuclei_3d,
    "mri_classes": mri_classes,
}
