"""Run a trained network as fast as the device can: folded norms, channels last, bf16 where it pays."""

from __future__ import annotations

import copy
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_unet.core.base.device import choose_device, choose_dtype
from napari_unet.core.nets.blocks import ConvBlock

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


class Engine:
    """A network made ready for inference.

    Parameters
    ----------
    network : Module
        In evaluation mode; not changed.
    config : NetConfig
        What it was built from.
    device, precision : str
        As in ``SegmentOptions``.
    """

    def __init__(self, network: nn.Module, config: NetConfig, *, device: str = "auto", precision: str = "auto") -> None:
        self.config = config
        self.device = torch.device(choose_device(device).name)
        self.dtype = choose_dtype(precision, self.device.type)
        self.layout = torch.channels_last if config.dims == 2 else torch.channels_last_3d
        network = fold_norms(copy.deepcopy(network).eval())
        # On CUDA autocast keeps fp32 weights for what needs them; on a CPU plain bf16 weights are faster.
        self.autocast = self.device.type == "cuda" and self.dtype != torch.float32
        network = network.to(self.device, torch.float32 if self.autocast else self.dtype)
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]  # missing in the stubs

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Compute the logits of (N, C, [Z,] Y, X) float32, on the device, float32."""
        batch = batch.to(self.device, torch.float32 if self.autocast else self.dtype).to(memory_format=self.layout)
        if self.autocast:
            with torch.autocast("cuda", self.dtype):
                return self.network(batch).float()  # type: ignore[no-any-return]  # torch's modules return Any
        return self.network(batch).float()  # type: ignore[no-any-return]


def fold_norms(network: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution before it; the result is equal up to rounding."""
    for name, module in network.named_children():
        if isinstance(module, ConvBlock):
            setattr(network, name, _fold_block(module))
        else:
            fold_norms(module)
    return network


def _fold_block(block: ConvBlock) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in block:
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)  # type: ignore[type-var]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def exact_halo(config: NetConfig) -> tuple[int, ...]:
    """Give the context that an output voxel needs, per axis and side, in voxels.

    Notes
    -----
    For a tile on the pooling grid. The classic network's 572 and 388 pixels leave ``6 * 2**depth - 4``, 92 a side, off
    that grid; on it, up to two more are needed, and in whole multiples of the grid 48 for `depth` 3 and 96 for 4.
    """
    return tuple(_reach(config, axis, 0, 0) for axis in range(config.dims))


def fast_halo(config: NetConfig) -> tuple[int, ...]:
    """Give half of the exact context: the outermost part of the field of view hardly counts."""
    return tuple(ceil(h / 2) for h in exact_halo(config))


def _reach(config: NetConfig, axis: int, level: int, needed: int) -> int:
    """Follow the network back from `needed` voxels around an output at `level` to the level's input."""
    convs = config.convs * (config.kernel(level)[axis] // 2)
    if level == config.depth:
        return needed + convs
    stride = config.stride(level)[axis]
    joined = needed + convs
    deeper = _reach(config, axis, level + 1, ceil(joined / stride)) * stride
    return max(joined, deeper) + convs


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
