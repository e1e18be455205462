"""Models on disk: what is saved is loaded; what was changed, cut or made to run code is refused."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.files import sha256
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.store import models
from napari_unet.core.store.models import Model, initial_model, load_model, save_model
from napari_unet.core.store.spec import CARD_FILE, SPEC_FILE, WEIGHTS_FILE
from tests.core.phantoms import tiny_spec

MODEL = initial_model(tiny_spec(title="Tiny nuclei", scores={"AP": 0.8123}), seed=3)


@pytest.fixture
def folder(tmp_path):
    """Save a model."""
    save_model(MODEL, tmp_path / "tiny")
    return tmp_path / "tiny"


def rewrite(folder, weights=None, **spec):
    """Change a saved model as somebody would who knows that there is a SHA-256."""
    if weights is not None:
        (folder / WEIGHTS_FILE).write_bytes(weights)
        spec["weights_sha256"] = sha256(weights)
    values = json.loads((folder / SPEC_FILE).read_text()) | spec
    (folder / SPEC_FILE).write_text(json.dumps(values))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_model_when_saved_and_loaded_then_is_the_same(folder):
    loaded = load_model(folder)
    assert same(loaded.weights, MODEL.weights)
    assert loaded.spec.to_json() == replace(MODEL.spec, weights_sha256=loaded.spec.weights_sha256).to_json()
    x = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(loaded.build()(x), MODEL.build()(x), rtol=0, atol=0)
    assert sorted(p.name for p in folder.iterdir()) == sorted([SPEC_FILE, WEIGHTS_FILE, CARD_FILE])


def test_model_when_saved_in_half_precision_then_is_half_the_size_and_nearly_the_same(folder, tmp_path):
    save_model(MODEL, tmp_path / "half", half=True)
    sizes = [(path / WEIGHTS_FILE).stat().st_size for path in (tmp_path / "half", folder)]
    assert sizes[0] < 0.65 * sizes[1]
    half = load_model(tmp_path / "half").weights
    assert all(torch.allclose(half[k].float(), MODEL.weights[k].float(), atol=1e-3) for k in half)
    assert {v.dtype for v in half.values()} == {v.dtype for v in MODEL.weights.values()}


def test_card_when_read_by_a_person_then_tells_what_the_model_is(folder):
    card = (folder / CARD_FILE).read_text()
    assert card.startswith("# Tiny nuclei")
    for words in ("single objects", "2D, 1 channel", "16 px median diameter", "trained from scratch", "| AP | 0.812 |"):
        assert words in card


def test_initial_model_when_the_seed_is_the_same_then_so_are_the_weights():
    state = torch.random.get_rng_state()
    assert same(initial_model(MODEL.spec, 3).weights, MODEL.weights)
    assert not same(initial_model(MODEL.spec, 4).weights, MODEL.weights)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's random numbers change


def test_build_when_the_network_is_trained_then_the_model_keeps_its_weights():
    before = {k: v.clone() for k, v in MODEL.weights.items()}
    with torch.no_grad():
        for value in MODEL.build().parameters():
            value.add_(1)
    assert same(MODEL.weights, before)


# --- saving ---


def test_save_when_a_model_stands_there_then_is_refused_and_left_alone(folder):
    before = (folder / WEIGHTS_FILE).read_bytes()
    with pytest.raises(UserError, match="exists already"):
        save_model(initial_model(MODEL.spec, 9), folder)
    assert (folder / WEIGHTS_FILE).read_bytes() == before


def test_save_when_told_to_overwrite_then_replaces_the_whole_model(folder):
    other = initial_model(replace(MODEL.spec, title="Another"), 9)
    save_model(other, folder, overwrite=True)
    assert same(load_model(folder).weights, other.weights)
    assert [p.name for p in folder.parent.iterdir() if p.name != "napari-unet-home"] == ["tiny"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_save_when_it_breaks_off_then_leaves_what_was_there(tmp_path, monkeypatch, overwrite):
    folder = tmp_path / "tiny"
    if overwrite:
        save_model(MODEL, folder)
    write, calls = models.write_atomic, []

    def break_off(path, data):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(models, "write_atomic", break_off)
    with pytest.raises(OSError, match="No space"):
        save_model(initial_model(MODEL.spec, 9), folder, overwrite=overwrite)
    assert list(tmp_path.iterdir()) == [folder] * overwrite
    if overwrite:
        assert same(load_model(folder).weights, MODEL.weights)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_save_when_weights_are_not_finite_then_is_refused(tmp_path, value):
    weights = {k: v.clone() for k, v in MODEL.weights.items()}
    weights["head.bias"][0] = value
    with pytest.raises(UserError, match="not numbers"):
        save_model(Model(MODEL.spec, weights), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


# --- loading what is not whole ---


@pytest.mark.parametrize("name", [SPEC_FILE, WEIGHTS_FILE])
def test_load_when_a_file_is_missing_then_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(ReadError):
        load_model(folder)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_load_when_the_weights_are_cut_or_changed_then_is_refused(folder, data):
    path = folder / WEIGHTS_FILE
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]]))
    path.write_bytes(change)
    try:
        with pytest.raises(ReadError, match="changed or cut short"):
            load_model(folder)
    finally:
        path.write_bytes(whole)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_load_when_the_header_is_changed_with_the_right_digest_then_is_refused_or_fits(folder, data):
    whole = safetensors.torch.save(MODEL.weights)
    at = data.draw(st.integers(0, int.from_bytes(whole[:8], "little") + 8))
    rewrite(folder, whole[:at] + data.draw(st.binary(min_size=1, max_size=3)) + whole[at + 1 :])
    try:
        loaded = load_model(folder)
    except UserError:
        return
    assert {k: v.shape for k, v in loaded.weights.items()} == {k: v.shape for k, v in MODEL.weights.items()}


class Payload:
    """Make a folder when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_load_when_the_weights_carry_a_payload_then_it_does_not_run(folder, tmp_path, how):
    trap = tmp_path / "executed"
    if how == "pickle":
        data = pickle.dumps(Payload(trap))
    else:
        torch.save({"head.bias": Payload(trap)}, tmp_path / "w.pt")
        data = (tmp_path / "w.pt").read_bytes()
    rewrite(folder, data)
    with pytest.raises(ReadError):
        load_model(folder)
    assert not trap.exists()


# --- loading what does not fit together ---


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w | {"extra.weight": torch.zeros(3)},
        lambda w: {k: v for k, v in w.items() if k != "head.bias"},
        lambda w: w | {"head.bias": torch.zeros(5)},
        lambda w: {},
    ],
    ids=["extra", "missing", "shape", "empty"],
)
def test_load_when_weights_do_not_fit_the_network_then_is_refused(folder, change):
    rewrite(folder, safetensors.torch.save(change(MODEL.weights)))
    with pytest.raises(UserError, match="do not fit its network"):
        load_model(folder)


GIANT = NetConfig(out_channels=4, depth=7, base=256, max_channels=None).to_dict()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"net_config": GIANT}, "do not fit its network"),  # 75 GB, were it built
        ({"net_config": GIANT | {"base": 10**9}}, "base"),
        ({"net_config": {"dims": 2, "magic": 1}}, "cannot be built"),
        ({"net": "os.system"}, "no network"),
        ({"channels": 3, "colour": "repeat"}, "does not fit its description"),
        ({"dims": 3}, "does not fit its description"),
        ({"target": "semantic", "classes": ["a"]}, "does not fit its description"),
        ({"decode": {"foreground": 7}}, "decode settings"),
        ({"decode": {"magic": 7}}, "decode settings"),
        ({"normalisation": {"kind": "magic"}}, "normalisation"),
        ({"normalisation": {"low": "a"}}, "cannot be used"),
        ({"normalisation": {"magic": 1}}, "cannot be used"),
    ],
)
def test_load_when_the_description_is_changed_then_is_refused(folder, changes, words):
    rewrite(folder, **changes)
    with pytest.raises(UserError, match=words) as caught:
        load_model(folder)
    assert caught.value.hint
