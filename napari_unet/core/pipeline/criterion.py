"""The loss of a target: the sum of its terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_unet.core.base.catalogue import LOSSES, MAP_LOSSES, look_up

if TYPE_CHECKING:
    from napari_unet.core.losses import Loss
    from napari_unet.core.pipeline.sampler import Batch
    from napari_unet.core.targets import Term


def criterion(terms: Sequence[Term], loss: str = "auto") -> Callable[[Tensor, Batch], Tensor]:
    """Make the function that rates a network's output.

    Parameters
    ----------
    terms : sequence of Term
        The parts of the target's loss.
    loss : str
        A key of ``LOSSES`` in ``core.base.catalogue`` that takes the place of the target's own loss of classes, where
        it has one; `auto` keeps it.

    Raises
    ------
    UserError
        When there is no such loss of classes.
    """
    if loss != "auto":
        look_up(LOSSES, loss, "loss")
        terms = [replace(term, loss=loss) if term.loss in LOSSES else term for term in terms]
    parts: list[tuple[Term, Loss]] = [(term, look_up(LOSSES | MAP_LOSSES, term.loss, "loss")) for term in terms]

    def rate(logits: Tensor, batch: Batch) -> Tensor:
        total = torch.zeros((), device=logits.device)
        target, weight = _crop(batch.target, logits), _crop(batch.weight, logits)
        for term, of in parts:
            chosen = weight[:, term.weight : term.weight + 1]
            total = total + term.factor * of(logits[:, term.output], target[:, term.target], chosen)
        return total

    return rate


def _crop(target: Tensor, logits: Tensor) -> Tensor:
    """Keep the middle that a network with `valid` convolutions computes."""
    for axis in range(2, target.ndim):
        extra = target.shape[axis] - logits.shape[axis]
        if extra:
            target = target.narrow(axis, extra // 2, logits.shape[axis])
    return target
