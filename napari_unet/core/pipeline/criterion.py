"""The loss of a target: the sum of its terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_unet.core.base.errors import UserError
from napari_unet.core.losses import LOSSES
from napari_unet.core.targets import Term

if TYPE_CHECKING:
    from napari_unet.core.pipeline.sampler import Batch


def criterion(terms: Sequence[Term], loss: str = "auto") -> Callable[[Tensor, Batch], Tensor]:
    """Make the function that rates a network's output.

    Parameters
    ----------
    terms : sequence of Term
        The parts of the target's loss.
    loss : str
        Replaces the loss of the classes (the first term); `auto` keeps it.

    Raises
    ------
    UserError
        When the loss does not exist or is not one for this target.
    """
    first = terms[0] if loss == "auto" else Term(loss, terms[0].output, terms[0].target, terms[0].weight, 1.0)
    if first.loss not in LOSSES or (loss != "auto" and first.loss[0] != terms[0].loss[0]):
        raise UserError(f"The loss '{loss}' does not fit this target.", f"Use auto or {terms[0].loss}.")
    parts = [first, *terms[1:]]

    def rate(logits: Tensor, batch: Batch) -> Tensor:
        total = torch.zeros((), device=logits.device)
        target, weight = _crop(batch.target, logits), _crop(batch.weight, logits)
        for part in parts:
            chosen = weight[:, part.weight : part.weight + 1]
            total = total + part.factor * LOSSES[part.loss](logits[:, part.output], target[:, part.target], chosen)
        return total

    return rate


def _crop(target: Tensor, logits: Tensor) -> Tensor:
    """Keep the middle that a network with `valid` convolutions computes."""
    for axis in range(2, target.ndim):
        extra = target.shape[axis] - logits.shape[axis]
        if extra:
            target = target.narrow(axis, extra // 2, logits.shape[axis])
    return target
