"""Normalisation layers by name, batch renormalisation among them."""

from __future__ import annotations

from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCH = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}

MOMENTUM = 0.02
"""Slow running statistics: what the network sees at inference is close to what it saw in training."""

GROUPS = 8
"""Of group normalisation; fewer where the channels cannot be divided by it."""

RAMP = 600
"""Batches until the corrections of batch renormalisation are wholly allowed: a third of a usual training."""

R_MAX, D_MAX = 3.0, 5.0
"""Largest corrections of the deviation (a factor) and of the mean (in deviations), as in the paper."""


def make_norm(norm: str, dims: int, channels: int) -> nn.Module:
    """Make a normalisation layer by its name in ``NetConfig``; `none` is the identity."""
    if norm == "batch":
        return BATCH[dims](channels, momentum=MOMENTUM)
    if norm == "batch-renorm":
        return BatchRenorm(channels, momentum=MOMENTUM)
    if norm == "instance":
        return INSTANCE[dims](channels, affine=True)
    if norm == "group":
        return nn.GroupNorm(gcd(GROUPS, channels), channels)
    return nn.Identity()


class BatchRenorm(_BatchNorm):
    """Batch normalisation that trains with nearly the statistics it is used with: small batches do less harm.

    Notes
    -----
    In training a batch is normalised by its own statistics and corrected towards the running ones by a factor r and an
    offset d, which take no gradient and are bounded; the bounds open slowly. At inference it is a batch norm, with the
    same weights by the same names.

    References
    ----------
    S. Ioffe: Batch Renormalization: Towards Reducing Minibatch Dependence in Batch-Normalized Models. NeurIPS 2017,
    arXiv:1702.03275, algorithm 1.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def _check_input_dim(self, input: Tensor) -> None:
        """Take images and volumes alike."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, [Z,] Y, X)."""
        if not self.training:
            return super().forward(input)
        axes = (0, *range(2, input.ndim))
        shape = (1, -1, *(1,) * (input.ndim - 2))
        variance, mean = torch.var_mean(input.float(), axes, correction=0)
        deviation = (variance + self.eps).sqrt()
        with torch.no_grad():
            opened = (self.num_batches_tracked / RAMP).clamp(max=1)
            running = (self.running_var + self.eps).sqrt()
            r_max, d_max = 1 + (R_MAX - 1) * opened, D_MAX * opened
            r = torch.minimum(torch.maximum(deviation / running, 1 / r_max), r_max)
            d = torch.minimum(torch.maximum((mean - self.running_mean) / running, -d_max), d_max)
            # The first batches are simply averaged, so that the random start of the statistics is soon forgotten.
            rate = torch.clamp(1 / (self.num_batches_tracked + 1), min=self.momentum)
            self.running_mean.lerp_(mean, rate)
            self.running_var.lerp_(variance, rate)
            self.num_batches_tracked.add_(1)
        scale = self.weight * r / deviation
        offset = self.bias + self.weight * (d - mean * r / deviation)
        return input * scale.view(shape).to(input.dtype) + offset.view(shape).to(input.dtype)
