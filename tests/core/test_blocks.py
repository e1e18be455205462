"""Decoding block by block gives what decoding at once gives, whatever the blocks."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.core.base.errors import UserError
from napari_unet.core.pipeline.blocks import BLOCKWISE, decode_blocks
from napari_unet.core.targets import TARGETS, DecodeSettings
from napari_unet.core.targets.blockwise import Channels
from napari_unet.core.targets.instances_blocks import smooth_distance
from napari_unet.core.targets.merging import plan_blocks, surround
from tests.core.phantoms import balls

SETTINGS = DecodeSettings(min_size=5)


def in_blocks(maps, settings, sampling, block, target="instances", **options):
    """Decode in blocks; every voxel has to be written once."""
    out = np.full(maps.shape[1:], -1, np.int32)

    def write(box, labels):
        assert (out[box] == -1).all()
        out[box] = labels

    decode_blocks(maps, settings, sampling, write, block=block, target=target, **options)
    return out


def stored(maps, dtype):
    """Keep maps as a type of number."""
    scale = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (maps * scale).astype(dtype)


@st.composite
def fields(draw):
    """Give maps of all sorts: noise, few steps (plateaus and exact ties), saturated ones, smooth hills."""
    dims = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1, 44 if dims == 2 else 18)) for _ in range(dims))
    block = tuple(draw(st.integers(1, 15)) for _ in range(dims))
    n_maps = draw(st.integers(2, 4))
    maps = np.random.default_rng(draw(st.integers(0, 10_000))).random((n_maps, *shape))
    kind = draw(st.sampled_from(["noise", "steps", "saturated", "hills"]))
    if kind == "steps":
        maps = np.round(3 * maps) / 3
    elif kind == "saturated":
        maps = (maps > 0.2).astype(float)
    elif kind == "hills":
        maps = np.clip(0.5 + 4 * (ndimage.gaussian_filter(maps, (0, *(1.5,) * dims)) - 0.5), 0, 1)
    return stored(maps, draw(st.sampled_from(["float16", "float32", "uint8", "uint16"]))), block


decodings = st.builds(
    DecodeSettings,
    foreground=st.sampled_from([0.2, 0.5, 0.6]),
    seed=st.sampled_from([0.1, 0.45, 0.7]),
    split=st.sampled_from([0.01, 0.1, 0.4]),
    min_size=st.integers(0, 9),
    smooth=st.sampled_from([0.0, 0.6, 1.0, 2.5]),
)


@pytest.mark.parametrize("target", BLOCKWISE)
@given(field=fields(), settings=decodings, steps=st.tuples(*[st.sampled_from([1.0, 2.0, 3.5])] * 3))
def test_decode_blocks_when_maps_and_blocks_are_any_then_gives_what_the_whole_gives(target, field, settings, steps):
    maps, block = field
    sampling = steps[: len(block)]
    expected = TARGETS[target].decode(maps, settings, sampling)
    np.testing.assert_array_equal(in_blocks(maps, settings, sampling, block, target), expected)


@given(fields(), st.sampled_from([0.4, 1.0, 2.7]))
def test_smoothing_when_a_block_is_read_with_its_margin_then_is_equal_to_the_bit(field, sigma):
    (maps, block), settings = field, DecodeSettings(smooth=sigma)
    distance = stored(maps[1], np.float32)
    sampling = (1.0,) * distance.ndim
    whole = smooth_distance(distance, settings, sampling)
    for box in plan_blocks(distance.shape, block):
        tile = surround(box, (round(4 * sigma),) * len(box), distance.shape)
        part = smooth_distance(distance[tile.read], settings, sampling)[tile.inner]
        np.testing.assert_array_equal(part.view(np.int32), whole[box].view(np.int32))


@pytest.mark.parametrize("block", [(9, 7), (1, 64), (64, 1), (64, 64)])
def test_decode_blocks_when_one_object_winds_through_all_blocks_then_is_one(block):
    labels = np.zeros((64, 64), np.int32)
    for row in range(2, 62, 12):  # a snake: bars, joined left and right in turn
        labels[row : row + 7, 2:62] = 1
        end = slice(2, 9) if row % 24 == 2 else slice(55, 62)
        labels[row : row + 13, end][: 62 - row] = 1
    height = np.where(labels, 0.9 + 0.1 * np.indices(labels.shape).sum(0) / 128, 0)
    found = in_blocks(np.stack([labels, height]), SETTINGS, (1.0, 1.0), block)
    np.testing.assert_array_equal(found, labels)


def test_decode_blocks_when_a_part_reaches_the_size_only_across_blocks_then_is_kept():
    classes = np.zeros((3, 12, 12), np.float32)
    classes[1, 3:5, 1:11], classes[2, 8, 1:11] = 1, 1  # 20 voxels in five blocks, 10 voxels
    classes[0] = 1 - classes[1:].max(0)
    found = in_blocks(classes, DecodeSettings(min_size=20), (1.0, 1.0), (4, 3), "semantic")
    np.testing.assert_array_equal(found, classes[1])


def test_decode_blocks_when_facts_and_blocks_travel_between_processes_then_the_result_is_the_same():
    labels, depth = balls((60, 60), 12, 6.0, gap=-1.0)
    maps = np.stack([labels > 0, depth]).astype(np.float32)

    def run(function, *items):
        for one in zip(*items, strict=True):
            yield pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(function))(*pickle.loads(pickle.dumps(one)))))

    expected = TARGETS["instances"].decode(maps, SETTINGS, (1.0, 1.0))
    np.testing.assert_array_equal(in_blocks(maps, SETTINGS, (1.0, 1.0), (16, 25), run=run), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_decode_blocks_when_maps_are_on_disk_then_gives_the_objects(tmp_path, dtype):
    zarr = pytest.importorskip("zarr")
    labels, depth = balls((20, 40, 40), 8, 7.0)
    maps = zarr.create_array(tmp_path / "maps.zarr", shape=(2, *labels.shape), chunks=(2, 10, 16, 16), dtype=dtype)
    maps[:] = stored(np.stack([labels > 0, depth]), dtype)
    found = in_blocks(maps, DecodeSettings(foreground=0.5), (1.0,) * 3, (10, 16, 16))
    pairs = set(zip(labels.ravel().tolist(), found.ravel().tolist(), strict=True))
    assert len(pairs) == labels.max() + 1 == found.max() + 1


def test_decode_blocks_when_each_map_has_its_own_array_then_gives_what_the_whole_gives():
    maps = np.random.default_rng(0).random((2, 30, 30))
    apart = Channels((stored(maps[0], "uint8"), stored(maps[1], "uint16")))
    settings = DecodeSettings(foreground=0.3, seed=0.2, split=0.1, min_size=0)
    expected = TARGETS["instances"].decode(apart[(slice(None),) * 3], settings, (1.0, 1.0))
    assert expected.max() > 5
    np.testing.assert_array_equal(in_blocks(apart, settings, (1.0, 1.0), (8, 11)), expected)


@pytest.mark.parametrize("target", BLOCKWISE)
def test_decode_blocks_when_interrupted_then_goes_on_where_it_was(target):
    labels, depth = balls((50, 50), 10, 6.0)
    maps = np.stack([1 - depth, depth] if target == "semantic" else [labels > 0, depth]).astype(np.float32)
    expected = TARGETS[target].decode(maps, SETTINGS, (1.0, 1.0))
    out, done = np.zeros((50, 50), np.int32), []

    class Stop(Exception):
        pass

    def write(box, part):
        out[box] = part
        done.append(box)

    def stop(progress):
        if progress.fraction > 0.7:
            raise Stop

    with pytest.raises(Stop):
        decode_blocks(maps, SETTINGS, (1.0, 1.0), write, block=(20, 20), target=target, report=stop)
    n_before = len(done)
    assert 0 < n_before < 9
    decode_blocks(
        maps, SETTINGS, (1.0, 1.0), write, block=(20, 20), target=target, is_done=lambda box: box in done[:n_before]
    )
    assert len(done) == 9
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("min_size", [0, 5])
def test_decode_blocks_when_told_of_progress_then_it_ends_with_all_of_it(min_size):
    seen = []
    maps = np.random.default_rng(0).random((3, 20, 20))
    in_blocks(maps, DecodeSettings(min_size=min_size), (1.0, 1.0), (8, 8), "semantic", report=seen.append)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert (len(fractions), fractions[-1]) == (18, 1.0)


@dataclass(frozen=True)
class Endless:
    """Maps that are made where they are read: discs on a grid, some of them across each face of the blocks."""

    shape: tuple[int, ...]

    def __getitem__(self, index):
        grid = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in index[1:]), indexing="ij"))
        depth = np.clip(1 - np.hypot(*((grid + 13) % 30 - 15)) / 13, 0, 1)
        return np.stack([depth > 0, depth]).astype(np.float32)


def test_decode_blocks_when_the_image_grows_then_memory_hardly_does():
    peaks, counts = [], []
    for edge in (240, 720):
        tracemalloc.start()
        n = decode_blocks(Endless((2, edge, edge)), SETTINGS, (1.0, 1.0), lambda *_: None, block=(120, 120))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        counts.append(n)
    assert counts == [81, 625]
    assert peaks[1] - peaks[0] < 1.0 * (720**2 - 240**2)  # bytes; the labels alone would need four for each voxel


def test_decode_blocks_when_the_volume_is_empty_then_writes_nothing():
    assert in_blocks(np.zeros((2, 0, 5)), SETTINGS, (1.0, 1.0), (4, 4)).shape == (0, 5)


@pytest.mark.parametrize("block", [(4,), (4, 4, 4), (0, 4)])
def test_decode_blocks_when_blocks_do_not_fit_then_says_so(block):
    with pytest.raises(UserError, match="do not fit"):
        in_blocks(np.zeros((2, 8, 8)), SETTINGS, (1.0, 1.0), block)


def test_decode_blocks_when_a_target_has_no_blocks_then_lists_those_that_have():
    with pytest.raises(UserError, match="'restoration'") as caught:
        in_blocks(np.zeros((2, 8, 8)), SETTINGS, (1.0, 1.0), (4, 4), "restoration")
    assert "instances" in caught.value.hint


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=3))
def test_plan_blocks_when_the_volume_is_any_then_each_voxel_is_in_one_block(axes):
    shape, block = zip(*axes, strict=True)
    count = np.zeros(shape, int)
    for box in plan_blocks(shape, block):
        count[box] += 1
        assert all(s.start % b == 0 for s, b in zip(box, block, strict=True))
    assert (count == 1).all()
