"""What was drawn in single slices of a stack teaches what is there, and not how high it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fastremap
import numpy as np
import scipy
from numpy.typing import NDArray

from napari_unet.core.base.sections import section_axis
from napari_unet.core.base.tiles import bounding_box
from napari_unet.core.targets.base import CUT, KNOWN

if TYPE_CHECKING:
    from napari_unet.core.store.training_set import Sample


def as_sections(sample: Sample) -> Sample:
    """Say of what was drawn in single slices of a stack that it is cut: its class is known there, its shape is not.

    Parameters
    ----------
    sample : Sample
        Wholly annotated ones stay as they are: there, what is flat is flat.
    """
    annotated = sample.annotated
    if annotated is None or annotated.ndim != 3:
        return sample
    is_known = annotated == KNOWN
    if not is_known.any():
        return sample
    place = bounding_box(is_known)
    taught: NDArray[Any] = np.where(is_known[place], sample.labels[place], 0)
    numbered, _ = fastremap.renumber(taught, preserve_zero=True)
    size = sample.image.voxel_size or (1.0,) * 3
    known = annotated.copy()
    for index, box in enumerate(scipy.ndimage.find_objects(numbered), start=1):
        mask = numbered[box] == index
        if section_axis(mask, annotated.shape, size) is not None:
            known[place][box][mask] = CUT
    return replace(sample, annotated=known)
