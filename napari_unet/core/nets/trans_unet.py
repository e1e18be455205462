"""A U-Net with a transformer at its bottom, after TransUNet: every voxel there sees the whole image.

References
----------
J. Chen, Y. Lu, Q. Yu et al.: TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation.
arXiv:2102.04306, 2021; figure 1. Theirs is a ResNet-50 and twelve layers of ViT-Base, pre-trained, for one size of
image; this one has the widths of our other networks, starts from nothing and takes any size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_unet.core.nets.attention import Mlp, Place, SelfAttention, from_tokens, to_tokens
from napari_unet.core.nets.encoder_decoder import EncoderDecoder
from napari_unet.core.nets.unet import unet_parts

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

LAYERS = 4
"""Of the transformer."""


def trans_unet(config: NetConfig) -> EncoderDecoder:
    """Build a U-Net with a transformer as its bridge."""
    bridge = Transformer(config.dims, config.width(config.depth))
    return EncoderDecoder(config, replace(unet_parts(config), bridge=bridge))


class Transformer(nn.Module):
    """Let the voxels of a coarse level attend to each other, `LAYERS` times."""

    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self.place = Place(dims, width)
        self.layers = nn.ModuleList(TransformerLayer(width) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, width, [Z,] Y, X) of the same."""
        tokens = to_tokens(self.place(x))
        for layer in self.layers:
            tokens = layer(tokens)
        return from_tokens(self.norm(tokens), x.shape[2:])


class TransformerLayer(nn.Module):
    """Attend, then think: both added to what was there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = SelfAttention(width), Mlp(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute (N, T, width) of the same."""
        tokens = tokens + self.attention(self.before_attention(tokens))
        return tokens + self.mlp(self.before_mlp(tokens))  # type: ignore[no-any-return]  # as all modules
