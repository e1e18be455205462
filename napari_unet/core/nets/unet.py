"""The U-Net for 2D and 3D.

References
----------
O. Ronneberger, P. Fischer, T. Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015,
doi:10.1007/978-3-319-24574-4_28.
O. Cicek, A. Abdulkadir, S. Lienkamp, T. Brox, O. Ronneberger: 3D U-Net: Learning Dense Volumetric Segmentation from
Sparse Annotation. MICCAI 2016, doi:10.1007/978-3-319-46723-8_49.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_unet.core.nets.blocks import CONV, POOL, ConvBlock, UpSample, join

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


class UNet(nn.Module):
    """Contract, expand, and join both by skip connections.

    Parameters
    ----------
    config : NetConfig
        Depth, channels, strides, kernels, padding and norm.

    Notes
    -----
    Input (N, C, [Z,] Y, X) float32 with every axis a multiple of ``config.multiple()``; output (N, out_channels, ...)
    raw logits of the same size with `same` padding, smaller with `valid`.
    """

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        dims = config.dims
        self.encoder, self.pools = nn.ModuleList(), nn.ModuleList()
        channels = config.in_channels
        for level in range(config.depth + 1):
            self.encoder.append(self._block(channels, level, down=True))
            channels = config.width(level)
            if level < config.depth:
                self.pools.append(POOL[dims](config.stride(level)))
        self.ups, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(config.depth)):
            # 2015: the learned upsampling halves the channels; 2016: it keeps them.
            wanted = channels if config.wide_first else config.width(level)
            up = UpSample(dims, channels, wanted, stride=config.stride(level), up=config.up)
            self.ups.append(up)
            self.decoder.append(self._block(up.out_channels + config.width(level), level, down=False))
            channels = config.width(level)
        self.head = CONV[dims](channels, config.out_channels, 1)

    def _block(self, channels: int, level: int, *, down: bool) -> ConvBlock:
        config, width = self.config, self.config.width(level)
        widths = [width] * config.convs
        if config.wide_first and down and config.convs > 1:
            widths[0] = max(1, width // 2)
        return ConvBlock(
            config.dims, channels, tuple(widths), kernel=config.kernel(level), norm=config.norm, padding=config.padding
        )

    def features(self, x: Tensor) -> Tensor:
        """Compute the decoder's last features, (N, base, [Z,] Y, X): what the head sees."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x)
            if level < self.config.depth:
                skips.append(x)
                x = self.pools[level](x)
        for up, block in zip(self.ups, self.decoder, strict=True):
            x = block(join(skips.pop(), up(x)))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits, (N, out_channels, [Z,] Y, X)."""
        return self.head(self.features(x))  # type: ignore[no-any-return]  # torch's modules return Any
