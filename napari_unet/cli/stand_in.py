"""Stand in for the person of the demo: correct the nuclei of a stained section by a rule about their colour.

Nobody has drawn the truth of the demo's image. What a person goes by is that haematoxylin stains nuclei blue, and a
rule can go by that as well. It is a stand-in, not a truth: it splits touching nuclei worse than a person does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from napari_unet.core.metrics.instances import overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image

Regions = tuple[tuple[slice, ...], ...]

BLUE_SHARE = 0.85
"""Share of Otsu's threshold from which a pixel is blue: pale nuclei count too."""
SMALLEST_PX = 40
AGREES = 0.5
"""IoU with a blue spot from which a predicted object is right as it is."""


def blue_nuclei(image: Image) -> NDArray[np.int32]:
    """Find what haematoxylin stained.

    Parameters
    ----------
    image : Image
        2D, in colour.

    Returns
    -------
    (Y, X) int32
        Spots, split where they are waisted; 0 is background.

    References
    ----------
    Ruifrok and Johnston, Quantification of histochemical staining by color deconvolution, Anal. Quant. Cytol. Histol.
    23, 2001.
    """
    stain = ndi.gaussian_filter(rgb2hed(np.moveaxis(image.data, 0, -1))[..., 0], 1.0)
    threshold = float(threshold_otsu(stain))  # type: ignore[no-untyped-call] # scikit-image has no types
    mask = ndi.binary_opening(stain > BLUE_SHARE * threshold, iterations=2)
    depth = ndi.gaussian_filter(ndi.distance_transform_edt(mask), 1.0)
    spots, _ = ndi.label(mask)
    peaks = peak_local_max(  # type: ignore[no-untyped-call] # as above
        depth, min_distance=5, labels=spots, exclude_border=False
    )
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    found: NDArray[np.int32] = watershed(-depth, seeds, mask=mask).astype(np.int32)  # type: ignore[no-untyped-call]
    sizes = np.bincount(found.ravel())
    found[sizes[found] < SMALLEST_PX] = 0
    return found


def correct(
    labels: NDArray[np.int32], blue: NDArray[np.int32], regions: Regions
) -> tuple[NDArray[np.int32], dict[str, int]]:
    """Correct the objects of some regions as a person would who trusts the blue spots.

    Parameters
    ----------
    labels, blue : (Y, X) int32
        The prediction and the spots of `blue_nuclei`.
    regions : tuple of boxes
        Where it is looked; objects whose centre lies outside stay as they are.

    Returns
    -------
    labels : (Y, X) int32
        A copy in which wrong objects are deleted and missed ones are drawn, with new numbers.
    counts : dict of str to int
        Objects ``kept``, ``deleted`` and ``drawn``.
    """
    corrected = labels.copy()
    mine, spots = _centred_in(labels, regions), _centred_in(blue, regions)
    ids, spot_ids, iou = overlaps(labels, blue)
    right = set(ids[iou >= AGREES].tolist()) & mine
    seen = set(spot_ids[iou >= AGREES].tolist())
    corrected[np.isin(corrected, list(mine - right))] = 0
    # New numbers, also where one was deleted: an object that is drawn is not the one that was there.
    last, drawn = int(labels.max(initial=0)), 0
    for spot in sorted(spots - seen):
        free = (blue == spot) & (corrected == 0)
        if np.count_nonzero(free) >= SMALLEST_PX:
            drawn += 1
            corrected[free] = last + drawn
    return corrected, {"kept": len(right), "deleted": len(mine - right), "drawn": drawn}


def mask_of(regions: Regions, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Draw regions as one mask of a shape."""
    mask = np.zeros(shape, bool)
    for region in regions:
        mask[region] = True
    return mask


def _centred_in(labels: NDArray[np.int32], regions: Regions) -> set[int]:
    """Give the numbers of the objects whose centre lies in a region."""
    ids = np.unique(labels[labels > 0])
    centres = np.array(ndi.center_of_mass(np.ones(labels.shape, bool), labels, ids)).reshape(-1, labels.ndim)
    inside = mask_of(regions, labels.shape)[tuple(centres.astype(int).T)]
    return set(ids[inside].tolist())
