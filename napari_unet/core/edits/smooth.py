"""Round off ragged boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated

import scipy

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.each import change_each
from napari_unet.core.edits.edit import LabelEdit, Labels  # noqa: TC001  # read from the hints
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints
from napari_unet.core.edits.tool import Unit, asks, check_length, sampling_of

CUT = 3.0  # sigmas after which the Gaussian ends


def smooth(
    labels: Labels,
    selection: Sequence[int],
    *,
    radius: Annotated[
        float, asks("Radius", "Bumps and gaps smaller than this disappear.", min=0.1, max=1000.0, step=0.5)
    ] = 2.0,
    unit: Unit = "px",
    voxel_size: Sequence[float] | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Round off the boundary of objects; it moves only into background, never into a neighbour.

    The mask of each object is smoothed by a Gaussian and cut at one half.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background.
    selection : sequence of int
        Ids of the objects.
    radius : float, px or µm
        Sigma of the Gaussian.
    unit : {"px", "µm"}
        Of the radius.
    voxel_size : (labels.ndim,) float, µm, optional
        Needed for µm.
    places : Places, optional
        Where the objects are, as far as that is known.

    Returns
    -------
    LabelEdit
        Writes the objects' ids into background voxels, and 0 into voxels that they lose.

    Raises
    ------
    UserError
        When an object would vanish, or nothing would change.
    """
    check_length(radius, "The radius")
    sigma = [radius / edge for edge in sampling_of(unit, voxel_size, labels.ndim)]
    margin = [ceil(CUT * one) for one in sigma]

    def _smooth(one: int, part: Labels) -> None:
        own = part == one
        # "nearest": an object that the image cuts off is not rounded off there
        inside = scipy.ndimage.gaussian_filter(own.astype("float32"), sigma, truncate=CUT, mode="nearest") > 0.5
        if not (inside & (own | (part == 0))).any():
            raise UserError(f"Object {one} would vanish.", "Choose a smaller radius.")
        part[own & ~inside] = 0
        part[inside & (part == 0)] = one

    refusal = UserError("They are as smooth as that already.", "Choose a larger radius.")
    return change_each(labels, selection, _smooth, refusal, margin=margin, places=places)
