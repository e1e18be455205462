"""Boundary loss, which asks how far from the true boundary an error is, added to Dice and cross entropy.

References
----------
H. Kervadec et al.: Boundary loss for highly unbalanced segmentation. MIDL 2019; Med Image Anal 2021,
doi:10.1016/j.media.2020.101851.
"""

from __future__ import annotations

from torch import Tensor

from napari_unet.core.losses.classes import probabilities
from napari_unet.core.losses.dice_ce import dice_ce
from napari_unet.core.losses.distance import signed_distance
from napari_unet.core.losses.mean import weighted_mean

SHARE = 0.01
"""Of the distance part, per voxel of distance: what the paper starts with. It grows there from epoch to epoch; here it
stays, as a training with a budget has no epochs."""


def boundary(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Add the boundary loss to Dice and cross entropy, as it teaches nothing where a patch has one class only.

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
    Tensor, scalar
        0 for the perfect output: the constant that makes the paper's loss negative there is kept.
    """
    probability, truth = probabilities(logits, target, weight)
    # The paper multiplies by the probability alone: the rest is a constant for the gradient.
    distance = signed_distance(truth > 0.5, weight > 0) * (probability - truth)
    return dice_ce(logits, target, weight) + SHARE * weighted_mean(distance, weight)
