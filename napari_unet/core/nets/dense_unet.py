"""The Dense U-Net: a U-Net whose levels are dense blocks.

References
----------
S. Jegou, M. Drozdzal, D. Vazquez, A. Romero, Y. Bengio: The One Hundred Layers Tiramisu: Fully Convolutional DenseNets
for Semantic Segmentation. CVPR Workshops 2017, doi:10.1109/CVPRW.2017.156.
X. Li et al.: H-DenseUNet. IEEE Trans. Med. Imaging 37, 2018, doi:10.1109/TMI.2018.2845918.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_unet.core.nets.unet import unet

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig
    from napari_unet.core.nets.encoder_decoder import EncoderDecoder


def dense_unet(config: NetConfig) -> EncoderDecoder:
    """Build a U-Net of dense blocks, each followed by a 1x1 convolution to the width of its level."""
    return unet(replace(config, block="dense"))
