"""Cross entropy and soft Dice over K classes, over annotated voxels only.

References
----------
F. Isensee et al.: nnU-Net. Nat Methods 2021, doi:10.1038/s41592-020-01008-z (the sum of both; Dice without the
background).
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_unet.core.losses.mean import weighted_mean


def ce_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Add cross entropy and the mean soft Dice of the classes that are present.

    Parameters
    ----------
    logits : (N, K + 1, [Z,] Y, X) float
        Raw output, background first.
    target : (N, 1, [Z,] Y, X) float
        Class numbers 0..K.
    weight : (N, 1, [Z,] Y, X) float
        0 where nothing is annotated.

    Returns
    -------
    Tensor, scalar
    """
    classes = target[:, 0].long()
    entropy = torch.nn.functional.cross_entropy(logits, classes, reduction="none").unsqueeze(1)
    known = (weight > 0).to(logits.dtype)
    axes = (0, *range(2, logits.ndim))
    truth = torch.nn.functional.one_hot(classes, logits.shape[1]).movedim(-1, 1).to(logits.dtype) * known
    probability = logits.softmax(1) * known
    overlap, size = (probability * truth).sum(axes)[1:], (probability + truth).sum(axes)[1:]
    present = (truth.sum(axes)[1:] > 0).to(logits.dtype)
    dice = (1 - 2 * overlap / size.clamp_min(1e-6)) * present
    return weighted_mean(entropy, weight) + dice.sum() / present.sum().clamp_min(1)
