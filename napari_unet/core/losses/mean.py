"""The mean that every loss shares."""

from __future__ import annotations

from torch import Tensor


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Average a loss over the annotated voxels; exactly 0, with a gradient of 0, where there are none.

    Parameters
    ----------
    loss : (N, K, [Z,] Y, X) float
        Per voxel and channel.
    weight : (N, 1, [Z,] Y, X) float
        0 where nothing is annotated.
    """
    return (loss * weight).sum() / (weight.sum() * loss.shape[1]).clamp_min(1e-6)
