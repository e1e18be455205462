"""Tversky loss: Dice in which missed voxels cost more than wrong ones.

References
----------
S. Salehi, D. Erdogmus, A. Gholipour: Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional Deep
Networks. MLMI 2017, doi:10.1007/978-3-319-67389-9_44.
"""

from __future__ import annotations

from torch import Tensor

from napari_unet.core.losses.classes import overlap_loss

WRONG, MISSED = 0.3, 0.7
"""Prices of false positives and false negatives (alpha and beta) that did best for small lesions in the paper."""


def tversky(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Give 1 - TP / (TP + 0.3 FP + 0.7 FN) of the annotated voxels.

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
    return overlap_loss(logits, target, weight, wrong=WRONG, missed=MISSED)
