"""The context of tiles: measured, and neither too small nor larger than it has to be."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base.tiles import round_up
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.halo import exact_halo, fast_halo
from tests.core.phantoms import lived_in
from tests.core.test_nets import configs

SEES_ALL = {"trans-unet", "swin-unet"}
"""Attention looks at the whole image, and windows lie where the tile begins."""


def derived(config, axis, level=0, needed=0):
    """Follow a U-Net back from `needed` voxels around an output at `level` to the level's input."""
    convs = config.convs * (config.kernel(level)[axis] // 2)
    if level == config.depth:
        return needed + convs
    stride = config.stride(level)[axis]
    joined = needed + convs
    deeper = derived(config, axis, level + 1, ceil(joined / stride)) * stride
    return max(joined, deeper) + convs


@given(configs())
def test_exact_halo_of_unets_when_measured_then_is_the_derived_one(config):
    # Linear interpolation sees one voxel more, and other blocks have other convolutions.
    config = replace(config, norm="batch", block="plain", up="transpose" if config.up == "linear" else config.up)
    assert exact_halo("unet", config) == tuple(derived(config, axis) for axis in range(config.dims))


@pytest.mark.parametrize(("depth", "halo"), [(1, 8), (2, 24), (3, 48), (4, 96), (5, 192)])
def test_exact_halo_when_rounded_to_the_pooling_grid_then_is_the_known_one(depth, halo):
    # 6 * 2**d - 4 is the margin of the classic network, 92 for 572 -> 388; its tiles lie off the pooling grid. A tile
    # on the grid needs up to two voxels more, and in whole multiples 48 for three and 96 for four poolings.
    (found, _), (multiple, _) = exact_halo("unet", NetConfig(depth=depth)), NetConfig(depth=depth).multiple()
    assert round_up(found, multiple) == halo
    assert 6 * 2**depth - 4 <= found <= 6 * 2**depth - 2
    assert fast_halo((found,)) == (found // 2,)


def test_exact_halo_when_an_axis_is_never_pooled_then_it_needs_less():
    coarse = NetConfig(dims=3, depth=2, strides=((1, 2, 2),) * 2, kernels=((1, 3, 3), (1, 3, 3), (3, 3, 3)))
    assert exact_halo("unet", coarse) == (2, 22, 22)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("net", sorted(SEES_ALL))
def test_exact_halo_when_there_is_attention_then_is_none(net, dims):
    assert exact_halo(net, NetConfig(dims=dims, depth=1)) is None
    assert exact_halo(net, NetConfig(dims=dims, depth=3)) is None


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_exact_halo_when_the_norm_sees_the_whole_image_then_is_none(norm):
    assert exact_halo("unet", NetConfig(norm=norm)) is None


@pytest.mark.parametrize("up", ["nearest", "linear"])
@pytest.mark.parametrize("net", ["attention-unet", "unet-plus-plus", "res-unet", "residual-encoder-unet", "dense-unet"])
@given(data=st.data())
def test_exact_halo_when_a_voxel_lies_farther_from_a_tile_then_it_changes_nothing_there(net, up, data):
    config = NetConfig(depth=2, base=2, up=up, blocks=(1, 1, 2))
    (halo, _), step = exact_halo(net, config), config.multiple()[0]
    length = round_up(2 * halo + 2 * step, step)
    here = data.draw(st.integers(0, length - 1))
    network = lived_in(config, net=net)
    x = torch.randn(1, 1, length, step, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, :, here] += 10
    with torch.inference_mode():
        moved = (network(changed) != network(x))[0, 0].any(1).nonzero().flatten()
    for start in {voxel // step * step for voxel in moved.tolist()}:
        assert start - halo <= here < start + step + halo
