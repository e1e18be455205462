"""Memory that runs out: what is given up, in which order, and that it is told."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch

from napari_unet.core.base.errors import UserError
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import fits, ladder, tiled
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.ladder import cpu_seconds, step_down
from napari_unet.core.pipeline.tiled import default_tile, run_tiled
from tests.core.phantoms import lived_in

CONFIG = NetConfig(base=4, depth=1)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(fits, "_fits", {})


class Short(Engine):
    """An engine on a pretended device that holds `limit(device, dtype)` voxels; it computes on the processor."""

    def __init__(self, limit, device="cpu", config=CONFIG, precision="fp32"):
        super().__init__(lived_in(config), config, net="unet", device="cpu", precision=precision)
        self.limit, self.pretended, self.seen = limit, device, []

    @property
    def device(self):
        return torch.device(self.pretended)

    @device.setter
    def device(self, device):
        self.pretended = "cpu"

    def __call__(self, batch):
        self.seen.append((batch.shape[-1], self.pretended, self.dtype))
        if batch[0, 0].numel() > self.limit(self.pretended, self.dtype):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().__call__(batch)


@pytest.fixture
def small_tiles(monkeypatch):
    """Let tiles be halved down to 16 px before anything else is given up."""
    monkeypatch.setattr(ladder, "SMALL", {2: 16, 3: 8})


def segment(engine, volume, **options):
    out = np.full(volume.shape, np.nan, np.float32)

    def write(box, logits):
        out[(slice(None), *box)] = logits.numpy()

    run_tiled(engine, volume, write, **options)
    assert not np.isnan(out).any()
    return out


@pytest.fixture
def volume():
    return np.random.default_rng(0).random((1, 70, 60), dtype=np.float32)


@pytest.fixture
def truth(volume):
    return segment(Engine(lived_in(CONFIG), CONFIG, net="unet", device="cpu", precision="fp32"), volume)


def test_ladder_when_a_smaller_tile_fits_then_the_result_is_the_same_and_is_told(small_tiles, volume, truth):
    engine, seen = Short(lambda *_: 50 * 50), []
    found = segment(engine, volume, report=seen.append)
    np.testing.assert_allclose(found, truth, atol=1e-5)
    assert engine.dtype == torch.float32
    assert engine.notes == ["Memory was short: the image was cut into tiles of 48 px."]
    assert any(one.message == engine.notes[0] for one in seen)
    assert seen[-1].fraction == 1.0


def test_ladder_when_only_half_precision_fits_then_is_lowered_and_told(small_tiles, volume, truth):
    engine = Short(lambda _, dtype: 50 * 50 if dtype == torch.bfloat16 else 0)
    found = segment(engine, volume)
    assert ((found > 0) == (truth > 0)).mean() > 0.97
    assert 0 < np.abs(found - truth).max() < 0.2 * truth.std()
    assert "half precision" in engine.notes[-1]


def test_ladder_when_the_gpu_is_too_small_then_asks_with_a_time_and_goes_on_on_the_cpu(
    monkeypatch, small_tiles, volume, truth
):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(ladder, "flop_per_second", lambda: 1e6)
    for module in (ladder, tiled):
        monkeypatch.setattr(module, "free_bytes", lambda _: 2**33)
    engine, asked = Short(lambda device, _: 10**9 if device == "cpu" else 0, "mps"), []

    def ask(seconds):
        asked.append(seconds)
        return True

    np.testing.assert_allclose(segment(engine, volume, may_use_cpu=ask), truth, atol=1e-5)
    assert len(asked) == 1
    assert asked[0] == pytest.approx(cpu_seconds("unet", CONFIG, 70 * 60))
    assert engine.notes[-1].endswith("ran on the CPU.")
    assert engine.seen[-1] == (60, "cpu", torch.float32)  # as precise as was asked for, and a tile as large as before


def test_ladder_when_the_cpu_is_refused_then_tries_the_smallest_tiles_and_says_what_is_missing(monkeypatch, volume):
    monkeypatch.setattr(ladder, "free_bytes", lambda _: 2**31)
    engine = Short(lambda *_: 0, "mps")
    with pytest.raises(UserError, match=r"tile of 3 px \(2.0 GiB free\)") as caught:
        segment(engine, volume, may_use_cpu=lambda _: False)
    assert "CPU" in caught.value.hint
    assert {device for _, device, _ in engine.seen} == {"mps"}


def test_step_down_when_tiles_are_large_then_they_are_halved_before_anything_else():
    engine = Short(lambda *_: 0)
    assert [step_down(engine, tile, 1) for tile in (1024, 512, 256)] == [512, 256, 128]
    assert engine.dtype == torch.float32
    assert step_down(engine, 128, 1) == 128
    assert engine.dtype == torch.bfloat16
    assert step_down(engine, 128, 1) == 64


def test_ladder_when_the_tensors_of_the_failed_tile_are_looked_for_then_nothing_holds_them(small_tiles, volume):
    alive = []

    class Watched(Short):
        def __call__(self, batch):
            alive.append(sum(ref() is not None for ref in refs))
            refs.append(weakref.ref(batch))
            return super().__call__(batch)

    refs = []
    segment(Watched(lambda *_: 50 * 50), volume)
    assert len(alive) > 4
    assert max(alive[:3]) == 0


def test_default_tile_when_a_smaller_one_fitted_then_starts_there_for_this_network_only(small_tiles, volume):
    engine = Short(lambda *_: 50 * 50)
    segment(engine, volume)
    again = Short(lambda *_: 50 * 50)
    before = default_tile(again, (70, 60))
    segment(again, volume)
    assert before == 48
    assert again.notes == []
    other = NetConfig(base=4, depth=2)
    assert default_tile(Short(lambda *_: 0, config=other), (70, 60)) == tiled.TILE[2]


def test_remembered_tile_when_the_program_starts_again_then_is_known_from_the_disk(monkeypatch):
    engine, other = Short(lambda *_: 0), Short(lambda *_: 0, config=NetConfig(base=4, depth=2))
    fits.remember_tile(engine, 256)
    fits.remember_tile(other, 128)
    monkeypatch.setattr(fits, "_fits", {})
    assert (fits.remembered_tile(engine), fits.remembered_tile(other)) == (256, 128)
    assert fits.remembered_tile(Short(lambda *_: 0, device="cuda")) is None


def test_remembered_tile_when_more_memory_is_free_than_then_the_usual_tiles_are_tried_again(monkeypatch):
    engine = Short(lambda *_: 0)
    monkeypatch.setattr(fits, "free_bytes", lambda device: 2**30)
    fits.remember_tile(engine, 256)
    assert fits.remembered_tile(engine) == 256
    monkeypatch.setattr(fits, "free_bytes", lambda device: 2**31)
    assert fits.remembered_tile(engine) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": 1}', b'{"a": [1, "x"]}', bytes(range(256))])
def test_remembered_tile_when_the_file_is_damaged_then_is_ignored_and_written_anew(content, models_home, monkeypatch):
    engine = Short(lambda *_: 0)
    file = models_home / "cache" / "tiles.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert fits.remembered_tile(engine) is None
    fits.remember_tile(engine, 64)
    monkeypatch.setattr(fits, "_fits", {})
    assert fits.remembered_tile(engine) == 64


def test_remember_tile_when_the_disk_refuses_then_is_known_until_the_program_ends(models_home):
    models_home.mkdir(exist_ok=True)
    (models_home / "cache").write_text("a file where the folder should be")
    engine = Short(lambda *_: 0)
    fits.remember_tile(engine, 64)
    assert fits.remembered_tile(engine) == 64


@pytest.mark.parametrize(("dtype", "precision"), [(torch.bfloat16, "bf16"), (torch.float32, "fp32")])
def test_lower_precision_when_it_is_half_already_then_says_that_it_cannot(dtype, precision):
    engine = Engine(lived_in(CONFIG), CONFIG, net="unet", device="cpu", precision=precision)
    assert engine.lower_precision() is (dtype == torch.float32)
    assert engine.dtype == torch.bfloat16
    assert engine(torch.rand(1, 1, 8, 8)).dtype == torch.float32


def test_cpu_seconds_when_the_image_is_larger_then_grows_with_it(monkeypatch):
    monkeypatch.setattr(ladder, "flop_per_second", lambda: 1e9)
    one = cpu_seconds("unet", CONFIG, 10**6)
    assert one > 0
    assert cpu_seconds("unet", CONFIG, 4 * 10**6) == pytest.approx(4 * one)
