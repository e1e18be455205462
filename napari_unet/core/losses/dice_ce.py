"""Cross entropy and soft Dice.

References
----------
F. Isensee et al.: nnU-Net. Nat Methods 2021, doi:10.1038/s41592-020-01008-z (the sum of both; Dice without the
background).
"""

from __future__ import annotations

from torch import Tensor

from napari_unet.core.losses.ce import ce
from napari_unet.core.losses.dice import dice


def dice_ce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Add cross entropy and soft Dice.

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
        0 without annotated voxels; the Dice part counts only where a class is annotated that is not the background.
    """
    return ce(logits, target, weight) + dice(logits, target, weight)
