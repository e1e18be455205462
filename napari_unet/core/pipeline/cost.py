"""What a training step costs in memory and time, before it is taken."""

from __future__ import annotations

import time
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from napari_unet.core.nets import build

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

SLACK = 1.35
"""Measured peak over what is kept for the gradient: gradients in flight and the convolutions' own buffers."""

COPIES = 5
"""Of the weights: themselves, the gradient, two moments of the optimiser, the running mean."""

TRIALS, TRIAL_SECONDS = 4, 2.0
"""Steps that are timed at most, and for how long."""

FIXED = 64 * 2**20
"""Bytes that a training takes whatever the network."""


def training_bytes(net: str, config: NetConfig, patch: tuple[int, ...], batch: int) -> int:
    """Estimate the memory that a training step adds to the process, in bytes.

    Parameters
    ----------
    net : str
        Name of the network.
    config : NetConfig
        Its configuration.
    patch : tuple of int, voxels
        A multiple of ``config.multiple()``.
    batch : int
        Patches in a step.

    Notes
    -----
    In float32. What is kept for the gradient is counted on a network without memory. Of three trainings in 2D and 3D
    whose peak was 0.6 to 2 GB on a CPU the estimate was 17 to 19 % too high; better so than too low.
    """
    weights, per_voxel = _weights_and_activations(net, config)
    return int(FIXED + COPIES * weights + SLACK * per_voxel * prod(patch) * batch)


@lru_cache(maxsize=256)
def _weights_and_activations(net: str, config: NetConfig) -> tuple[int, float]:
    """Count the bytes of the weights, and those of the kept activations per voxel of a patch."""
    # Large enough that what does not grow with the patch, such as the means of the norms, does not count.
    patch = tuple(8 * m for m in config.multiple())
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Held on to, so that no other tensor can get the same number.
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.device("meta"):
        network = build(net, config).train()
        own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            network(torch.empty(1, config.in_channels, *patch))
    weights = sum(parameter.nbytes for parameter in network.parameters())
    activations = sum(tensor.untyped_storage().nbytes() for number, tensor in kept.items() if number not in own)
    return weights, activations / prod(patch)


def step_seconds(net: str, config: NetConfig, patch: tuple[int, ...], batch: int, device: str) -> float:
    """Estimate the seconds of a training step from steps on a single patch.

    Parameters
    ----------
    net, config, patch, batch
        As in `training_bytes`.
    device : {"cpu", "cuda", "mps"}
        Where it is measured.
    """
    layout = torch.channels_last if config.dims == 2 else torch.channels_last_3d
    network = build(net, config).to(device).to(memory_format=layout).train()  # type: ignore[call-overload]  # missing in the stubs
    image = torch.rand(1, config.in_channels, *patch, device=device).to(memory_format=layout)
    times = [_step(network, image)]
    # The first one also looks for the best way to convolve; and another program must not decide.
    while len(times) < 2 or (len(times) < TRIALS and sum(times) < TRIAL_SECONDS):
        times.append(_step(network, image))
    return min(times) * batch


def _step(network: nn.Module, image: Tensor) -> float:
    started = time.perf_counter()
    network.zero_grad()
    loss = network(image).square().mean()
    loss.backward()
    loss.item()  # waits for the device
    return time.perf_counter() - started
