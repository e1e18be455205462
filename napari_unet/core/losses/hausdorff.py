"""Hausdorff loss by distance transforms, added to Dice and cross entropy.

References
----------
D. Karimi, S. Salcudean: Reducing the Hausdorff Distance in Medical Image Segmentation with Convolutional Neural
Networks. IEEE Trans Med Imaging 2020, doi:10.1109/TMI.2019.2930068.
"""

from __future__ import annotations

from torch import Tensor

from napari_unet.core.losses.classes import probabilities
from napari_unet.core.losses.dice_ce import dice_ce
from napari_unet.core.losses.distance import signed_distance
from napari_unet.core.losses.mean import weighted_mean

SHARE = 0.01
"""Of the distance part, per squared voxel: as much as Dice for an error 10 voxels away. The paper balances both anew in
each epoch; a training with a budget has no epochs."""


def hausdorff(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Add the squared error, times the squared distances to both boundaries, to Dice and cross entropy.

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
    """
    probability, truth = probabilities(logits, target, weight)
    known = weight > 0
    # The paper's alpha of 2; the distances are constants for the gradient.
    distance = signed_distance(truth > 0.5, known) ** 2 + signed_distance(probability.detach() > 0.5, known) ** 2
    return dice_ce(logits, target, weight) + SHARE * weighted_mean((probability - truth) ** 2 * distance, weight)
