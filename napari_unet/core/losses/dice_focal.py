"""Focal loss and soft Dice.

References
----------
W. Zhu et al.: AnatomyNet. Med Phys 2019, doi:10.1002/mp.13300.
"""

from __future__ import annotations

from torch import Tensor

from napari_unet.core.losses.dice import dice
from napari_unet.core.losses.focal import focal


def dice_focal(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Add focal loss and soft Dice.

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
    return focal(logits, target, weight) + dice(logits, target, weight)
