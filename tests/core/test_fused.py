"""The network as it is rewritten for a processor: faster, and the same numbers."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_unet.core.base.catalogue import NETS
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import fused
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.fused import HalvingPool, JoinedConv, RectifiedConv, fuse, post_ops_work
from tests.core.phantoms import lived_in
from tests.core.test_nets import configs


@given(configs(), st.integers(0, 100))
def test_fuse_when_the_network_is_any_unet_then_output_stays(config, seed):
    net = lived_in(config, seed).double()
    size = [3 * m for m in config.multiple()]
    x = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.inference_mode():
        expected = net(x)
        torch.testing.assert_close(fuse(copy.deepcopy(net), config)(x), expected)


@pytest.mark.parametrize("with_post_ops", [True, False])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETS)
def test_engine_when_the_network_is_any_then_agrees_to_a_hundred_thousandth(name, dims, with_post_ops, monkeypatch):
    if not with_post_ops:
        monkeypatch.setattr(fused, "post_ops_work", lambda dims, dtype: False)
    net = lived_in(NetConfig(dims=dims, base=4, depth=2), net=name)
    x = torch.rand(1, 1, *(8, 12, 12)[-dims:], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = copy.deepcopy(net).double()(x.double())
    found = Engine(net, net.config, net=name, device="cpu", precision="fp32")(x)
    assert (found - exact).abs().max() <= 1e-5 * (exact.std() + exact.abs().mean())


@pytest.mark.parametrize("dims", [2, 3])
def test_fuse_when_voxels_are_repeated_then_neither_joins_nor_rectifies_nor_pools_apart(dims):
    config = NetConfig(dims=dims, base=4, depth=2, norm="none")
    kinds = [type(m) for m in fuse(lived_in(config), config).modules()]
    assert kinds.count(JoinedConv) == kinds.count(HalvingPool) == 2
    assert kinds.count(RectifiedConv) == 2 * 5 - 2
    assert not {nn.ReLU, nn.MaxPool2d, nn.MaxPool3d} & set(kinds)


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (1, 2, 2)])
def test_halving_pool_when_an_axis_is_odd_then_gives_what_max_pooling_gives(stride):
    x = torch.randn(2, 3, *(5, 6, 7)[-len(stride) :])
    plain = nn.functional.max_pool2d if len(stride) == 2 else nn.functional.max_pool3d
    assert torch.equal(HalvingPool(stride)(x), plain(x, stride))


def test_post_ops_work_when_torch_lacks_them_or_computes_something_else_then_they_are_not_used(monkeypatch):
    monkeypatch.setattr(fused, "convolve_rectified", lambda conv, x: conv(x))
    assert not post_ops_work.__wrapped__(2, torch.float32)

    def missing(conv, x):
        raise AttributeError

    monkeypatch.setattr(fused, "convolve_rectified", missing)
    assert not post_ops_work.__wrapped__(2, torch.float32)
    assert not post_ops_work.__wrapped__(2, torch.float64)
