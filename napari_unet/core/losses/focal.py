"""Focal loss: cross entropy in which voxels that are right already hardly count.

References
----------
T. Lin et al.: Focal Loss for Dense Object Detection. ICCV 2017, doi:10.1109/ICCV.2017.324.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_unet.core.losses.classes import cross_entropy
from napari_unet.core.losses.mean import weighted_mean

GAMMA = 2
"""How fast a voxel's share falls as it gets right; 2 did best in the paper."""


def focal(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average -(1 - p)^2 log p over the annotated voxels, with p the probability of the true class.

    Parameters
    ----------
    logits : (N, K, [Z,] Y, X) float
        Raw output: one channel is the foreground; more are the background and the classes.
    target : (N, 1, [Z,] Y, X) float
        Class numbers.
    weight : (N, 1, [Z,] Y, X) float
        0 where nothing is annotated. Takes the place of the paper's alpha.

    Returns
    -------
    Tensor, scalar
    """
    entropy = cross_entropy(logits, target)
    # As p = exp(-entropy); expm1 keeps the digits where p is nearly 1.
    return weighted_mean((-torch.expm1(-entropy)) ** GAMMA * entropy, weight)
