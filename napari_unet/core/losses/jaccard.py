"""Soft Jaccard index (intersection over union).

References
----------
M. Rahman, Y. Wang: Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation. ISVC 2016,
doi:10.1007/978-3-319-50835-1_22.
"""

from __future__ import annotations

from torch import Tensor

from napari_unet.core.losses.classes import overlap_loss


def jaccard(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Give 1 - IoU, 1 - TP / (TP + FP + FN), of the annotated voxels.

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
    return overlap_loss(logits, target, weight, wrong=1.0, missed=1.0)
