"""The engine: faster, and the same numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_unet.core.base.catalogue import NETS
from napari_unet.core.nets import preset
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.engine import Engine, fold_norms, valid_size
from tests.core.phantoms import lived_in
from tests.core.test_nets import configs


@given(configs(), st.integers(0, 100))
def test_fold_norms_when_the_norms_have_seen_data_then_output_stays(config, seed):
    net = lived_in(config, seed)
    x = torch.randn(1, 1, *(2 * m for m in config.multiple()), generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        before = net(x)
        folded = fold_norms(net)
        torch.testing.assert_close(folded(x), before, atol=2e-5 * float(before.std() + 1), rtol=1e-4)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in folded.modules())


@pytest.mark.parametrize("dims", [2, 3])
def test_engine_when_made_then_leaves_the_network_alone_and_agrees_with_it(dims):
    net = lived_in(NetConfig(dims=dims, base=4, depth=2))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    x = torch.rand(2, 1, *(16,) * dims)
    out = Engine(net, net.config, net="unet", device="cpu", precision="fp32")(x)
    torch.testing.assert_close(out, net(x), atol=1e-5, rtol=1e-4)
    assert before.keys() == net.state_dict().keys()
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not out.requires_grad


def test_engine_when_asked_for_bf16_then_is_close_and_gives_float32():
    net = lived_in(NetConfig(base=8, depth=2))
    x = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    exact, half = (Engine(net, net.config, net="unet", device="cpu", precision=p)(x) for p in ("fp32", "bf16"))
    assert half.dtype == torch.float32
    assert (half - exact).abs().mean() < 0.05 * exact.std()
    assert not torch.equal(half, exact)


def test_engine_when_the_network_is_in_training_mode_then_still_uses_running_statistics():
    net = lived_in(NetConfig(base=4, depth=1))
    x = torch.rand(1, 1, 8, 8)
    expected = net(x)
    torch.testing.assert_close(Engine(net.train(), net.config, net="unet", device="cpu", precision="fp32")(x), expected)


@pytest.mark.parametrize("norm", ["batch", "batch-renorm"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETS)
def test_fold_norms_when_the_network_is_any_then_output_stays(name, dims, norm):
    net = lived_in(NetConfig(dims=dims, base=4, depth=2, norm=norm), net=name).double()
    x = torch.rand(1, 1, *(8, 12, 12)[-dims:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.inference_mode():
        before = net(x)
        n_norms = sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules())
        folded = fold_norms(net)
        torch.testing.assert_close(folded(x), before)
    left = [m for m in folded.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    # Only those of a ResUNet that come before their convolution are left.
    assert len(left) <= (n_norms // 2 if name == "res-unet" else 0)


@pytest.mark.parametrize(
    ("name", "dims", "wanted", "pair"),
    [
        ("classic-2015", 2, 388, (572, 388)),
        ("classic-2015", 2, 373, (572, 388)),
        ("classic-2015", 2, 389, (588, 404)),
        ("unet3d-2016", 3, 44, (132, 44)),
        ("unet3d-2016", 3, 28, (116, 28)),
    ],
)
def test_valid_size_when_asked_for_an_output_then_gives_the_papers_sizes(name, dims, wanted, pair):
    config = preset(name, dims=dims, in_channels=1, out_channels=1)[1]
    assert valid_size(config, 0, wanted) == pair
