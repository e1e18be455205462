"""The building blocks of the networks, for 2D and 3D alike."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

CONV: dict[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
UP: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
BATCH = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}

MOMENTUM = 0.02
"""Slow running statistics: what the network sees at inference is close to what it saw in training."""


def make_norm(norm: str, dims: int, channels: int) -> nn.Module:
    """Make a normalisation layer by name: `batch`, `instance` or `none`."""
    if norm == "batch":
        return BATCH[dims](channels, momentum=MOMENTUM)
    if norm == "instance":
        return INSTANCE[dims](channels, affine=True)
    return nn.Identity()


class ConvBlock(nn.Sequential):
    """Convolve, normalise, rectify, `len(widths)` times.

    Parameters
    ----------
    dims : {2, 3}
        Spatial axes.
    in_channels : int
        Channels of the input.
    widths : tuple of int
        Channels after each convolution.
    kernel : tuple of int
        One size per axis.
    norm, padding : str
        As in `NetConfig`.
    """

    def __init__(
        self, dims: int, in_channels: int, widths: tuple[int, ...], *, kernel: tuple[int, ...], norm: str, padding: str
    ) -> None:
        layers: list[nn.Module] = []
        pad = tuple(k // 2 for k in kernel) if padding == "same" else (0,) * dims
        for width in widths:
            # The normalisation brings its own offset, so the convolution needs none.
            layers.append(CONV[dims](in_channels, width, kernel, padding=pad, bias=norm == "none"))
            layers.append(make_norm(norm, dims, width))
            layers.append(nn.ReLU(inplace=True))
            in_channels = width
        super().__init__(*[layer for layer in layers if not isinstance(layer, nn.Identity)])


class UpSample(nn.Module):
    """Go back to the next finer level: repeat voxels, or learn how (2x2 transposed convolution)."""

    def __init__(self, dims: int, in_channels: int, out_channels: int, *, stride: tuple[int, ...], up: str) -> None:
        super().__init__()
        self.scale = stride
        self.learned = UP[dims](in_channels, out_channels, stride, stride) if up == "transpose" else None
        self.out_channels = out_channels if up == "transpose" else in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge (N, C, [Z,] Y, X) by the stride."""
        if self.learned is not None:
            return self.learned(x)  # type: ignore[no-any-return]  # torch's modules return Any
        return nn.functional.interpolate(x, scale_factor=tuple(float(s) for s in self.scale), mode="nearest")


def join(skip: Tensor, x: Tensor) -> Tensor:
    """Concatenate a skip connection, cropped to the middle where `valid` convolutions made `x` smaller."""
    for axis in range(2, x.ndim):
        extra = skip.shape[axis] - x.shape[axis]
        if extra:
            skip = skip.narrow(axis, extra // 2, x.shape[axis])
    return torch.cat((skip, x), dim=1)
