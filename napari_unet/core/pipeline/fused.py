"""Rewrite a network for a processor: the same numbers up to rounding, fewer operations, fewer passes over memory.

Enlarging, joining, rectifying and pooling write large arrays that are read only once, and what was enlarged is
convolved as if its voxels were all different.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from napari_unet.core.nets.blocks import CONV, UP, ConvBlock, Join, UpSample
from napari_unet.core.nets.encoder_decoder import EncoderDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.core.nets.config import NetConfig

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2}
"""Of the standard deviation: what a fused operation may differ by from the plain ones."""


class JoinedConv(nn.Module):
    """Convolve a skip and what comes up as if the latter had been enlarged and both had been joined.

    Each voxel that comes up counts for all that it would be repeated to. So its part of the convolution, once the
    weights that meet the same voxel are added up, is a transposed convolution with the stride: in 2D with four ninths
    of the multiplications, in 3D with eight twenty-sevenths. Zeros are padded around the coarse voxels just where they
    would be around the fine ones.

    Parameters
    ----------
    conv : Conv2d or Conv3d
        Of the joined channels, the skip's first; stride 1, padded to keep the size.
    n_skip : int
        Channels of the skip.
    scale : tuple of int
        What each voxel is repeated to, per axis.
    """

    def __init__(self, conv: Any, n_skip: int, scale: tuple[int, ...]) -> None:
        super().__init__()
        dims, size, out = len(scale), conv.kernel_size, conv.out_channels
        summed = tuple(k + s - 1 for k, s in zip(size, scale, strict=True))
        self.skip = _blank(CONV[dims], conv, n_skip, out, size, bias=False)
        bias = conv.bias is not None
        self.coarse = _blank(UP[dims], conv, conv.in_channels - n_skip, out, summed, scale, bias=bias)
        self.rectified = self.in_one_pass = False  # until `fuse` says so; what exports a network wants plain operations
        with torch.no_grad():
            fine, coarse = conv.weight.split([n_skip, conv.in_channels - n_skip], dim=1)
            self.skip.weight.copy_(fine)
            self.coarse.weight.copy_(_summed(coarse, scale))
            if bias:
                self.coarse.bias.copy_(conv.bias)

    def forward(self, skip: Tensor, coarse: Tensor, _: Tensor) -> Tensor:
        """Give (N, out channels, ...) of the skip's size, as ``Join`` and the convolution would."""
        total = self.coarse(coarse)
        if self.in_one_pass and _has_post_ops(skip):
            return add_convolution(total, self.skip, skip, rectified=self.rectified)
        total = total.add_(self.skip(skip))
        return total.relu_() if self.rectified else total  # type: ignore[no-any-return]


def _blank(kind: Callable[..., Any], like: Any, *arguments: Any, bias: bool) -> Any:
    """Make a layer padded as another is, without drawing weights: nobody's random numbers change."""
    options = {"padding": like.padding, "bias": bias, "dtype": like.weight.dtype, "device": like.weight.device}
    return skip_init(kind, *arguments, **options)  # type: ignore[no-untyped-call]


def _summed(weight: Tensor, scale: tuple[int, ...]) -> Tensor:
    """Turn (out, in, *kernel) for repeated voxels into (in, out, *kernel + scale - 1), transposed, for each of them."""
    axes = tuple(range(2, weight.ndim))
    flipped = weight.double().flip(axes).transpose(0, 1)
    size = [k + s - 1 for k, s in zip(weight.shape[2:], scale, strict=True)]
    total = flipped.new_zeros(*flipped.shape[:2], *size)
    for start in product(*map(range, scale)):
        at = tuple(slice(begin, begin + k) for begin, k in zip(start, weight.shape[2:], strict=True))
        total[(slice(None), slice(None), *at)] += flipped
    return total


class RectifiedConv(nn.Module):
    """A convolution that cuts off what is negative while it writes.

    Parameters
    ----------
    conv : Conv2d or Conv3d
        The convolution.
    """

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Compute what the convolution and ``nn.ReLU`` give."""
        return convolve_rectified(self.conv, x) if _has_post_ops(x) else self.conv(x).relu_()


class HalvingPool(nn.Module):
    """Max-pooling by 2, axis by axis; torch's own also notes where each maximum was and takes twice as long.

    Parameters
    ----------
    stride : tuple of int
        2 or 1, per axis.
    """

    def __init__(self, stride: tuple[int, ...]) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, [Z,] Y, X); a last odd voxel is left out."""
        for axis, stride in enumerate(self.stride, 2):
            if stride == 2:
                pairs = x.narrow(axis, 0, x.shape[axis] // 2 * 2).unfold(axis, 2, 2)
                x = torch.maximum(pairs[..., 0], pairs[..., 1])
        return x


def join_in_convolutions(network: nn.Module, config: NetConfig) -> nn.Module:
    """Make one `JoinedConv` of enlarging, joining and convolving where voxels are repeated; the network is changed."""
    if not isinstance(network, EncoderDecoder) or config.padding != "same":
        return network
    for index, (up, merge, block) in enumerate(zip(network.ups, network.merges, network.decoder, strict=True)):
        repeats = isinstance(up, UpSample) and up.learned is None and up.mode == "nearest"
        if repeats and isinstance(merge, Join) and isinstance(block, ConvBlock):
            conv: Any = block[0]
            network.merges[index] = JoinedConv(conv, conv.in_channels - up.out_channels, up.scale)  # type: ignore[arg-type]
            network.ups[index] = block[0] = nn.Identity()
    return network


def fuse(network: nn.Module, config: NetConfig) -> nn.Module:
    """Rewrite a network whose norms are folded, for inference on a processor; it is changed in place."""
    join_in_convolutions(network, config)
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _rectify_in_convolutions(module)
    if isinstance(network, EncoderDecoder):
        for merge, block in zip(network.merges, network.decoder, strict=True):
            if isinstance(merge, JoinedConv) and isinstance(block, ConvBlock):
                merge.rectified, merge.in_one_pass = _take_relu(block, 0), True
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d | nn.MaxPool3d) and (size := _halving(child)):
                setattr(parent, name, HalvingPool(size))
    return network


def _halving(pool: Any) -> tuple[int, ...] | None:
    """Give the size of a pooling that `HalvingPool` does; None for another."""
    size = pool.kernel_size
    same = isinstance(size, tuple) and set(size) <= {1, 2} and pool.stride == size and pool.padding == 0
    return size if same else None


def _rectify_in_convolutions(layers: nn.Sequential) -> None:
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d | nn.Conv3d) and _take_relu(layers, index + 1):
            layers[index] = RectifiedConv(layer)


def _take_relu(layers: nn.Sequential, start: int) -> bool:
    """Take the ReLU out that follows at once; False where something else comes first."""
    for index in range(start, len(layers)):
        if isinstance(layers[index], nn.ReLU):
            layers[index] = nn.Identity()
            return True
        if not isinstance(layers[index], nn.Identity):
            return False
    return False


def convolve_rectified(conv: Any, x: Tensor) -> Tensor:
    """Convolve and cut off what is negative, in one pass; see `_has_post_ops`."""
    place = conv.padding, conv.stride, conv.dilation, conv.groups
    return torch.ops.mkldnn._convolution_pointwise(x, conv.weight, conv.bias, *place, "relu", [], "")  # type: ignore[no-any-return]


def add_convolution(total: Tensor, conv: Any, x: Tensor, *, rectified: bool) -> Tensor:
    """Add a convolution to a tensor in place, and cut off what is negative, in one pass; see `_has_post_ops`."""
    place = conv.padding, conv.stride, conv.dilation, conv.groups
    relu = "relu" if rectified else None
    return torch.ops.mkldnn._convolution_pointwise_.binary(  # type: ignore[no-any-return]
        total, x, conv.weight, conv.bias, *place, "add", 1.0, relu, [], ""
    )


def _has_post_ops(x: Tensor) -> bool:
    return post_ops_work(x.ndim - 2, x.dtype)


@cache
@torch.inference_mode()
def post_ops_work(dims: int, dtype: torch.dtype) -> bool:
    """Test the fused operations against the plain ones, once per process: torch does not document them."""
    if dtype not in TOLERANCE:
        return False
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    draw = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        conv = CONV[dims](5, 6, 3, padding=1).to(dtype).to(memory_format=layout)  # type: ignore[call-overload]
    x, total = (torch.randn(2, n, *(9, 8, 7)[-dims:], generator=draw).to(dtype) for n in (5, 6))
    x, total = x.to(memory_format=layout), total.to(memory_format=layout)
    plain = conv(x).float()
    try:
        pairs = [
            (convolve_rectified(conv, x), plain.relu()),
            (add_convolution(total.clone(), conv, x, rectified=False), total.float() + plain),
            (add_convolution(total.clone(), conv, x, rectified=True), (total.float() + plain).relu()),
        ]
    except (AttributeError, RuntimeError, TypeError):  # another torch, another processor
        return False
    return all(
        found.shape == truth.shape and bool((found.float() - truth).abs().max() <= TOLERANCE[dtype] * truth.std())
        for found, truth in pairs
    )
