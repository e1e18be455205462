"""OpenVINO: the same numbers as torch, and one sentence where it cannot be used."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from napari_unet.core.base.catalogue import ENGINES, look_up
from napari_unet.core.base.errors import UserError
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import openvino_engine
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.openvino_engine import OpenVinoEngine
from napari_unet.core.pipeline.tiled import run_tiled
from tests.core.phantoms import lived_in

CONFIGS = {2: NetConfig(base=4, depth=2), 3: NetConfig(dims=3, base=2, depth=1)}


def make(engine, config, precision="fp32", net="unet", **options):
    return look_up(ENGINES, engine, "engine")(
        lived_in(config, net=net), config, net=net, precision=precision, **options
    )


@pytest.fixture
def _installed():
    pytest.importorskip("openvino", reason="the optional extra openvino is not installed")


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("dims", [2, 3])
def test_openvino_when_an_image_of_any_size_is_run_then_agrees_with_torch(dims):
    config = CONFIGS[dims]
    ours, theirs = make("torch", config, device="cpu"), make("openvino", config)
    for size in (16, 24):
        image = torch.rand(1, 1, *(size, 32, size)[-dims:], generator=torch.Generator().manual_seed(size))
        torch.testing.assert_close(theirs(image), ours(image), atol=1e-4, rtol=1e-4)
    assert theirs.halo == ours.halo


@pytest.mark.usefixtures("_installed")
def test_openvino_when_precision_is_lowered_then_is_close_and_only_once():
    config = CONFIGS[2]
    engine, image = make("openvino", config), torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    exact = engine(image)
    assert engine.lower_precision()
    half = engine(image)
    assert half.dtype == torch.float32
    assert (half - exact).abs().mean() < 0.05 * exact.std()
    assert engine.dtype == torch.bfloat16
    assert not engine.lower_precision()
    assert engine.device.type == "cpu"


@pytest.mark.usefixtures("_installed")
def test_openvino_when_tiles_are_run_then_results_are_not_overwritten_by_the_next():
    config, volume = CONFIGS[2], np.random.default_rng(0).random((1, 90, 70), dtype=np.float32)
    outputs = {}
    for name in ("torch", "openvino"):
        kept = []
        run_tiled(make(name, config), volume, lambda box, logits, kept=kept: kept.append((box, logits)), tile=32)
        outputs[name] = kept
    for (box, ours), (other, theirs) in zip(outputs["torch"], outputs["openvino"], strict=True):
        assert box == other
        torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("_installed")
def test_openvino_when_the_same_weights_come_again_then_they_are_not_compiled_again(monkeypatch):
    made = []
    compile_network = openvino_engine.compile_network

    def counted(*arguments):
        made.append(arguments)
        return compile_network(*arguments)

    monkeypatch.setattr(openvino_engine, "compile_network", counted)
    monkeypatch.setattr(openvino_engine, "_compiled", {})
    config = NetConfig(base=2, depth=1)
    for seed in (0, 0, 1):
        OpenVinoEngine(lived_in(config, seed), config, net="unet", precision="fp32")
    assert len(made) == 2


@pytest.mark.usefixtures("_installed")
def test_openvino_when_the_network_is_tied_to_a_size_then_says_so():
    with pytest.raises(UserError, match="trans-unet") as caught:
        make("openvino", NetConfig(base=4, depth=2), net="trans-unet")
    assert "torch" in caught.value.hint


@pytest.mark.usefixtures("_installed")
def test_openvino_when_a_gpu_is_asked_for_then_says_so():
    with pytest.raises(UserError, match="CPU"):
        make("openvino", CONFIGS[2], device="cuda")


def test_openvino_when_missing_then_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match="not installed") as caught:
        make("openvino", CONFIGS[2])
    assert "napari-unet[openvino]" in caught.value.hint


def test_engines_when_looked_up_then_torch_is_the_plain_one():
    assert isinstance(make("torch", CONFIGS[2], device="cpu"), Engine)
