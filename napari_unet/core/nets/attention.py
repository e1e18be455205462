"""What the transformers are made of: tokens are the voxels of a coarse level, their channels the features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_unet.core.nets.blocks import CONV

HEAD_WIDTH = 32
"""Channels of an attention head."""

MLP_RATIO = 4


class SelfAttention(nn.Module):
    """Let each token take from all others of its group, by likeness.

    References
    ----------
    A. Vaswani et al.: Attention Is All You Need. NeurIPS 2017, arXiv:1706.03762; section 3.2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.n_heads = count_heads(width)
        # Without offsets: that of the keys would cancel out.
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, bias: Tensor | None = None) -> Tensor:
        """Compute (B, T, width) of (B, T, width); `bias`, (B or 1, heads, T, T), is added to the likeness."""
        batch, n, width = tokens.shape
        q, k, v = self.qkv(tokens).view(batch, n, 3, self.n_heads, width // self.n_heads).permute(2, 0, 3, 1, 4)
        bias = None if bias is None else bias.to(q.dtype)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out(mixed.transpose(1, 2).reshape(batch, n, width))  # type: ignore[no-any-return]  # as all modules


def count_heads(width: int) -> int:
    """Give the attention heads of a level: as many as have `HEAD_WIDTH` channels and divide the width."""
    n = max(1, width // HEAD_WIDTH)
    while width % n:
        n -= 1
    return n


class Mlp(nn.Sequential):
    """Change each token by itself."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width))


class Place(nn.Module):
    """Add to each voxel what its neighbourhood says about where it is: works at any size.

    References
    ----------
    X. Chu et al.: Conditional Positional Encodings for Vision Transformers. ICLR 2023, arXiv:2102.10882.
    """

    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self.conv = CONV[dims](width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, width, [Z,] Y, X) of the same."""
        return x + self.conv(x)  # type: ignore[no-any-return]  # torch's modules return Any


def to_tokens(x: Tensor) -> Tensor:
    """Turn (N, C, ...) into (N, T, C)."""
    return x.flatten(2).transpose(1, 2)


def from_tokens(tokens: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Turn (N, T, C) into (N, C, *shape)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *shape)
