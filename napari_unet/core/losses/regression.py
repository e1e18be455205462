"""Losses of distances and vectors, over annotated voxels only."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_unet.core.losses.mean import weighted_mean

BETA = 0.1
"""Where the smooth L1 turns from squared to absolute: distances go from 0 to 1."""


def smooth_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average the smooth absolute error of (N, K, [Z,] Y, X) over the annotated voxels.

    References
    ----------
    R. Girshick: Fast R-CNN. ICCV 2015, doi:10.1109/ICCV.2015.169.
    """
    loss = torch.nn.functional.smooth_l1_loss(output, target, beta=BETA, reduction="none")
    return weighted_mean(loss, weight)


def masked_mse(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average the squared error of vectors (N, K, [Z,] Y, X) over the annotated voxels that have one."""
    has_vector = (target.abs().sum(1, keepdim=True) > 0).to(output.dtype)
    return weighted_mean((output - target) ** 2, weight * has_vector)
