"""Soft Dice.

References
----------
F. Milletari, N. Navab, S. Ahmadi: V-Net. 3DV 2016, doi:10.1109/3DV.2016.79.
"""

from __future__ import annotations

from torch import Tensor

from napari_unet.core.losses.classes import overlap_loss


def dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Give 1 - Dice, 1 - 2 TP / (2 TP + FP + FN), of the annotated voxels.

    Parameters
    ----------
    logits : (N, K, [Z,] Y, X) float
        Raw output: one channel is the foreground; more are the background and the classes.
    target : (N, 1, [Z,] Y, X) float
        Class numbers.
    weight : (N, 1, [Z,] Y, X) float
        0 where nothing is annotated.

    Returns
    -------
    Tensor, scalar, 0..1
        The mean of the classes that are present, without the background; 0 where there are none.
    """
    return overlap_loss(logits, target, weight, wrong=0.5, missed=0.5)
