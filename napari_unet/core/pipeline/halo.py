"""How far a network sees, measured: the context that tiles need to give what the whole image gives."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.nets import build

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

Halo = tuple[int, ...]

LENGTHS = (16, 64)
"""Blocks of the pooling grid in which the reach is looked for; what goes beyond the second sees the whole image."""


def exact_halo(net: str, config: NetConfig) -> Halo | None:
    """Give the context that an output voxel needs, per axis and side, in voxels.

    Parameters
    ----------
    net : str
        A key of the catalogue.
    config : NetConfig
        Its configuration.

    Returns
    -------
    tuple of int, or None
        For a tile on the pooling grid. None where there is no such number: the norm or an attention looks at the whole
        image, or the result depends on where the image begins.

    Notes
    -----
    Measured on a narrow copy: a voxel that is not a number makes exactly those voxels of the output not a number that
    see it. For the 2D U-Net this gives in whole multiples of the grid 48 for `depth` 3 and 96 for 4; the classic
    network's 572 and 388 pixels leave ``6 * 2**depth - 4``, 92 a side, off that grid.
    """
    reaches = [_reach(net, _along(config, axis)) for axis in range(config.dims)]
    halo = tuple(reach for reach in reaches if reach is not None)
    return halo if len(halo) == len(reaches) else None


def fast_halo(halo: Halo) -> Halo:
    """Give half of the exact context: the outermost part of the field of view hardly counts."""
    return tuple(ceil(h / 2) for h in halo)


def _along(config: NetConfig, axis: int) -> NetConfig:
    """Describe a narrow network that does along its first axis what a network does along `axis`, and no more."""
    ones = (1,) * (config.dims - 1)
    return replace(
        config,
        in_channels=1,
        out_channels=1,
        base=1,
        max_channels=2,
        padding="same",
        deep_supervision=False,
        strides=tuple((config.stride(level)[axis], *ones) for level in range(config.depth)),
        kernels=tuple((config.kernel(level)[axis], *ones) for level in range(config.depth + 1)),
    )


@cache
def _reach(net: str, config: NetConfig) -> int | None:
    """Find the farthest voxel that an output sees along the first axis, from the block of the grid that it is in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # In float64 no library takes short cuts (Winograd) that spread what is not a number farther than it is seen.
        network = build(net, config).eval().double()
    step = config.multiple()[0]
    for blocks in LENGTHS:
        length, middle = blocks * max(step, 8), blocks // 2 * max(step, 8)
        places = range(middle, middle + 2 * step)
        x = torch.zeros(len(places), 1, length, *(1,) * (config.dims - 1), dtype=torch.float64)
        for row, place in zip(x, places, strict=True):
            row[:, place] = torch.nan
        seen = _run(network, x).isnan()
        if not bool(seen[:, [0, -1]].any()):
            # One block farther everything has to be the same: windows may be laid from where the tile begins.
            if not torch.equal(seen[:step].roll(step, 1), seen[step:]):
                return None
            return max(_beyond(row, place, step) for row, place in zip(seen, places, strict=True))
    return None


@torch.inference_mode()
def _run(network: nn.Module, x: Tensor) -> Tensor:
    """Compute the first output of (N, 1, length, 1...) along its axis: (N, length)."""
    return network(x)[:, 0].flatten(1)  # type: ignore[no-any-return]  # torch's modules return Any


def _beyond(seen: Tensor, place: int, step: int) -> int:
    """Give how far a place lies outside of the blocks of the outputs that see it."""
    voxels: list[int] = seen.nonzero().flatten().tolist()
    if not voxels:
        return 0
    first, last = voxels[0] // step * step, voxels[-1] // step * step
    return max(0, last - place, place - (first + step - 1))
