"""Cross entropy, binary or over K classes."""

from __future__ import annotations

from torch import Tensor

from napari_unet.core.losses.classes import cross_entropy
from napari_unet.core.losses.mean import weighted_mean


def ce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average the cross entropy over the annotated voxels.

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
    return weighted_mean(cross_entropy(logits, target), weight)
