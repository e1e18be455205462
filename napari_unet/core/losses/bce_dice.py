"""Binary cross entropy and soft Dice, over annotated voxels only.

References
----------
F. Milletari, N. Navab, S. Ahmadi: V-Net. 3DV 2016, doi:10.1109/3DV.2016.79 (soft Dice).
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_unet.core.losses.mean import weighted_mean


def bce_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Add binary cross entropy and soft Dice.

    Parameters
    ----------
    logits, target : (N, 1, [Z,] Y, X) float
        Raw output; 1 inside of objects, 0 outside.
    weight : (N, 1, [Z,] Y, X) float
        0 where nothing is annotated.

    Returns
    -------
    Tensor, scalar
        0 without annotated voxels; the Dice part counts only where there is annotated foreground.
    """
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    known = (weight > 0).to(logits.dtype)
    probability = logits.sigmoid() * known
    target = target * known
    overlap = (probability * target).sum()
    dice = 1 - 2 * overlap / (probability.sum() + target.sum()).clamp_min(1e-6)
    return weighted_mean(loss, weight) + dice * (target.sum() > 0)
