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

from napari_unet.core.nets.blocks import POOL, Join, UpSample, make_block
from napari_unet.core.nets.encoder_decoder import EncoderDecoder, Parts

if TYPE_CHECKING:
    from torch import nn

    from napari_unet.core.nets.config import NetConfig


def unet(config: NetConfig) -> EncoderDecoder:
    """Build a U-Net: contract, expand, and join both by skip connections."""
    return EncoderDecoder(config, unet_parts(config))


def unet_parts(config: NetConfig) -> Parts:
    """Make the parts of a U-Net, some of which its relatives replace."""
    ups = make_ups(config)
    joined = [up.out_channels + config.width(level) for up, level in zip(ups, upwards(config), strict=True)]
    return Parts(
        encoder=make_encoder(config),
        pools=make_pools(config),
        ups=ups,
        merges=[Join() for _ in ups],
        decoder=make_decoder(config, joined),
    )


def upwards(config: NetConfig) -> range:
    """Give the levels of the decoder in the order in which they are computed, the coarsest first."""
    return range(config.depth - 1, -1, -1)


def make_encoder(config: NetConfig) -> list[nn.Module]:
    """Make a block for each level on the way down."""
    channels = [config.in_channels, *(config.width(level) for level in range(config.depth))]
    return [make_block(config, level, before, down=True) for level, before in enumerate(channels)]


def make_pools(config: NetConfig) -> list[nn.Module]:
    """Make max-poolings between the levels."""
    return [POOL[config.dims](config.stride(level)) for level in range(config.depth)]


def make_ups(config: NetConfig) -> list[UpSample]:
    """Make the way from each level up to the next finer one."""
    ups = []
    for level in upwards(config):
        coarse = config.width(level + 1)
        # 2015: the learned upsampling halves the channels; 2016: it keeps them.
        ups.append(UpSample(config, level, coarse, coarse if config.wide_first else config.width(level)))
    return ups


def make_decoder(config: NetConfig, joined: list[int]) -> list[nn.Module]:
    """Make a block for each level on the way up; `joined` are the channels that it gets."""
    levels = zip(upwards(config), joined, strict=True)
    return [make_block(config, level, channels, down=False) for level, channels in levels]
