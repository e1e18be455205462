"""Tiles cover each voxel once, agree with the pooling grid and see their true neighbours."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.core.base.tiles import bounding_box, full_box, grow, joined, plan_tiles, round_up, shift
from tests.app.strategies import boxes


@st.composite
def plans(draw):
    dims = draw(st.integers(2, 3))
    multiple = tuple(draw(st.sampled_from([1, 2, 4, 8])) for _ in range(dims))
    shape = tuple(m * draw(st.integers(1, 7)) for m in multiple)
    tile = tuple(draw(st.integers(1, 40)) for _ in range(dims))
    halo = tuple(draw(st.integers(0, 20)) for _ in range(dims))
    return shape, tile, halo, multiple


@given(plans())
def test_plan_tiles_when_given_any_volume_then_each_voxel_is_written_once(plan):
    shape, *_ = plan
    written = np.zeros(shape, int)
    for tile in plan_tiles(*plan):
        assert written[tile.core].size
        written[tile.core] += 1
    assert (written == 1).all()


@given(plans())
def test_plan_tiles_when_given_any_halo_then_each_tile_sees_it_where_the_volume_has_it(plan):
    shape, tile_size, halo, multiple = plan
    volume = np.arange(np.prod(shape)).reshape(shape)
    for tile in plan_tiles(*plan):
        np.testing.assert_array_equal(volume[tile.read][tile.inner], volume[tile.core])
        for axis, (core, read) in enumerate(zip(tile.core, tile.read, strict=True)):
            assert core.start - read.start >= min(halo[axis], core.start)
            assert read.stop - core.stop >= min(halo[axis], shape[axis] - core.stop)
            assert read.start % multiple[axis] == read.stop % multiple[axis] == core.start % multiple[axis] == 0
            with_halo = max(tile_size[axis], multiple[axis]) + 2 * round_up(halo[axis], multiple[axis])
            assert read.stop - read.start <= with_halo


@given(plans())
def test_plan_tiles_when_tiles_do_not_divide_the_volume_then_all_of_them_read_equally_much(plan):
    tiles = plan_tiles(*plan)
    assert len({tuple(part.stop - part.start for part in tile.read) for tile in tiles}) == 1


def test_grow_when_the_box_reaches_the_edge_then_is_cut_there():
    assert grow((slice(2, 4), slice(5, 8)), (3, 1), (10, 8)) == (slice(0, 7), slice(4, 8))


def test_shift_when_there_and_back_then_gives_the_box():
    box = (slice(2, 4), slice(5, 8))
    assert shift(shift(box, (7, -3)), (-7, 3)) == box


@given(st.integers(0, 1000), st.integers(1, 64))
def test_round_up_when_given_any_value_then_is_the_next_multiple(value, multiple):
    rounded = round_up(value, multiple)
    assert rounded % multiple == 0
    assert 0 <= rounded - value < multiple


def test_full_box_when_used_as_an_index_then_gives_everything():
    volume = np.zeros((3, 4))
    assert volume[full_box(volume.shape)].shape == (3, 4)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=5))
def test_bounding_box_when_voxels_are_set_then_is_the_smallest_that_holds_them(voxels):
    mask = np.zeros((7, 9), bool)
    for voxel in voxels:
        mask[voxel] = True
    inside = mask[bounding_box(mask)]
    assert inside.sum() == mask.sum()
    for axis in range(inside.ndim if inside.size else 0):
        edges = inside.take([0, -1], axis=axis)
        assert edges.any(axis=1 - axis).all()


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_joined_when_a_box_was_cut_into_slices_then_it_is_whole_again(data):
    box = data.draw(boxes((5, 6, 7)))
    axis = data.draw(st.integers(0, 2))
    slices = [(*box[:axis], slice(at, at + 1), *box[axis + 1 :]) for at in range(box[axis].start, box[axis].stop)]
    assert joined(data.draw(st.permutations(slices))) == [box]


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_joined_when_any_boxes_are_joined_then_they_cover_the_same(data):
    some = [data.draw(boxes((5, 4))) for _ in range(data.draw(st.integers(0, 4)))]
    before, after = np.zeros((5, 4), bool), np.zeros((5, 4), bool)
    for box in some:
        before[box] = True
    for box in joined(some):
        after[box] = True
    assert np.array_equal(before, after)
    assert len(joined(some)) <= len(some)
