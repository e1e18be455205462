"""The Attention U-Net: what comes up decides which parts of a skip connection pass.

References
----------
O. Oktay, J. Schlemper, L. Le Folgoc et al.: Attention U-Net: Learning Where to Look for the Pancreas. MIDL 2018,
arXiv:1804.03999; figure 2 and equations 1 and 2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.nets.blocks import CONV, LINEAR, Join, enlarge, make_conv
from napari_unet.core.nets.encoder_decoder import EncoderDecoder
from napari_unet.core.nets.unet import unet_parts, upwards

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


def attention_unet(config: NetConfig) -> EncoderDecoder:
    """Build a U-Net with a gate in each skip but the finest, as in the paper."""
    gates = [AttentionGate(config, level) if level else Join() for level in upwards(config)]
    return EncoderDecoder(config, replace(unet_parts(config), merges=gates))


class AttentionGate(nn.Module):
    """Weigh each voxel of a skip by how well it agrees with the coarser level, and join it with what comes up.

    Parameters
    ----------
    config : NetConfig
        Widths, stride and norm.
    level : int
        Of the skip; the gating signal is of the level below.
    """

    def __init__(self, config: NetConfig, level: int) -> None:
        super().__init__()
        conv, width, self.stride = CONV[config.dims], config.width(level), config.stride(level)
        self.mode = LINEAR[config.dims]
        # Compared on the coarse grid, as the paper does: a fraction of the work.
        self.skip = conv(width, width, self.stride, self.stride, bias=False)
        self.gate = conv(config.width(level + 1), width, 1)
        self.agreement = conv(width, 1, 1)
        self.passed = nn.Sequential(*make_conv(config, width, width, kernel=(1,) * config.dims))

    def forward(self, skip: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
        """Give (N, C of skip + C of fine, ...); `coarse` is what was enlarged to `fine`."""
        agreement = self.agreement(torch.relu(self.skip(skip) + self.gate(coarse)))
        weight = enlarge(torch.sigmoid(agreement), self.stride, self.mode)
        return torch.cat((self.passed(skip * weight), fine), dim=1)
