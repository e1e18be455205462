"""The ResUNet: pre-activated residual blocks, and strides in place of poolings.

References
----------
Z. Zhang, Q. Liu, Y. Wang: Road Extraction by Deep Residual U-Net. IEEE Geosci. Remote Sens. Lett. 15, 2018,
doi:10.1109/LGRS.2018.2802944; table 1. The blocks are those of K. He et al.: Identity Mappings in Deep Residual
Networks. ECCV 2016, doi:10.1007/978-3-319-46493-0_38.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_unet.core.nets.blocks import CONV, Join, make_conv
from napari_unet.core.nets.encoder_decoder import EncoderDecoder, Parts
from napari_unet.core.nets.norms import make_norm
from napari_unet.core.nets.unet import make_ups, upwards

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


def res_unet(config: NetConfig) -> EncoderDecoder:
    """Build a ResUNet."""
    ups = make_ups(config)
    levels = range(config.depth)
    deeper = [PreActivated(config, i + 1, config.width(i), stride=config.stride(i)) for i in levels]
    joined = [up.out_channels + config.width(level) for up, level in zip(ups, upwards(config), strict=True)]
    parts = Parts(
        encoder=[PreActivated(config, 0, config.in_channels, is_first=True), *deeper],
        pools=[nn.Identity() for _ in ups],  # the blocks have strides
        ups=ups,
        merges=[Join() for _ in ups],
        decoder=[PreActivated(config, level, n) for level, n in zip(upwards(config), joined, strict=True)],
    )
    return EncoderDecoder(config, parts)


class PreActivated(nn.Module):
    """Add what normalised, rectified and convolved twice (``config.convs``) changes to the input itself.

    Parameters
    ----------
    config : NetConfig
        Norm, kernels and number of convolutions.
    level : int
        Whose width and kernel are taken.
    in_channels : int
        Channels of the input.
    stride : tuple of int, optional
        Step of the first convolution: the input is of a finer level.
    is_first : bool
        The image itself is neither normalised nor rectified.
    """

    def __init__(
        self,
        config: NetConfig,
        level: int,
        in_channels: int,
        *,
        stride: tuple[int, ...] | None = None,
        is_first: bool = False,
    ) -> None:
        super().__init__()
        width, kernel, channels = config.width(level), config.kernel(level), in_channels
        # Not in place: the shortcut needs the input as well.
        layers: list[nn.Module] = [] if is_first else [make_norm(config.norm, config.dims, in_channels), nn.ReLU()]
        for index in range(config.convs):
            is_last, step = index == config.convs - 1, stride if index == 0 else None
            if is_last:  # no norm after it, so it has an offset
                pad = tuple(k // 2 for k in kernel)
                layers.append(CONV[config.dims](channels, width, kernel, step or 1, padding=pad))
            else:
                layers += [*make_conv(config, channels, width, kernel=kernel, stride=step), nn.ReLU(inplace=True)]
            channels = width
        self.body = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != width or (stride and max(stride) > 1):
            self.shortcut = nn.Sequential(
                *make_conv(config, in_channels, width, kernel=(1,) * config.dims, stride=stride)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, width, ...) of (N, in_channels, ...)."""
        return self.body(x) + self.shortcut(x)  # type: ignore[no-any-return]  # torch's modules return Any
