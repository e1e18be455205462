"""The losses: one file each, one line in `LOSSES`; all take (logits, target, weight), weight 0 = not annotated."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from napari_unet.core.losses.bce_dice import bce_dice
from napari_unet.core.losses.ce_dice import ce_dice
from napari_unet.core.losses.regression import masked_mse, smooth_l1

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "bce_dice": bce_dice,
    "ce_dice": ce_dice,
    "masked_mse": masked_mse,
    "smooth_l1": smooth_l1,
}
