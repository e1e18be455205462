"""Networks: the contract of every entry of the catalogue, and what a configuration may ask for."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.core.base.catalogue import NETS
from napari_unet.core.base.errors import UserError
from napari_unet.core.nets import PRESETS, build, preset
from napari_unet.core.nets.config import CHOICES, LIMITS, NetConfig
from napari_unet.core.store.models import Model, load_model, save_model
from tests.core.phantoms import lived_in, tiny_spec


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

    @pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
    def test_forward_when_the_image_has_any_number_of_channels_then_all_of_them_count(self, name, dims, channels):
        net = lived_in(self.config(dims, in_channels=channels), net=name)
        x = torch.randn(1, channels, *(8,) * dims, generator=torch.Generator().manual_seed(0), requires_grad=True)
        net(x).square().sum().backward()
        assert (x.grad.abs().flatten(2).sum(2) > 0).all()

    def test_outputs_when_supervised_deeply_then_begin_with_the_finest_and_all_learn(self, name, dims):
        net = lived_in(self.config(dims, depth=3, deep_supervision=True), net=name)
        x = torch.randn(1, 2, *(16,) * dims, generator=torch.Generator().manual_seed(0))
        found = net.outputs(x)
        torch.testing.assert_close(found[0], net(x))
        assert len(found) == 3
        for coarser in found:
            assert coarser.shape[:2] == (1, 3)
            assert {whole % n for whole, n in zip(x.shape[2:], coarser.shape[2:], strict=True)} == {0}
        sum(one.square().mean() for one in found).backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
        assert len(build(name, self.config(dims)).outputs(x)) == 1

    def test_export_when_traced_then_gives_the_same(self, name, dims):
        net = lived_in(self.config(dims, depth=1, base=2), net=name)
        x = torch.randn(1, 2, *(8,) * dims, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            torch.testing.assert_close(torch.export.export(net, (x,)).module()(x), net(x))

    def test_save_when_loaded_again_then_is_the_same_network(self, name, dims, tmp_path):
        config = self.config(dims, out_channels=2 + dims, norm="batch-renorm", deep_supervision=True)
        net = lived_in(config, net=name)
        spec = tiny_spec(dims=dims, net=name, net_config=config.to_dict(), channels=2, colour="exact")
        save_model(Model(spec, net.state_dict()), tmp_path / "model")
        x = torch.randn(1, 2, *(8,) * dims, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            torch.testing.assert_close(load_model(tmp_path / "model").build()(x), net(x), atol=0, rtol=0)

    @pytest.mark.parametrize("norm", ["batch-renorm", "instance", "group", "none"])
    def test_backward_when_the_norm_is_another_then_gradients_are_finite(self, name, dims, norm):
        net = build(name, self.config(dims, norm=norm, up="linear"))
        net(torch.randn(2, 2, *(8,) * dims, generator=torch.Generator().manual_seed(0))).square().mean().backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


@pytest.mark.parametrize("name", sorted(NETS.keys() - {"unet"}))
def test_build_when_there_shall_be_no_padding_then_only_the_unet_does_it(name):
    with pytest.raises(UserError, match="needs padding") as caught:
        build(name, NetConfig(padding="valid"))
    assert "unet" in caught.value.hint


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
        norm=draw(st.sampled_from(CHOICES["norm"])),
        up=draw(st.sampled_from(CHOICES["up"])),
        block=draw(st.sampled_from(CHOICES["block"])),
        deep_supervision=draw(st.booleans()),
        blocks=draw(st.sampled_from([(), tuple(range(1, depth + 2))])),
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
        {"block": "wooden"},
        {"deep_supervision": 2},
        {"blocks": (1, 2)},
        {"blocks": (0,) * 5},
        {"blocks": (13,) * 5},
        {"blocks": ["x"] * 5},
        {"padding": "valid", "deep_supervision": True},
        {"padding": "valid", "block": "residual"},
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


def test_unet_when_it_changes_inside_then_its_weights_keep_the_names_that_models_on_disk_have():
    names = build("unet", NetConfig(depth=1, base=1)).state_dict().keys()
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    blocks = ("encoder.0", "encoder.1", "decoder.0")
    convs = [f"{block}.{index}.weight" for block in blocks for index in (0, 3)]
    norms = [f"{block}.{index}.{part}" for block in blocks for index in (1, 4) for part in norm]
    assert names == {*convs, *norms, "head.weight", "head.bias"}


def test_config_when_an_older_version_wrote_it_then_means_what_it_meant():
    new = {"block", "deep_supervision", "blocks"}
    old = {name: value for name, value in NetConfig(base=8).to_dict().items() if name not in new}
    assert NetConfig.from_dict(old) == NetConfig(base=8)


def test_build_when_the_name_is_unknown_then_lists_the_networks():
    with pytest.raises(UserError, match="'vnet'") as caught:
        build("vnet", NetConfig())
    assert "unet" in caught.value.hint


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [*PRESETS, *NETS])
def test_preset_when_fitted_to_the_data_then_builds_or_says_what_it_is_for(name, dims):
    if name in ("classic-2015", "unet3d-2016") and PRESETS[name][1].dims != dims:
        with pytest.raises(UserError, match="is for"):
            preset(name, dims=dims, in_channels=2, out_channels=5)
        return
    net, config = preset(name, dims=dims, in_channels=2, out_channels=5)
    assert (config.dims, config.in_channels, config.out_channels) == (dims, 2, 5)
    with torch.device("meta"):
        assert build(net, config).head.out_channels == 5


def test_preset_when_the_name_is_unknown_then_lists_the_presets():
    with pytest.raises(UserError, match="'huge'") as caught:
        preset("huge", dims=2, in_channels=1, out_channels=1)
    assert "accurate" in caught.value.hint
