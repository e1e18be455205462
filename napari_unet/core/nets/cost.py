"""What a network costs: parameters and operations, counted without memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_unet.core.base.tiles import round_up
from napari_unet.core.nets import build

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


@dataclass(frozen=True)
class Cost:
    """What one pass costs.

    Parameters
    ----------
    parameters : int
        Weights that learn.
    flop : int
        Floating-point operations of one image, a multiplication and an addition counted as two.
    shape : tuple of int, voxels
        Of that image, ([Z,] Y, X): a multiple of the pooling grid.
    """

    parameters: int
    flop: int
    shape: tuple[int, ...]


def count_cost(net: str, config: NetConfig, size: int) -> Cost:
    """Count what a network costs for an image of a size.

    Parameters
    ----------
    net : str
        A key of the catalogue.
    config : NetConfig
        Its configuration, with `same` padding.
    size : int, voxels
        Edge of the image; rounded up to what the network takes.
    """
    shape = tuple(round_up(size, m) for m in config.multiple())
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = build(net, config).eval()
        network(torch.empty(1, config.in_channels, *shape))
    return Cost(sum(p.numel() for p in network.parameters()), int(counter.get_total_flops()), shape)
