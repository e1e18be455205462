"""Run a trained network as fast as the device can: folded norms, channels last, bf16 where it pays."""

from __future__ import annotations

import copy
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_unet.core.base.device import choose_device, choose_dtype
from napari_unet.core.pipeline.fused import fuse
from napari_unet.core.pipeline.halo import Halo, exact_halo

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


class Runner(Protocol):
    """What tiles are run with: `Engine`, or another of the catalogue's ``ENGINES`` with its parameters."""

    net: str
    config: NetConfig
    device: torch.device
    dtype: torch.dtype
    notes: list[str]
    """What was given up for want of memory, in words; see ``pipeline.ladder``."""

    @property
    def halo(self) -> Halo | None:
        """Give the context that tiles need, see ``exact_halo``; measured when it is first asked for."""

    def lower_precision(self) -> bool:
        """Compute in half precision from now on; False where it cannot be lower."""

    def move_to_cpu(self) -> None:
        """Compute on the processor from now on."""

    def __call__(self, batch: Tensor) -> Tensor:
        """Compute the logits of (N, C, [Z,] Y, X) float32, on the device, float32."""


class Engine:
    """A network made ready for inference.

    Parameters
    ----------
    network : Module
        In evaluation mode; not changed.
    config : NetConfig
        What it was built from.
    net : str
        And by which name of the catalogue.
    device, precision : str
        As in ``SegmentOptions``.
    """

    def __init__(
        self, network: nn.Module, config: NetConfig, *, net: str, device: str = "auto", precision: str = "auto"
    ) -> None:
        self.net, self.config, self.precision = net, config, precision
        self.layout = torch.channels_last if config.dims == 2 else torch.channels_last_3d
        self.source = network
        self.notes: list[str] = []
        name = choose_device(device).name
        self._prepare(name, choose_dtype(precision, name))

    def _prepare(self, device: str, dtype: torch.dtype) -> None:
        self.device, self.dtype = torch.device(device), dtype
        network = fold_norms(copy.deepcopy(self.source).eval())
        if device == "cpu":
            network = fuse(network, self.config)
        # On CUDA autocast keeps fp32 weights for what needs them; on a CPU plain bf16 weights are faster.
        self.autocast = device == "cuda" and dtype != torch.float32
        network = network.to(self.device, torch.float32 if self.autocast else dtype)
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]  # missing in the stubs

    @cached_property
    def halo(self) -> Halo | None:
        """Give the context that tiles need, see ``exact_halo``; measured when it is first asked for."""
        return exact_halo(self.net, self.config)

    def lower_precision(self) -> bool:
        """Compute in half precision from now on; False where it cannot be lower."""
        if self.dtype != torch.float32 or self.device.type == "mps":
            return False
        on_cpu = self.device.type == "cpu"
        self._prepare(self.device.type, torch.bfloat16 if on_cpu else choose_dtype("auto", self.device.type))
        return True

    def move_to_cpu(self) -> None:
        """Compute on the processor from now on, as precisely as was asked for at first."""
        self._prepare("cpu", choose_dtype("auto" if self.precision == "fp16" else self.precision, "cpu"))

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Compute the logits of (N, C, [Z,] Y, X) float32, on the device, float32."""
        dtype = torch.float32 if self.autocast else self.dtype
        batch = batch.to(self.device, dtype, non_blocking=True).to(memory_format=self.layout)
        if self.autocast:
            with torch.autocast("cuda", self.dtype):
                return self.network(batch).float()  # type: ignore[no-any-return]  # torch's modules return Any
        return self.network(batch).float()  # type: ignore[no-any-return]


def fold_norms(network: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution before it, wherever one follows the other in an ``nn.Sequential``.

    The result is equal up to rounding; the network, in evaluation mode, is changed in place.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for index, (layer, norm) in enumerate(pairwise(list(module))):
                if isinstance(layer, nn.Conv2d | nn.Conv3d) and isinstance(norm, _BatchNorm):
                    module[index] = fuse_conv_bn_eval(layer, norm)
                    module[index + 1] = nn.Identity()
    return network


def valid_size(config: NetConfig, axis: int, wanted: int) -> tuple[int, int]:
    """Find the smallest tile of a network with `valid` padding whose output is at least `wanted`.

    Returns
    -------
    read, out : int, voxels
        What the network sees and what it computes, along one axis; (572, 388) is a pair of the classic network.
    """
    lost = [2 * config.convs * (config.kernel(level)[axis] // 2) for level in range(config.depth + 1)]
    bottom = lost[-1] + 1
    while True:
        read, out = bottom, bottom - lost[-1]
        for level in reversed(range(config.depth)):
            stride = config.stride(level)[axis]
            read, out = read * stride + lost[level], out * stride - lost[level]
        if out >= wanted:
            return read, out
        bottom += 1
