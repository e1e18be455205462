"""The shape that most networks share: down, through the bottom, and up again with skips from the same level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_unet.core.nets.blocks import CONV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.core.nets.config import NetConfig


@dataclass(frozen=True)
class Parts:
    """What an `EncoderDecoder` is put together from; every list of the decoder begins at its coarsest level.

    Parameters
    ----------
    encoder : `depth` + 1 modules
        What each level computes, the finest first.
    pools : `depth` modules
        The way from a level to the next coarser one.
    ups : `depth` modules
        The way from a level to the next finer one.
    merges : `depth` modules
        ``merge(skip, coarse, fine)``: bring what comes up and the skip together.
    decoder : `depth` modules
        What each level computes on the way up; level k gives ``config.width(k)`` channels.
    bridge : Module
        Works on the bottom.
    """

    encoder: Sequence[nn.Module]
    pools: Sequence[nn.Module]
    ups: Sequence[nn.Module]
    merges: Sequence[nn.Module]
    decoder: Sequence[nn.Module]
    bridge: nn.Module = field(default_factory=nn.Identity)


class EncoderDecoder(nn.Module):
    """Contract, expand, and join both level by level.

    Parameters
    ----------
    config : NetConfig
        Dimensions, widths and heads.
    parts : Parts
        What makes one network differ from the next.

    Notes
    -----
    Input (N, C, [Z,] Y, X) float32 with every axis a multiple of ``config.multiple()``; output (N, out_channels, ...)
    raw logits of the same size with `same` padding, smaller with `valid`.
    """

    def __init__(self, config: NetConfig, parts: Parts) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.pools = nn.ModuleList(parts.encoder), nn.ModuleList(parts.pools)
        self.bridge = parts.bridge
        self.ups, self.merges = nn.ModuleList(parts.ups), nn.ModuleList(parts.merges)
        self.decoder = nn.ModuleList(parts.decoder)
        self.head = make_head(config, 0)
        coarse = range(1, config.depth if config.deep_supervision else 1)
        self.coarse_heads = nn.ModuleList(make_head(config, level) for level in coarse)

    def pyramid(self, x: Tensor, n_levels: int) -> list[Tensor]:
        """Compute what the `n_levels` finest levels of the decoder give, the finest first.

        Nothing is held for longer than it is needed: that is what a large tile takes of the memory.
        """
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x)
            if level < self.config.depth:
                skips.append(x)
                x = self.pools[level](x)
        x = self.bridge(x)
        found = []
        for up, merge, block in zip(self.ups, self.merges, self.decoder, strict=True):
            x = merge(skips.pop(), x, up(x))
            x = block(x)
            if len(skips) < n_levels:
                found.append(x)
        return found[::-1]

    def features(self, x: Tensor) -> Tensor:
        """Compute the decoder's last features, (N, base, [Z,] Y, X): what the head sees."""
        return self.pyramid(x, 1)[0]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits, (N, out_channels, [Z,] Y, X)."""
        return self.head(self.features(x))  # type: ignore[no-any-return]  # torch's modules return Any

    def outputs(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the logits of each supervised level, the finest first; one of them without deep supervision."""
        finest, *coarser = self.pyramid(x, 1 + len(self.coarse_heads))
        return self.head(finest), *(head(level) for head, level in zip(self.coarse_heads, coarser, strict=True))


def make_head(config: NetConfig, level: int) -> nn.Module:
    """Make the 1x1 convolution from a level's features to logits."""
    return CONV[config.dims](config.width(level), config.out_channels, 1)
