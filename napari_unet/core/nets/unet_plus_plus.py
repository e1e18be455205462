"""U-Net++: nested skip connections, which hold U-Nets of every depth; it can be pruned to each of them.

References
----------
Z. Zhou, M. M. Rahman Siddiquee, N. Tajbakhsh, J. Liang: UNet++: A Nested U-Net Architecture for Medical Image
Segmentation. DLMIA 2018, doi:10.1007/978-3-030-00889-5_1; equation 1. Redesigned skips and pruning: IEEE Trans. Med.
Imaging 39, 2020, doi:10.1109/TMI.2019.2959609.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.base.errors import UserError
from napari_unet.core.nets.blocks import UpSample, make_block
from napari_unet.core.nets.encoder_decoder import make_head
from napari_unet.core.nets.unet import make_encoder, make_pools

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


class UNetPlusPlus(nn.Module):
    """Fill the triangle between encoder and decoder: node (i, j) sees all nodes of its level before it.

    Parameters
    ----------
    config : NetConfig
        Depth, channels, strides, kernels, blocks and norm.

    Notes
    -----
    Input and output as of every network, see ``EncoderDecoder``. With deep supervision each U-Net that is in it has a
    head of its own at full size; without, only the deepest.
    """

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.pools = nn.ModuleList(make_encoder(config)), nn.ModuleList(make_pools(config))
        self.ups, self.nodes = nn.ModuleDict(), nn.ModuleDict()
        for j in range(1, config.depth + 1):
            for i in range(config.depth + 1 - j):
                width = config.width(i)
                up = UpSample(config, i, config.width(i + 1), width)
                self.ups[f"{i}_{j}"] = up
                self.nodes[f"{i}_{j}"] = make_block(config, i, j * width + up.out_channels, down=False)
        self.head = make_head(config, 0)
        shallower = range(1, config.depth if config.deep_supervision else 1)
        self.coarse_heads = nn.ModuleDict({str(depth): make_head(config, 0) for depth in shallower})

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """Compute the features of the U-Nets of each depth, the deepest first; all of full size."""
        rows: list[list[Tensor]] = []
        for i, block in enumerate(self.encoder):
            x = block(x if i == 0 else self.pools[i - 1](x))
            rows.append([x])
        for j in range(1, len(rows)):
            for i in range(len(rows) - j):
                name = f"{i}_{j}"
                rows[i].append(self.nodes[name](torch.cat((*rows[i], self.ups[name](rows[i + 1][j - 1])), dim=1)))
        return rows[0][:0:-1]

    def features(self, x: Tensor) -> Tensor:
        """Compute the decoder's last features, (N, base, [Z,] Y, X): what the head sees."""
        return self.pyramid(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of the deepest U-Net, (N, out_channels, [Z,] Y, X)."""
        return self.head(self.features(x))  # type: ignore[no-any-return]  # torch's modules return Any

    def outputs(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the logits of each supervised depth, the deepest first, all of full size."""
        deepest, *others = self.pyramid(x)
        shallower = [self.coarse_heads[name] for name in reversed(list(self.coarse_heads))]
        return self.head(deepest), *(head(one) for head, one in zip(shallower, others, strict=False))


def prune(weights: Mapping[str, Tensor], config: NetConfig, depth: int) -> tuple[dict[str, Tensor], NetConfig]:
    """Keep only the U-Net++ of a smaller depth that was trained along with the whole one: faster, and less context.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Of a network trained with deep supervision.
    config : NetConfig
        What it was built from.
    depth : int
        Of the network that is kept.

    Returns
    -------
    weights : dict of str to Tensor
    config : NetConfig

    Raises
    ------
    UserError
        When there is no such depth, or no head was trained for it.
    """
    if not config.deep_supervision or not 1 <= depth < config.depth:
        raise UserError(
            f"This U-Net++ of depth {config.depth} cannot be pruned to {depth}.",
            f"Train it with deep supervision, and choose 1 to {config.depth - 1}.",
        )
    kept = replace(config, depth=depth, strides=config.strides[:depth], kernels=config.kernels[: depth + 1], blocks=())
    with torch.device("meta"):
        names = UNetPlusPlus(kept).state_dict().keys()
    head = f"coarse_heads.{depth}."
    return {name: weights[name.replace("head.", head) if name.startswith("head.") else name] for name in names}, kept
