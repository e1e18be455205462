"""A U-Net with a deep residual encoder and a slim decoder, after the presets of nnU-Net.

References
----------
F. Isensee, T. Wald, C. Ulrich et al.: nnU-Net Revisited: A Call for Rigorous Validation in 3D Medical Image
Segmentation. MICCAI 2024, doi:10.1007/978-3-031-72114-4_47. Theirs has leaky rectifiers; the rest of the topology is
the same: strides in place of poolings, transposed convolutions, one convolution for each level of the decoder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from napari_unet.core.nets.blocks import ConvBlock, Join, ResidualBlock
from napari_unet.core.nets.encoder_decoder import EncoderDecoder, Parts
from napari_unet.core.nets.unet import make_ups, upwards

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

BLOCKS = (1, 3, 4, 6, 6, 6, 6, 6)
"""Residual blocks of each level, the finest first."""


def residual_encoder_unet(config: NetConfig) -> EncoderDecoder:
    """Build a U-Net with a residual encoder; ``config.blocks`` overrides how deep it is."""
    blocks = config.blocks or BLOCKS[: config.depth + 1]
    ups = make_ups(replace(config, up="transpose"))
    parts = Parts(
        encoder=[_stage(config, level, n) for level, n in enumerate(blocks)],
        pools=[nn.Identity() for _ in ups],  # the first block of a level has the stride
        ups=ups,
        merges=[Join() for _ in ups],
        decoder=[
            ConvBlock(config, level, up.out_channels + config.width(level), (config.width(level),))
            for up, level in zip(ups, upwards(config), strict=True)
        ],
    )
    return EncoderDecoder(config, parts)


def _stage(config: NetConfig, level: int, n_blocks: int) -> nn.Sequential:
    width = config.width(level)
    if level == 0:
        first: list[nn.Module] = [
            ConvBlock(config, 0, config.in_channels, (width,)),
            ResidualBlock(config, 0, width),
        ]
    else:
        first = [ResidualBlock(config, level, config.width(level - 1), stride=config.stride(level - 1))]
    return nn.Sequential(*first, *(ResidualBlock(config, level, width) for _ in range(n_blocks - 1)))
