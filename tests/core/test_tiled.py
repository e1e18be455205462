"""Tiles: as if the network had run on the whole at once, whatever the shape, and whatever the memory."""

from __future__ import annotations

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
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import tiled
from napari_unet.core.pipeline.blend import blend, plan_axis
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.halo import exact_halo
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
        self.config, self.device, self.dtype = config, torch.device("cpu"), torch.float64
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
        self.config, self.device, self.dtype, self.halo = engine.config, engine.device, engine.dtype, engine.halo
        self.failed = 0

    def __call__(self, batch):
        if batch[0, 0].numel() > self.limit:
            self.failed += 1
            raise self.error
        return self.engine(batch)


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
    assert sizes[0] == 1024
    assert sizes[-1] >= max(config.multiple())
    assert (sizes[1] + 2 * max(engine.halo)) ** 2 * config.base * 4 < 2**32


def test_free_bytes_when_asked_then_is_a_plausible_number():
    assert 2**20 < memory.free_bytes() < 2**50
