"""One step of a training: from batches to changed weights.

References
----------
P. Micikevicius et al.: Mixed Precision Training (the scaled loss of float16). ICLR 2018, arXiv:1710.03740.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.pipeline.deep import Loss, deep_loss
from napari_unet.core.pipeline.distributed import add_gradients, gather, share_of

if TYPE_CHECKING:
    from napari_unet.core.pipeline.sampler import Batch


@dataclass(frozen=True)
class Learner:
    """What takes a step.

    Parameters
    ----------
    network : Module
        In training mode, on its device.
    parameters : list of Parameter
        Those that learn.
    optimizer : Optimizer
        Of these parameters.
    loss : callable
        ``loss(logits, batch)``, as made by ``criterion``.
    scaler : GradScaler
        Keeps small gradients above 0 in float16; switched off for all other numbers.
    dtype : dtype
        Of the mixed precision; float32 is none.
    clip : float
        The longest gradient.
    accumulate : int
        Batches of a step.
    deep : bool
        The network has `outputs`, all of which are taught.
    """

    network: nn.Module
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    loss: Loss
    scaler: torch.amp.GradScaler
    dtype: torch.dtype = torch.float32
    clip: float = 5.0
    accumulate: int = 1
    deep: bool = False

    def learn(self, draw: Callable[[], Batch], *, exact: bool = False) -> float | None:
        """Take one step along the mean gradient of some batches.

        Parameters
        ----------
        draw : function
            Gives the next batch: one after the other, so that only one is in memory.
        exact : bool
            Compute in float32.

        Returns
        -------
        float or None
            The mean loss; None when a loss or the gradient was not a number, and nothing has changed.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(self.accumulate):
            loss = self.rate(draw(), exact=exact)
            if not bool(torch.isfinite(loss)):
                return None
            self.scaler.scale(loss / self.accumulate).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        add_gradients(self.parameters)
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        is_finite = bool(torch.isfinite(norm))
        if is_finite:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        return total / self.accumulate if is_finite else None

    def rate(self, batch: Batch, *, exact: bool = False) -> Tensor:
        """Compute the loss of a batch; of several processes each computes the outputs of its share."""
        device = next(self.network.parameters()).device
        layout = torch.channels_last if batch.image.ndim == 4 else torch.channels_last_3d
        image = batch.image[share_of(len(batch.image))].to(device).to(memory_format=layout)
        batch = replace(batch, target=batch.target.to(device), weight=batch.weight.to(device))
        half = self.dtype != torch.float32 and not exact
        with torch.autocast(device.type, self.dtype) if half else nullcontext():
            outputs = self.network.outputs(image) if self.deep else (self.network(image),)  # type: ignore[operator]  # a method
        return deep_loss(self.loss, [gather(logits.float()) for logits in outputs], batch)


def choose_parameters(network: nn.Module, trainable: str) -> list[nn.Parameter]:
    """Freeze what does not learn and give what does; with `head` these are the norms and the last convolution."""
    if trainable == "head":
        network.requires_grad_(False)
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm):
                module.requires_grad_(True)
        for name, parameter in network.named_parameters():
            if name.startswith("head"):
                parameter.requires_grad_(True)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def freeze_norms(network: nn.Module) -> None:
    """Put the norms to their running statistics, and keep those."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
