"""Networks: the papers' numbers, the contract of every entry of NETS, and what a configuration may ask for."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.core.base.catalogue import NETS
from napari_unet.core.base.errors import UserError
from napari_unet.core.nets import PRESETS, build, preset
from napari_unet.core.nets.config import LIMITS, NetConfig


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.fixture
def without_memory():
    """Compute shapes only, so that the papers' full networks fit into a test."""
    with torch.device("meta"):
        yield


@pytest.mark.usefixtures("without_memory")
def test_classic_2015_when_built_then_has_the_sizes_of_the_paper():
    # Ronneberger 2015, figure 1: 572 -> 388, 1024 channels at the bottom; 31,030,658 is the sum over its layers.
    net = build(*preset("classic-2015", dims=2, in_channels=1, out_channels=2))
    assert n_parameters(net) == 31_030_658
    assert net(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)


@pytest.mark.usefixtures("without_memory")
def test_unet3d_2016_when_built_then_has_the_sizes_of_the_paper():
    # Cicek 2016, section 3: 132 x 132 x 116 voxels in, 44 x 44 x 28 out, 19,069,955 parameters (which biases
    # stand beside batch norms is not told).
    net = build(*preset("unet3d-2016", dims=3, in_channels=3, out_channels=3))
    assert n_parameters(net) == pytest.approx(19_069_955, rel=1e-3)
    assert net(torch.empty(1, 3, 116, 132, 132)).shape == (1, 3, 28, 44, 44)


def test_valid_padding_when_run_for_real_then_skips_are_cropped_to_fit():
    net = build("unet", NetConfig(base=2, padding="valid", norm="none", up="transpose", max_channels=None))
    assert net(torch.zeros(1, 1, 188, 204)).shape == (1, 1, 4, 20)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETS)
class TestEveryNet:
    """What the pipeline takes for granted of each network."""

    @staticmethod
    def config(dims, **changes):
        return NetConfig(**({"dims": dims, "in_channels": 2, "out_channels": 3, "base": 4, "depth": 2} | changes))

    def test_forward_when_padded_then_keeps_the_spatial_shape(self, name, dims):
        shape = (8, 12, 20)[-dims:]
        assert build(name, self.config(dims))(torch.zeros(2, 2, *shape)).shape == (2, 3, *shape)

    def test_forward_when_strides_are_anisotropic_then_keeps_the_spatial_shape(self, name, dims):
        strides, kernels = ((1, 2, 2), (2, 2, 2)), ((1, 3, 3), (3, 3, 3), (3, 3, 3))
        config = self.config(dims, strides=tuple(s[-dims:] for s in strides), kernels=tuple(k[-dims:] for k in kernels))
        assert config.multiple() == (2, 4, 4)[-dims:]
        assert build(name, config)(torch.zeros(2, 2, *(6, 8, 12)[-dims:])).shape[2:] == (6, 8, 12)[-dims:]

    def test_backward_when_called_then_every_weight_gets_a_finite_gradient(self, name, dims):
        net = build(name, self.config(dims))
        net(torch.randn(2, 2, *(8,) * dims, generator=torch.Generator().manual_seed(0))).square().mean().backward()
        for parameter in net.parameters():
            assert parameter.grad is not None
            assert torch.isfinite(parameter.grad).all()
            assert parameter.grad.abs().sum() > 0

    def test_features_when_given_to_the_head_then_are_the_output(self, name, dims):
        net = build(name, self.config(dims)).eval()
        x = torch.randn(1, 2, *(8,) * dims)
        torch.testing.assert_close(net.head(net.features(x)), net(x))


@st.composite
def configs(draw):
    dims, depth = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    table = lambda rows, allowed: tuple(  # noqa: E731
        tuple(draw(st.sampled_from(allowed)) for _ in range(dims)) for _ in range(rows)
    )
    return NetConfig(
        dims=dims,
        depth=depth,
        base=draw(st.integers(1, 3)),
        convs=draw(st.integers(1, 3)),
        max_channels=draw(st.sampled_from([None, 4])),
        norm=draw(st.sampled_from(["batch", "instance", "none"])),
        up=draw(st.sampled_from(["nearest", "transpose"])),
        strides=draw(st.sampled_from([(), table(depth, (1, 2))])),
        kernels=draw(st.sampled_from([(), table(depth + 1, (1, 3))])),
        wide_first=draw(st.booleans()),
    )


@given(configs())
def test_unet_when_configured_in_any_way_then_keeps_the_shape(config):
    shape = tuple(2 * m for m in config.multiple())
    with torch.device("meta"):
        assert build("unet", config)(torch.empty(1, 1, *shape)).shape == (1, 1, *shape)


@given(configs())
@settings(max_examples=50)
def test_config_when_written_as_json_and_read_then_is_the_same(config):
    assert NetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("field", LIMITS)
@pytest.mark.parametrize("value", [0, -1, 10**9, 2.0, "2", True, [1]])
def test_config_when_a_number_is_giant_or_none_then_is_refused(field, value):
    with pytest.raises(UserError, match=field):
        NetConfig.from_dict({field: value})


@pytest.mark.parametrize(
    "values",
    [
        {"dims": 4},
        {"padding": "reflect"},
        {"norm": "layer"},
        {"up": "magic"},
        {"wide_first": "yes"},
        {"depth": None},
        {"colour": "red"},
        {"strides": ((2, 2),)},
        {"strides": ((2, 2),) * 3 + ((2, 3),)},
        {"strides": ((2, 2, 2),) * 4},
        {"kernels": ((3, 3),) * 4},
        {"kernels": 3},
        {"strides": [[float("inf")] * 2] * 4},
        {"strides": [["x", "y"]] * 4},
    ],
)
def test_config_when_a_value_is_unknown_then_is_refused(values):
    with pytest.raises(UserError):
        NetConfig.from_dict(values)


def test_build_when_the_name_is_unknown_then_lists_the_networks():
    with pytest.raises(UserError, match="'vnet'") as caught:
        build("vnet", NetConfig())
    assert "unet" in caught.value.hint


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", PRESETS)
def test_preset_when_fitted_to_the_data_then_builds_or_says_what_it_is_for(name, dims):
    if PRESETS[name][1].dims != dims and name not in ("fast", "accurate"):
        with pytest.raises(UserError, match="is for"):
            preset(name, dims=dims, in_channels=2, out_channels=5)
        return
    net, config = preset(name, dims=dims, in_channels=2, out_channels=5)
    assert (config.dims, config.in_channels, config.out_channels) == (dims, 2, 5)
    assert n_parameters(build(net, config)) > 0


def test_preset_when_the_name_is_unknown_then_lists_the_presets():
    with pytest.raises(UserError, match="'huge'") as caught:
        preset("huge", dims=2, in_channels=1, out_channels=1)
    assert "accurate" in caught.value.hint
