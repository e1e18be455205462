"""The region to correct next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.app.annotations import accept, checked_box, mark_done, start
from napari_unet.app.suggest import FEWEST, MOST, Places, suggest_region
from napari_unet.app.suggest_places import SuggestRequest, find_places, look_for_region
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import silent
from tests.app.strategies import boxes

EDGE = 200


def scattered(n: int, seed: int, shape: tuple[int, ...] = (EDGE, EDGE), *, has_time: bool = False) -> Places:
    """Scatter objects of a few voxels."""
    rng = np.random.default_rng(seed)
    low = np.stack([rng.integers(0, edge - 4, n) if edge > 4 else rng.integers(0, edge, n) for edge in shape], axis=1)
    high = np.minimum(low + rng.integers(1, 5, low.shape), shape)
    if has_time:
        high[:, 0] = low[:, 0] + 1
    return Places(np.arange(1, n + 1), np.prod(high - low, axis=1), low, high, has_time)


def inside(places: Places, box) -> np.ndarray:
    low, high = [part.start for part in box], [part.stop - 1 for part in box]
    return ((places.centres >= low) & (places.centres <= high)).all(axis=1)


def overlap(one, other) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


@given(
    st.integers(0, 60),
    st.integers(0, 1 << 16),
    st.sampled_from([(60, 50), (12, 50, 60), (3, 60, 50)]),
    st.booleans(),
    st.data(),
)
@settings(deadline=None, max_examples=150)
def test_region_when_there_are_any_objects_then_it_holds_one_to_judge_and_no_finished_voxel(
    n, seed, shape, sized, data
):
    has_time = shape[0] == 3
    places = scattered(n, seed, shape, has_time=has_time)
    reviewed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    done = tuple(data.draw(boxes(shape)) for _ in range(data.draw(st.integers(0, 2))))
    voxel_size = (1.0, 0.2, 0.3)[-(len(shape) - has_time) :] if sized else None
    sure = {1: 0.1, 2: 0.9} if data.draw(st.booleans()) else {}
    earlier = []
    for _ in range(4):
        found = suggest_region(
            places, shape, reviewed=reviewed, confidence=sure, voxel_size=voxel_size, done=done, earlier=earlier
        )
        if found is None:
            break
        assert checked_box(found.box, shape) == found.box
        held = inside(places, found.box)
        assert (held.sum(), (held & ~reviewed).sum()) == (found.n_objects, found.n_open)
        assert 1 <= found.n_open <= found.n_objects <= MOST
        assert not any(overlap(found.box, box) for box in done)
        assert not has_time or found.box[0].stop - found.box[0].start == 1
        earlier.append(found.box)
    if not n or reviewed.all():
        assert not earlier


@given(st.integers(300, 500), st.integers(0, 1 << 16))
@settings(deadline=None, max_examples=25)
def test_regions_when_there_is_room_then_they_hold_ten_to_twenty_objects_and_do_not_overlap(n, seed):
    places = scattered(n, seed)
    earlier = []
    for turn in range(6):
        found = suggest_region(places, (EDGE, EDGE), reviewed=np.zeros(n, bool), earlier=earlier)
        assert FEWEST <= found.n_objects <= MOST
        assert not any(overlap(found.box, box) for box in earlier)
        assert found.by_lot == (turn % 3 == 2)
        earlier.append(found.box)


def test_region_when_objects_stand_in_rows_then_it_still_holds_ten_to_twenty():
    low = np.stack(np.meshgrid(*[np.arange(5, 195, 10)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    places = Places(np.arange(1, len(low) + 1), np.full(len(low), 16), low, low + 4)
    found = suggest_region(places, (EDGE, EDGE), reviewed=np.zeros(len(low), bool))
    assert FEWEST <= found.n_objects <= MOST


def test_region_when_the_model_doubts_a_corner_then_it_is_there_but_not_when_drawn_by_lot():
    places = scattered(400, 3)
    sure = {i: 0.2 if (c < 60).all() else 0.95 for i, c in zip(places.ids.tolist(), places.centres, strict=True)}
    reviewed = np.zeros(400, bool)
    found = suggest_region(places, (EDGE, EDGE), reviewed=reviewed, confidence=sure)
    assert (places.centres[inside(places, found.box)] < 60).all(axis=1).mean() > 0.6
    far = [(slice(a, a + 1), slice(0, 1)) for a in (0, 1)]
    lots = [
        suggest_region(places, (EDGE, EDGE), reviewed=reviewed, confidence=known, earlier=far).box
        for known in (sure, {i: 1 - v for i, v in sure.items()})
    ]
    assert lots[0] == lots[1]


def test_region_when_nothing_is_known_then_unusual_sizes_draw_it():
    places = scattered(400, 5)
    sizes = np.where((places.centres > 140).all(axis=1), 900, 20)
    odd = Places(places.ids, sizes, places.low, places.high)
    found = suggest_region(odd, (EDGE, EDGE), reviewed=np.zeros(400, bool))
    assert (sizes[inside(odd, found.box)] == 900).mean() > 0.5


def test_region_when_voxels_are_long_in_z_then_it_is_equally_long_in_micrometres():
    places = scattered(3000, 1, (50, EDGE, EDGE))
    found = suggest_region(places, (50, EDGE, EDGE), reviewed=np.zeros(3000, bool), voxel_size=(4.0, 1.0, 1.0))
    z, y, x = (part.stop - part.start for part in found.box)
    assert 4 * z == pytest.approx(min(y, x), rel=0.35)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_places_when_found_block_by_block_then_they_are_those_of_the_whole(data):
    has_time = data.draw(st.booleans())
    shape = data.draw(st.sampled_from([(3, 6, 5), (2, 1, 9), (3, 7, 700)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    labels = rng.choice([0, 0, 3, 7, 1 << 40], shape)
    found = find_places(labels, silent, has_time=has_time)
    expected = []
    for one in np.unique(labels[labels > 0]):
        for frame in range(shape[0]) if has_time else [slice(None)]:
            where = np.argwhere(
                (labels == one) & (np.arange(shape[0]) == frame)[:, None, None] if has_time else labels == one
            )
            if len(where):
                expected.append((one, len(where), *where.min(axis=0), *(where.max(axis=0) + 1)))
    rows = np.column_stack([found.ids, found.sizes, found.low, found.high])
    assert sorted(map(tuple, rows.tolist())) == sorted(tuple(map(int, row)) for row in expected)


def test_job_when_all_is_reviewed_or_there_is_nothing_then_it_says_so():
    labels = np.zeros((40, 40), np.int32)
    with pytest.raises(UserError, match="no objects yet"):
        look_for_region(SuggestRequest(labels, start(labels), "YX"), silent, bool)
    labels[3:6, 3:6], labels[20:25, 20:25] = 1, 2
    c = mark_done(accept(start(labels), [1]), (slice(15, 40), slice(15, 40)))
    with pytest.raises(UserError, match="has been reviewed"):
        look_for_region(SuggestRequest(labels, c, "YX"), silent, bool)
    with pytest.raises(UserError, match="classes"):
        look_for_region(SuggestRequest(labels, start(labels, semantic=True), "YX"), silent, bool)
    found = look_for_region(SuggestRequest(labels, accept(start(labels), [1]), "YX", confidence={2: 0.4}), silent, bool)
    assert (found.n_objects, found.n_open) == (2, 1)
