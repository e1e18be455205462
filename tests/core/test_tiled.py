"""Tiles: as if the network had run on the whole at once, whatever the shape, and whatever the memory."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base import memory
from napari_unet.core.base.catalogue import NETS
from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.tiles import round_up
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import fits, tiled
from napari_unet.core.pipeline.blend import blend, plan_axis
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.grid import plan_jobs, read_mirrored
from napari_unet.core.pipeline.halo import exact_halo
from napari_unet.core.pipeline.reuse import constant_values
from napari_unet.core.pipeline.segment import BLENDED, segment
from napari_unet.core.pipeline.tiled import default_tile, run_tiled
from napari_unet.core.store.models import initial_model
from tests.core.phantoms import blobs, lived_in, tiny_spec

DEEP = NetConfig(base=2, depth=2)
KINDS = {
    "2D": DEEP,
    "one convolution": NetConfig(base=2, depth=3, convs=1, up="transpose"),
    "valid": NetConfig(base=2, depth=2, padding="valid", norm="none", up="transpose"),
    "deep valid": NetConfig(base=2, depth=3, padding="valid", norm="none"),
    "3D": NetConfig(dims=3, base=2, depth=1),
    "3D valid": NetConfig(dims=3, base=2, depth=1, padding="valid", norm="none"),
    "3D anisotropic": NetConfig(
        dims=3, base=2, depth=2, strides=((1, 2, 2), (2, 2, 2)), kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3))
    ),
}


class Double:
    """An engine that computes in float64, so that only true differences are seen."""

    def __init__(self, config, seed=0, net="unet"):
        self.net, self.config, self.device, self.dtype = net, config, torch.device("cpu"), torch.float64
        self.notes = []
        self.network = lived_in(config, seed, net).double()
        self.halo = exact_halo(net, config)

    @torch.inference_mode()
    def __call__(self, batch):
        return self.network(batch.double())


def run(engine, volume, **options):
    """Collect the logits, and check that each voxel is handed over exactly once."""
    out = np.full((engine.config.out_channels, *volume.shape[1:]), np.nan, np.float64)

    def write(box, logits):
        assert np.isnan(out[(slice(None), *box)]).all()
        out[(slice(None), *box)] = logits.numpy()

    run_tiled(engine, volume, write, **options)
    assert not np.isnan(out).any()
    return out


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random((1, *shape), dtype=np.float32)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_tiled_when_the_halo_is_exact_then_equals_the_untiled(kind, data):
    config = KINDS[kind]
    limits = (20, 150) if config.dims == 2 else (4, 40)
    shape = tuple(data.draw(st.integers(*limits), label="shape") for _ in range(config.dims))
    tile = data.draw(st.integers(8, 64), label="tile")
    engine, volume = Double(config), noise(*shape)
    whole = run(engine, volume, tile=10_000)
    np.testing.assert_allclose(run(engine, volume, tile=tile), whole, atol=1e-10)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("net", NETS)
def test_tiled_when_the_network_is_any_then_an_odd_shape_is_covered_and_exact_where_it_can_be(net, dims):
    engine = Double(NetConfig(dims=dims, base=2, depth=2 if dims == 2 else 1), net=net)
    volume = noise(*(10, 71, 50)[-dims:])
    whole, found = run(engine, volume, tile=10_000), run(engine, volume, tile=16)
    if engine.halo is None:
        assert net in ("trans-unet", "swin-unet")
        assert np.abs(found - whole).mean() < 0.5 * whole.std()
    else:
        np.testing.assert_allclose(found, whole, atol=1e-10)


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_tiled_when_the_norm_sees_the_whole_image_then_tiles_are_blended_unless_there_is_only_one(norm):
    engine, volume = Double(NetConfig(base=2, depth=2, norm=norm)), noise(90, 70)
    outputs = {}
    for tile in (96, 32):
        kept = np.zeros((1, 90, 70))

        def write(box, logits, kept=kept):
            kept[(slice(None), *box)] = logits.numpy()

        assert run_tiled(engine, volume, write, tile=tile) == (tile == 32)
        outputs[tile] = kept
    with torch.inference_mode():
        padded = torch.from_numpy(np.pad(volume, ((0, 0), (0, 2), (0, 2)), mode="reflect"))[None]
        np.testing.assert_allclose(outputs[96], engine(padded)[0, :, :90, :70].numpy(), atol=1e-10)
    assert 0 < np.abs(outputs[32] - outputs[96]).mean() < 0.5 * outputs[96].std()


def test_tiled_when_the_exact_context_is_giant_then_tiles_are_blended(monkeypatch):
    monkeypatch.setattr(tiled, "TILE", {2: 20})
    assert max(Double(DEEP).halo) > 20
    assert run_tiled(Double(DEEP), noise(64, 64), lambda box, logits: None, tile=32)


@pytest.mark.parametrize(("norm", "is_told"), [("group", True), ("batch", False)])
def test_segment_when_tiles_are_blended_then_the_user_is_told(norm, is_told):
    config = NetConfig(out_channels=4, base=2, depth=1, norm=norm)
    model = initial_model(tiny_spec(net_config=config.to_dict()))
    found = segment(model, blobs(shape=(70, 64)).image, SegmentOptions(tile=32, rescale="off"))
    assert (BLENDED in found.notes) == is_told


@pytest.mark.parametrize("limit", [40 * 40, 20 * 20])
def test_tiled_when_memory_runs_out_while_blending_then_tiles_get_smaller(limit):
    engine, volume = Double(NetConfig(base=2, depth=2, norm="group")), noise(50, 70)
    small = Small(engine, limit, ERRORS[0])
    assert run(small, volume, tile=128).shape == (1, 50, 70)
    assert 0 < small.failed < 5


@given(
    length=st.integers(1, 100),
    size=st.integers(1, 60),
    overlap=st.sampled_from([0.25, 0.5]),
    multiple=st.sampled_from([1, 2, 8]),
)
def test_plan_axis_when_tiles_overlap_then_all_is_covered_on_the_grid(length, size, overlap, multiple):
    axis = plan_axis(length, size, overlap, multiple)
    assert axis.starts[0] == 0
    assert length <= axis.starts[-1] + axis.size < length + multiple
    assert {n % multiple for n in (*axis.starts, axis.size)} == {0}
    assert all(0 < b - a <= max(multiple, (1 - overlap) * axis.size) for a, b in pairwise(axis.starts))
    assert (axis.total() > 0).all()


def test_blend_when_tiles_agree_then_gives_what_they_say():
    axes = (plan_axis(21, 8, 0.5, 4), plan_axis(30, 12, 0.25, 4))
    truth = torch.rand(2, 24, 32, generator=torch.Generator().manual_seed(0))
    out = torch.full((2, 21, 30), torch.nan)

    def write(box, logits):
        out[(slice(None), *box)] = logits

    blend(axes, lambda box: truth[(slice(None), *box)], write)
    torch.testing.assert_close(out, truth[:, :21, :30])


def test_tiled_when_a_trained_network_runs_in_fp32_then_equals_the_untiled_up_to_rounding(taught):
    model, _ = taught
    engine = Engine(model.build(), model.net_config, net=model.spec.net, device="cpu", precision="fp32")
    volume = blobs(3, (200, 180), n=30).image.volume()
    whole = run(engine, volume, tile=10_000)
    np.testing.assert_allclose(run(engine, volume, tile=32), whole, atol=1e-5 * whole.std(), rtol=0)
    fast = run(engine, volume, tile=32, halo="fast")
    assert np.abs(fast - whole).max() / whole.std() > 1e-5
    assert np.abs(fast - whole).mean() < 1e-3 * whole.std()


@pytest.mark.parametrize("kind", ["2D", "3D"])
def test_untiled_when_the_shape_fits_then_is_the_plain_network(kind):
    config = KINDS[kind]
    volume = noise(*(3 * m for m in config.multiple()))
    with torch.inference_mode():
        plain = lived_in(config).double()(torch.from_numpy(volume)[None].double())[0].numpy()
    np.testing.assert_allclose(run(Double(config), volume), plain, atol=1e-10)


def test_tiled_when_the_volume_is_smaller_than_one_multiple_then_works():
    assert run(Double(DEEP), noise(2, 3)).shape == (1, 2, 3)


def test_tiled_when_it_runs_then_reports_each_tile_up_to_the_whole():
    seen = []
    run(Double(DEEP), noise(64, 64), tile=32, report=seen.append)
    assert [p.fraction for p in seen] == [0.25, 0.5, 0.75, 1.0]


def test_tiled_when_cancelled_then_stops_at_the_next_tile():
    seen = []

    def cancel(progress):
        seen.append(progress)
        raise Cancelled

    with pytest.raises(Cancelled):
        run_tiled(Double(DEEP), noise(64, 64), lambda box, logits: None, tile=32, report=cancel)
    assert len(seen) == 1


# --- memory ---


class Small:
    """An engine on a device that holds no more than `limit` voxels."""

    def __init__(self, engine, limit, error):
        self.engine, self.limit, self.error = engine, limit, error
        self.net, self.config, self.halo = engine.net, engine.config, engine.halo
        self.device, self.dtype, self.notes = engine.device, engine.dtype, []
        self.failed = 0

    def lower_precision(self):
        return False

    def __call__(self, batch):
        if batch[0, 0].numel() > self.limit:
            self.failed += 1
            raise self.error
        return self.engine(batch)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(fits, "_fits", {})


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("limit", [110 * 110, 90 * 90, 64 * 64])
def test_tiled_when_memory_runs_out_then_tiles_get_smaller_and_the_result_is_the_same(error, limit):
    engine, volume = Double(DEEP), noise(150, 90)
    small = Small(engine, limit, error)
    whole = run(engine, volume, tile=10_000)
    out = np.zeros_like(whole)

    def write(box, logits):
        out[(slice(None), *box)] = logits.numpy()

    run_tiled(small, volume, write)
    np.testing.assert_allclose(out, whole, atol=1e-10)
    assert 0 < small.failed < 10


def test_tiled_when_not_even_the_smallest_tile_fits_then_says_so():
    with pytest.raises(UserError, match="too little memory") as caught:
        run(Small(Double(DEEP), 0, ERRORS[0]), noise(64, 64))
    assert caught.value.hint


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: device-side assert triggered"), ValueError("no")])
def test_tiled_when_another_error_happens_then_it_passes_through(error):
    with pytest.raises(type(error), match=str(error)):
        run(Small(Double(DEEP), 0, error), noise(64, 64))


def test_default_tile_when_memory_is_short_then_is_smaller(monkeypatch):
    config = NetConfig(base=32)
    engine = Engine(lived_in(config), config, net="unet", device="cpu", precision="fp32")
    sizes = []
    for free in (2**40, 2**32, 2**30, 2**20):
        monkeypatch.setattr(tiled, "free_bytes", lambda _, free=free: free)
        sizes.append(default_tile(engine, (9999, 9999)))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == tiled.CUT[2]
    assert sizes[-1] >= max(config.multiple())
    assert (sizes[1] + 2 * max(engine.halo)) ** 2 * config.base * 4 < 2**32


@pytest.mark.parametrize(
    ("config", "shape", "wanted"),
    [
        (NetConfig(base=4), (1000, 1000), 1024),
        (NetConfig(base=4), (9999, 9999), 512),
        (NetConfig(base=4, depth=5), (9999, 9999), 1024),
        (NetConfig(base=4, norm="instance"), (9999, 9999), 1024),
    ],
    ids=["one tile", "several", "it sees far", "blended"],
)
def test_default_tile_when_the_image_is_cut_then_is_smaller_unless_that_would_change_or_waste_more(
    config, shape, wanted, monkeypatch
):
    monkeypatch.setattr(tiled, "free_bytes", lambda _: 2**40)
    engine = Engine(lived_in(config), config, net="unet", device="cpu", precision="fp32")
    assert default_tile(engine, shape) == wanted


@pytest.mark.parametrize("shape", [(64, 512, 512), (30, 512, 512), (128, 128, 2000), (400, 400, 400)])
def test_default_tile_when_longer_tiles_compute_less_then_they_read_no_more_than_a_cube(shape, monkeypatch):
    monkeypatch.setattr(tiled, "free_bytes", lambda _: 2**40)
    engine = Engine(lived_in(config := NetConfig(dims=3, base=2)), config, net="unet", device="cpu", precision="fp32")

    def read_at_once(size):
        jobs = plan_jobs(config, shape, size, engine.halo)
        volumes = [np.prod([part.stop - part.start for part in job.read]) for job in jobs]
        return max(volumes), sum(volumes)

    usual, chosen = read_at_once(tiled.TILE[3]), read_at_once(default_tile(engine, shape))
    cube = (tiled.TILE[3] + 2 * round_up(max(engine.halo), max(config.multiple()))) ** 3
    assert chosen[0] <= cube
    assert chosen[1] < usual[1]


def test_free_bytes_when_asked_then_is_a_plausible_number():
    assert 2**20 < memory.free_bytes() < 2**50


# --- order, constant tiles, lazy arrays ---


def test_tiled_when_a_region_is_looked_at_then_its_tiles_come_first_and_each_as_soon_as_it_is_done():
    engine, log = Double(NetConfig(base=2, depth=1)), []
    look = (slice(70, 90), slice(100, 120))

    def write(box, logits):
        log.append(box)

    def report(progress):
        assert len(log) == progress.done

    run_tiled(engine, noise(128, 128), write, tile=32, first=look, report=report)
    gaps = [sum(max(0, f.start - b.stop, b.start - f.stop) ** 2 for f, b in zip(look, box, strict=True)) for box in log]
    assert gaps == sorted(gaps)
    assert gaps[0] == 0
    assert len(log) == 16


class Counted(Double):
    """An engine that counts its tiles."""

    n_calls = 0

    def __call__(self, batch):
        self.n_calls += 1
        return super().__call__(batch)


@pytest.mark.parametrize("dims", [2, 3])
def test_tiled_when_most_of_the_volume_is_one_value_then_is_the_same_with_less_work(dims):
    config = NetConfig(dims=dims, base=2, depth=1)
    volume = np.full((1, *(16, 160, 128)[-dims:]), 0.25, np.float32)
    volume[..., 20:24, 30:34] = 1
    plain, counted = Double(config), Counted(config)
    whole = run(plain, volume, tile=10_000)
    np.testing.assert_allclose(run(counted, volume, tile=16), whole, atol=1e-10)
    n_tiles = 10 * 8
    assert counted.n_calls < n_tiles / 2


def test_tiled_when_one_channel_varies_then_no_tile_counts_as_constant():
    config = NetConfig(in_channels=2, base=2, depth=1)
    volume = np.concatenate([np.zeros((1, 64, 64), np.float32), noise(64, 64)])
    counted = Counted(config)
    run(counted, volume, tile=16)
    assert counted.n_calls == 16


@pytest.mark.parametrize(
    ("tile", "values"),
    [
        (np.zeros((1, 4, 4)), (0.0,)),
        (np.stack([np.zeros((4, 4)), np.ones((4, 4))]), (0.0, 1.0)),
        (np.eye(4)[None], None),
        (np.pad(np.zeros((1, 4, 4)), ((0, 0), (0, 1), (0, 0)), constant_values=1), None),
        (np.full((1, 4, 4), np.nan), None),
    ],
)
def test_constant_values_when_a_tile_is_looked_at_then_every_voxel_counts(tile, values):
    assert constant_values(tile.astype(np.float32)) == values
    assert constant_values(np.asfortranarray(tile, np.float32)) == values


class Lazy:
    """An array that can only be sliced, as those on disk."""

    def __init__(self, array, fail_at=None):
        self.array, self.fail_at, self.n_reads = array, fail_at, 0

    @property
    def shape(self):
        return self.array.shape

    def __getitem__(self, index):
        assert all(isinstance(part, slice) for part in index)
        self.n_reads += 1
        if self.n_reads == self.fail_at:
            raise OSError("the disk is gone")
        return self.array[index]


@pytest.mark.parametrize("kind", ["2D", "valid", "3D"])
def test_tiled_when_the_volume_is_lazy_then_is_read_box_by_box_and_gives_the_same(kind):
    config = KINDS[kind]
    volume = noise(*(61, 50) if config.dims == 2 else (9, 20, 31))
    lazy = Lazy(volume)
    np.testing.assert_array_equal(run(Double(config), lazy, tile=16), run(Double(config), volume, tile=16))
    assert lazy.n_reads > 1


def test_tiled_when_the_network_works_on_a_tile_then_the_next_one_is_read_before_it_is_waited_for():
    log = []

    class Logged(Lazy):
        def __getitem__(self, index):
            log.append("read")
            return super().__getitem__(index)

    run_tiled(Double(NetConfig(base=2, depth=1)), Logged(noise(128, 32)), lambda *_: log.append("write"), tile=32)
    assert log == ["read", "read", "write", "read", "write", "read", "write", "write"]


@pytest.mark.parametrize("at_fault", ["reader", "network", "writer", "report"])
def test_tiled_when_something_fails_midway_then_it_is_raised_at_once(at_fault):
    error = Cancelled() if at_fault == "report" else OSError("the disk is gone")
    engine, log = Counted(DEEP), []

    def fail_third(name):
        log.append(name)
        if name == at_fault and log.count(name) == 3:
            raise error

    class Failing(Counted):
        def __call__(self, batch):
            fail_third("network")
            return super().__call__(batch)

    engine = Failing(DEEP)
    with pytest.raises(type(error)):
        run_tiled(
            engine,
            Lazy(noise(128, 128), 3 if at_fault == "reader" else None),
            lambda *_: fail_third("writer"),
            tile=16,
            report=lambda _: fail_third("report"),
        )
    assert engine.n_calls <= 3  # of 64 tiles


def test_tiled_when_memory_runs_out_on_a_lazy_volume_then_tiles_get_smaller():
    engine, volume = Double(DEEP), noise(150, 90)
    small = Small(engine, 90 * 90, ERRORS[0])
    np.testing.assert_allclose(run(small, Lazy(volume)), run(engine, volume, tile=10_000), atol=1e-10)
    assert small.failed


@given(
    length=st.integers(1, 12),
    start=st.integers(-30, 20),
    size=st.integers(1, 40),
)
def test_read_mirrored_when_a_box_reaches_beyond_then_is_what_numpy_pads(length, start, size):
    volume = np.arange(length, dtype=np.float32)[None]
    before, after = max(0, -start), max(0, start + size - length)
    padded = np.pad(volume, ((0, 0), (before, after)), mode="reflect" if length > 1 else "edge")
    found = read_mirrored(Lazy(volume), (slice(start, start + size),))
    np.testing.assert_array_equal(found, padded[:, start + before : start + before + size])


# --- growth ---


def n_alive():
    """Count tensors and threads."""
    gc.collect()
    tensors = sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())
    return tensors, threading.active_count()


def test_tiled_when_run_again_and_again_then_nothing_is_left_behind():
    network, volume = lived_in(DEEP), noise(40, 40)
    volume[:, :20] = 0

    def once():
        engine = Engine(network, DEEP, net="unet", device="cpu", precision="fp32")
        run_tiled(engine, volume, lambda box, logits: None, tile=16)
        run_tiled(engine, Lazy(volume), lambda box, logits: None, tile=16)

    once()
    before = n_alive()
    tracemalloc.start()
    try:
        once()
        first = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            once()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - first
    finally:
        tracemalloc.stop()
    assert n_alive() == before
    assert grown < 10 * volume.nbytes  # less than one small image a run
