"""A fully convolutional network without skip connections: the baseline that a U-Net is compared with.

References
----------
J. Long, E. Shelhamer, T. Darrell: Fully Convolutional Networks for Semantic Segmentation. CVPR 2015,
doi:10.1109/CVPR.2015.7298965. Theirs adds coarse predictions; here the U-Net's encoder and decoder are kept and only
its skips are left out, so that nothing else differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_unet.core.nets.encoder_decoder import EncoderDecoder, Parts
from napari_unet.core.nets.unet import make_decoder, make_encoder, make_pools, make_ups

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


def fcn(config: NetConfig) -> EncoderDecoder:
    """Build a U-Net without its skips."""
    ups = make_ups(config)
    parts = Parts(
        encoder=make_encoder(config),
        pools=make_pools(config),
        ups=ups,
        merges=[WithoutSkip() for _ in ups],
        decoder=make_decoder(config, [up.out_channels for up in ups]),
    )
    return EncoderDecoder(config, parts)


class WithoutSkip(nn.Module):
    """Leave the skip out."""

    def forward(self, skip: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
        """Give what comes up."""
        return fine
