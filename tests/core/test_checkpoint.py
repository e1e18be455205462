"""Checkpoints: all of a training's state, on disk whole or not at all, and never code."""

from __future__ import annotations

import os
import pickle

import pytest
import safetensors.torch
import torch

from napari_unet.core.base.errors import ReadError
from napari_unet.core.nets import build
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import checkpoint
from napari_unet.core.pipeline.checkpoint import CHECKPOINT_FILE, TrainState, load_checkpoint, save_checkpoint
from napari_unet.core.pipeline.optimise import Plateau


def state_after(steps, seed=0, base=2, origin="mine"):
    """Train a network on noise for some steps."""
    torch.manual_seed(seed)
    net = build("unet", NetConfig(base=base, depth=1)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        net(torch.randn(2, 1, 8, 8, generator=generator)).square().mean().backward()
        optimizer.step()
    mean = {k: v.detach().clone() for k, v in net.state_dict().items()}
    best = {k: 2 * v for k, v in mean.items()} if steps else {}
    numbers = (steps, 1.5 * steps, 0.25 * steps, steps, 1, 2, 3, 0.5, 0.75 * steps)
    plateau, scaler = Plateau(0.5**steps, 0.1 * steps, steps), torch.amp.GradScaler("cpu", init_scale=2.0**steps)
    return TrainState(net, mean, optimizer, generator, best, origin, *numbers, plateau, scaler)


def facts(state):
    return {name: getattr(state, name) for name in (*checkpoint._NUMBERS, "plateau")} | state.scaler.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_checkpoint_when_saved_and_loaded_then_nothing_is_lost(tmp_path):
    saved, loaded = state_after(3), state_after(0, seed=1)
    save_checkpoint(saved, tmp_path)
    assert load_checkpoint(loaded, tmp_path)
    assert same(loaded.net.state_dict(), saved.net.state_dict())
    assert same(loaded.mean, saved.mean)
    assert same(loaded.best, saved.best)
    assert facts(loaded) == facts(saved)
    assert torch.equal(loaded.generator.get_state(), saved.generator.get_state())
    ours, theirs = (state.optimizer.state_dict()["state"] for state in (loaded, saved))
    for number, one in ours.items():
        other = theirs[number]
        assert same(one, other)
        assert one["exp_avg"].stride() == other["exp_avg"].stride()  # fused AdamW reads memory in order


def test_checkpoint_when_saved_and_loaded_then_dropout_goes_on(tmp_path):
    with torch.random.fork_rng(devices=[]):
        state = state_after(1)
        save_checkpoint(state, tmp_path)
        wanted = torch.rand(3)
        load_checkpoint(state, tmp_path)
        assert torch.equal(torch.rand(3), wanted)


def test_load_when_there_is_none_then_the_state_is_as_it_was(tmp_path):
    state = state_after(2)
    before = facts(state)
    assert not load_checkpoint(state, tmp_path)
    assert facts(state) == before


def test_load_when_it_is_that_of_another_training_then_the_state_is_as_it_was(tmp_path):
    save_checkpoint(state_after(3, origin="another"), tmp_path)
    state = state_after(0)
    before = {k: v.clone() for k, v in state.net.state_dict().items()}
    assert not load_checkpoint(state, tmp_path)
    assert same(state.net.state_dict(), before)
    assert state.step == 0


def whole(tmp_path):
    return save_checkpoint(state_after(2), tmp_path).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-7],
        lambda data: data[:50],
        lambda data: b"",
        lambda data: b"not a checkpoint" * 100,
        lambda data: safetensors.torch.save({"generator": torch.zeros(3)}),
        lambda data: safetensors.torch.save({"generator": torch.zeros(3)}, {"numbers": "{"}),
        lambda data: safetensors.torch.save({"generator": torch.zeros(3)}, {"numbers": "{}"}),
    ],
    ids=["cut", "cut in the header", "empty", "text", "no numbers", "no JSON", "no network"],
)
def test_load_when_it_is_damaged_then_says_what_to_remove(tmp_path, change):
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(change(whole(tmp_path)))
    with pytest.raises(ReadError, match=CHECKPOINT_FILE) as caught:
        load_checkpoint(state_after(0), tmp_path)
    assert "Remove" in caught.value.hint


def test_load_when_it_is_that_of_another_network_then_is_refused(tmp_path):
    save_checkpoint(state_after(1, base=3), tmp_path)
    with pytest.raises(ReadError, match="cannot be used"):
        load_checkpoint(state_after(0), tmp_path)


class Payload:
    """Make a folder when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_load_when_it_carries_a_payload_then_it_does_not_run(tmp_path):
    (tmp_path / CHECKPOINT_FILE).write_bytes(pickle.dumps(Payload(tmp_path / "executed")))
    with pytest.raises(ReadError):
        load_checkpoint(state_after(0), tmp_path)
    assert not (tmp_path / "executed").exists()


def test_save_when_the_disk_refuses_then_the_old_one_stays(tmp_path, monkeypatch):
    before = whole(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(state_after(3), tmp_path)
    assert (tmp_path / CHECKPOINT_FILE).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1 + (tmp_path / "napari-unet-home").exists()
