"""The building blocks of the networks, for 2D and 3D alike: what a level is made of, and the way between levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.nets.norms import make_norm

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

CONV: dict[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
UP: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
LINEAR = {2: "bilinear", 3: "trilinear"}


def make_block(config: NetConfig, level: int, in_channels: int, *, down: bool) -> nn.Module:
    """Make what a level is made of, by the name in ``config.block``; it gives ``config.width(level)`` channels.

    Parameters
    ----------
    config : NetConfig
        Kernel, norm, padding and number of convolutions.
    level : int
        0 is the finest.
    in_channels : int
        Channels of the input.
    down : bool
        On the way down, where `wide_first` counts.
    """
    width = config.width(level)
    if config.block == "residual":
        return ResidualBlock(config, level, in_channels)
    if config.block == "dense":
        return DenseBlock(config, level, in_channels)
    widths = [width] * config.convs
    if config.wide_first and down and config.convs > 1:
        widths[0] = max(1, width // 2)
    return ConvBlock(config, level, in_channels, tuple(widths))


def make_conv(
    config: NetConfig,
    in_channels: int,
    out_channels: int,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...] | None = None,
) -> list[nn.Module]:
    """Make a convolution and the normalisation after it.

    One follows the other directly in an ``nn.Sequential``, so that both can be folded into one for inference.
    """
    pad = tuple(k // 2 if k % 2 else 0 for k in kernel) if config.padding == "same" else (0,) * config.dims
    # The normalisation brings its own offset, so the convolution needs none.
    bias = config.norm == "none"
    conv = CONV[config.dims](in_channels, out_channels, kernel, stride or 1, padding=pad, bias=bias)
    norm = make_norm(config.norm, config.dims, out_channels)
    return [conv] if isinstance(norm, nn.Identity) else [conv, norm]


class ConvBlock(nn.Sequential):
    """Convolve, normalise, rectify, `len(widths)` times.

    Parameters
    ----------
    config : NetConfig
        Norm, padding and kernels.
    level : int
        Whose kernel is taken.
    in_channels : int
        Channels of the input.
    widths : tuple of int
        Channels after each convolution.
    """

    def __init__(self, config: NetConfig, level: int, in_channels: int, widths: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for width in widths:
            layers += [*make_conv(config, in_channels, width, kernel=config.kernel(level)), nn.ReLU(inplace=True)]
            in_channels = width
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """Add what ``config.convs`` convolutions change to the input itself.

    Parameters
    ----------
    config : NetConfig
        Norm, kernels and number of convolutions.
    level : int
        Whose width and kernel are taken.
    in_channels : int
        Channels of the input; the shortcut has a convolution of its own where they change.
    stride : tuple of int, optional
        Step of the first convolution, per axis: the input is of a finer level.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition. CVPR 2016,
    doi:10.1109/CVPR.2016.90; figure 2.
    """

    def __init__(
        self, config: NetConfig, level: int, in_channels: int, *, stride: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        width, layers, channels = config.width(level), list[nn.Module](), in_channels
        for index in range(config.convs):
            step = stride if index == 0 else None
            layers += make_conv(config, channels, width, kernel=config.kernel(level), stride=step)
            layers.append(nn.ReLU(inplace=True))
            channels = width
        self.body = nn.Sequential(*layers[:-1])
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != width or (stride and max(stride) > 1):
            self.shortcut = nn.Sequential(
                *make_conv(config, in_channels, width, kernel=(1,) * config.dims, stride=stride)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, width, ...) of (N, in_channels, ...)."""
        return nn.functional.relu(self.body(x) + self.shortcut(x))


class DenseBlock(nn.Module):
    """Let each convolution see all that came before it, then bring everything to the level's width.

    Twice ``config.convs`` convolutions, which share the level's width among them.

    References
    ----------
    G. Huang, Z. Liu, L. van der Maaten, K. Weinberger: Densely Connected Convolutional Networks. CVPR 2017,
    doi:10.1109/CVPR.2017.243; equation 2.
    """

    def __init__(self, config: NetConfig, level: int, in_channels: int) -> None:
        super().__init__()
        width, n = config.width(level), 2 * config.convs
        growth = max(1, width // n)
        self.layers = nn.ModuleList(
            ConvBlock(config, level, in_channels + index * growth, (growth,)) for index in range(n)
        )
        wide = in_channels + n * growth
        self.transition = nn.Sequential(
            *make_conv(config, wide, width, kernel=(1,) * config.dims), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, width, ...) of (N, in_channels, ...)."""
        for layer in self.layers:
            x = torch.cat((x, layer(x)), dim=1)
        return self.transition(x)  # type: ignore[no-any-return]  # torch's modules return Any


class UpSample(nn.Module):
    """Go back to the next finer level: repeat voxels, interpolate, or learn how (2x2 transposed convolution).

    Parameters
    ----------
    config : NetConfig
        How, and the stride.
    level : int
        The finer level.
    in_channels, out_channels : int
        Only the learned one changes the channels; ``self.out_channels`` tells.
    """

    def __init__(self, config: NetConfig, level: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.scale = stride = config.stride(level)
        learned = config.up == "transpose"
        self.mode = LINEAR[config.dims] if config.up == "linear" else "nearest"
        self.learned = UP[config.dims](in_channels, out_channels, stride, stride) if learned else None
        self.out_channels = out_channels if learned else in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge (N, C, [Z,] Y, X) by the stride."""
        if self.learned is not None:
            return self.learned(x)  # type: ignore[no-any-return]  # torch's modules return Any
        return enlarge(x, self.scale, self.mode)


def enlarge(x: Tensor, scale: tuple[int, ...], mode: str) -> Tensor:
    """Enlarge (N, C, [Z,] Y, X) by whole factors."""
    return nn.functional.interpolate(x, scale_factor=tuple(float(s) for s in scale), mode=mode)


class Join(nn.Module):
    """Concatenate a skip connection, cropped to the middle where `valid` convolutions made the rest smaller."""

    def forward(self, skip: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
        """Give (N, C of skip + C of fine, ...); `coarse` is what was enlarged to `fine`."""
        for axis in range(2, fine.ndim):
            extra = skip.shape[axis] - fine.shape[axis]
            if extra:
                skip = skip.narrow(axis, extra // 2, fine.shape[axis])
        return torch.cat((skip, fine), dim=1)
