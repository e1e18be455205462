"""A U-shaped transformer with shifted windows, after Swin-Unet.

References
----------
H. Cao, Y. Wang, J. Chen et al.: Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation. ECCV Workshops
2022, doi:10.1007/978-3-031-25066-8_9. The windows are those of Z. Liu et al.: Swin Transformer. ICCV 2021,
doi:10.1109/ICCV48922.2021.00986. Other than theirs the finest level is convolved, so that the output is as fine as the
image, and windows are padded, not rolled, so that any size can be taken.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.nets.attention import Mlp, SelfAttention, count_heads
from napari_unet.core.nets.blocks import CONV, UP, ConvBlock
from napari_unet.core.nets.encoder_decoder import EncoderDecoder, Parts
from napari_unet.core.nets.unet import upwards

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

WINDOW = {2: 8, 3: 4}
"""Voxels of a level along the edge of a window: 64 of them attend to each other."""

FAR = -1e4
"""Added to the likeness to voxels that are none; finite, so that it can be learned through."""


def swin_unet(config: NetConfig) -> EncoderDecoder:
    """Build a U-shaped windowed transformer."""
    conv, up, levels = CONV[config.dims], UP[config.dims], range(config.depth)
    widths = [config.width(level) for level in range(config.depth + 1)]
    strides = [config.stride(level) for level in levels]
    parts = Parts(
        encoder=[
            ConvBlock(config, 0, config.in_channels, (widths[0],)),
            *(_stage(config, level + 1) for level in levels),
        ],
        # Merging patches: neighbours become channels, which one linear map brings to the next width.
        pools=[conv(widths[i], widths[i + 1], strides[i], strides[i]) for i in levels],
        ups=[up(widths[i + 1], widths[i], strides[i], strides[i]) for i in upwards(config)],
        merges=[JoinLinear(conv(2 * widths[i], widths[i], 1)) for i in upwards(config)],
        decoder=[_stage(config, i) if i else ConvBlock(config, 0, widths[0], (widths[0],)) for i in upwards(config)],
    )
    return EncoderDecoder(config, parts)


def _stage(config: NetConfig, level: int) -> nn.Sequential:
    """Make two layers, the second with windows shifted by half their size."""
    width, dims = config.width(level), config.dims
    return nn.Sequential(WindowLayer(dims, width, is_shifted=False), WindowLayer(dims, width, is_shifted=True))


class JoinLinear(nn.Module):
    """Join a skip and what comes up, and bring both to the level's width."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, skip: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
        """Give (N, C of skip, ...)."""
        return self.linear(torch.cat((skip, fine), dim=1))  # type: ignore[no-any-return]  # as all modules


class WindowLayer(nn.Module):
    """Let the voxels of each window attend to each other, then change each by itself.

    Parameters
    ----------
    dims : {2, 3}
        Spatial axes.
    width : int
        Channels.
    is_shifted : bool
        Begin the windows half a window before the image, so that they reach across the borders of the others.
    """

    offsets: Tensor

    def __init__(self, dims: int, width: int, *, is_shifted: bool) -> None:
        super().__init__()
        self.window = (WINDOW[dims],) * dims
        self.shift = WINDOW[dims] // 2 if is_shifted else 0
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = SelfAttention(width), Mlp(width)
        self.position = nn.Parameter(torch.zeros((2 * WINDOW[dims] - 1) ** dims, count_heads(width)))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.register_buffer("offsets", _offsets(self.window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, width, [Z,] Y, X) of the same."""
        shape = x.shape[2:]
        x = x.movedim(1, -1)
        x = x + self._attend(self.before_attention(x), shape)
        x = x + self.mlp(self.before_mlp(x))
        return x.movedim(-1, 1)

    def _attend(self, x: Tensor, shape: torch.Size) -> Tensor:
        pads = [(self.shift, -(n + self.shift) % w) for n, w in zip(shape, self.window, strict=True)]
        flat = [edge for pair in reversed(pads) for edge in pair]
        outside = nn.functional.pad(x.new_zeros(1, *shape, 1), (0, 0, *flat), value=FAR)
        x = nn.functional.pad(x, (0, 0, *flat))
        padded = x.shape[1:-1]
        n_tokens, n = prod(self.window), x.shape[0]
        bias = self.position[self.offsets.flatten()].view(1, n_tokens, n_tokens, -1).permute(0, 3, 1, 2)
        bias = bias + self._windows(outside).movedim(-1, 1)[:, :, None]  # (windows, heads, from, to)
        windows = self.attention(self._windows(x), bias.repeat(n, 1, 1, 1))
        x = self._image(windows, padded, n)
        for axis, length in enumerate(shape):
            x = x.narrow(1 + axis, self.shift, length)
        return x

    def _windows(self, x: Tensor) -> Tensor:
        """Cut (N, [Z,] Y, X, C) into (N * windows, voxels of a window, C)."""
        dims = len(self.window)
        parts = [size for n, w in zip(x.shape[1:-1], self.window, strict=True) for size in (n // w, w)]
        order = (0, *range(1, 2 * dims, 2), *range(2, 2 * dims + 1, 2), 2 * dims + 1)
        return x.reshape(x.shape[0], *parts, x.shape[-1]).permute(order).reshape(-1, prod(self.window), x.shape[-1])

    def _image(self, windows: Tensor, shape: torch.Size, n: int) -> Tensor:
        """Put the windows together again: (N, [Z,] Y, X, C)."""
        dims, counts = len(shape), [n // w for n, w in zip(shape, self.window, strict=True)]
        order = (0, *(axis for i in range(dims) for axis in (1 + i, 1 + dims + i)), 2 * dims + 1)
        return windows.reshape(n, *counts, *self.window, -1).permute(order).reshape(n, *shape, -1)


def _offsets(window: tuple[int, ...]) -> Tensor:
    """Give, for each pair of voxels of a window, the number of their distance vector: (T, T)."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(w) for w in window], indexing="ij")).flatten(1)
    number = torch.zeros(grid.shape[1], grid.shape[1], dtype=torch.long)
    for axis, w in enumerate(window):
        number = number * (2 * w - 1) + grid[axis][:, None] - grid[axis][None] + w - 1
    return number
