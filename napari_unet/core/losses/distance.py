"""Distances to the boundary of a class, for the losses that rate where a boundary lies."""

from __future__ import annotations

import edt
import numpy as np
import torch
from torch import Tensor


def signed_distance(mask: Tensor, known: Tensor) -> Tensor:
    """Measure how deep each annotated voxel lies inside or outside of a mask.

    Parameters
    ----------
    mask : (N, C, [Z,] Y, X) bool
        One mask for each class.
    known : (N, 1, [Z,] Y, X) bool
        Where something is annotated: other voxels are neither inside nor outside.

    Returns
    -------
    (N, C, [Z,] Y, X) float32, voxels
        Outside, the distance to the nearest annotated voxel of the mask; inside, minus that to the nearest outside.
        All 0 where a mask has no inside or no outside. Without meaning where nothing is annotated.

    Notes
    -----
    Computed on the CPU, patch by patch.
    """
    # As bytes: three times as fast as with bool.
    not_in, not_out = ((~(part & known)).cpu().numpy().view(np.uint8) for part in (mask, ~mask))
    distance = np.zeros(not_in.shape, np.float32)
    for index in np.ndindex(distance.shape[:2]):
        if not (not_in[index].all() or not_out[index].all()):
            distance[index] = edt.edt(not_in[index], parallel=1) - edt.edt(not_out[index], parallel=1)
    return torch.from_numpy(distance).to(mask.device)
