"""Basins: touching objects are cut where the neck between their middles is deep enough."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.core.targets import basins
from napari_unet.core.targets.basins import split_basins
from tests.core.phantoms import balls

RIDGE = np.array([0.2, 0.5, 1.0, 0.8, 0.7, 0.75, 0.9, 0.6, 0.3, 0.4, 0.2], np.float32)
"""Peaks of 1.0, 0.9 (pass 0.7: it stands out by 0.2) and 0.4 (pass 0.3: by 0.1)."""

maps = hnp.arrays(np.float32, (14, 14), elements=st.floats(0, 1, width=16))


def ridge(seed, prominence):
    distance = np.tile(RIDGE, (3, 1))
    return split_basins(distance, np.ones(distance.shape, bool), seed=seed, prominence=prominence)[1]


@pytest.mark.parametrize(
    ("seed", "prominence", "groups"),
    [
        (0.05, 0.05, [slice(0, 5), slice(5, 8), slice(9, 11)]),
        (0.05, 0.15, [slice(0, 5), slice(5, 11)]),
        (0.05, 0.25, [slice(0, 11)]),
        (0.45, 0.05, [slice(0, 5), slice(5, 11)]),
        (0.95, 0.05, [slice(0, 11)]),
    ],
)
def test_split_when_the_passes_are_known_then_cuts_only_at_deep_ones(seed, prominence, groups):
    labels = ridge(seed, prominence)
    assert len(np.unique(labels)) == len(groups)
    for group in groups:
        assert len(np.unique(labels[group])) == 1


def test_split_when_no_peak_reaches_the_seed_then_there_is_nothing():
    assert not ridge(1.0, 0.1).any()


@given(maps, st.floats(0.05, 0.8), st.lists(st.floats(0.01, 0.5), min_size=2, max_size=2))
def test_split_when_necks_may_be_deeper_then_objects_get_fewer_and_are_unions(distance, seed, prominences):
    mask = distance > 0.1
    fine, coarse = (split_basins(distance, mask, seed=seed, prominence=p) for p in sorted(prominences))
    assert len(np.unique(coarse)) <= len(np.unique(fine))
    pairs = {(a, b) for a, b in zip(fine.ravel().tolist(), coarse.ravel().tolist(), strict=True) if a}
    assert len(pairs) == len({a for a, _ in pairs})  # no fine object is in two coarse ones


@given(maps, st.floats(0.05, 0.8), st.floats(0.01, 0.5))
def test_split_when_done_then_each_object_has_a_middle_and_lies_in_the_foreground(distance, seed, prominence):
    mask = distance > 0.3
    labels = split_basins(distance, mask, seed=seed, prominence=prominence)
    assert not labels[~mask].any()
    for number in np.unique(labels[labels > 0]):
        assert distance[labels == number].max() > seed


@pytest.mark.parametrize("shape", [(60, 60), (12, 40, 40)])
def test_split_when_objects_lie_apart_then_each_is_one(shape):
    truth, depth = balls(shape, 6, 6.0)
    labels = split_basins(depth, truth > 0, seed=0.4, prominence=0.2)
    pairs = set(zip(truth.ravel().tolist(), labels.ravel().tolist(), strict=True))
    assert len(pairs) == truth.max() + 1 == len(np.unique(labels))


@pytest.mark.parametrize("shape", [(0, 5), (4, 4)])
def test_split_when_there_is_no_foreground_then_gives_none(shape):
    assert not split_basins(np.ones(shape, np.float32), np.zeros(shape, bool), seed=0.4, prominence=0.2).any()


def by_definition(distance, mask, seed, prominence):
    """Decode voxel by voxel, as docs/decoding.md says it."""
    heights = {place: (float(distance[place]), place) for place in map(tuple, np.argwhere(mask).tolist())}

    def top(place):
        around = (
            tuple(i + d for i, d in zip(place, step, strict=True)) for step in product((-1, 0, 1), repeat=mask.ndim)
        )
        best = max(heights[p] for p in around if p in heights)[1]
        return place if best == place else top(best)

    ends = {place: top(place) for place in heights}
    passes = {}
    for place, axis in product(heights, range(mask.ndim)):
        other = tuple(i + (a == axis) for a, i in enumerate(place))
        if other in ends and ends[other] != ends[place]:
            pair = tuple(sorted((ends[place], ends[other])))
            passes[pair] = max(passes.get(pair, -1.0), min(heights[place], heights[other])[0])
    owner = {end: end for end in ends.values()}
    for (one, two), height in sorted(passes.items(), key=lambda item: (-item[1], item[0])):
        lower, higher = sorted((owner[one], owner[two]), key=heights.__getitem__)
        if lower != higher and (heights[lower][0] - height < prominence or heights[lower][0] <= seed):
            owner = {end: higher if of == lower else of for end, of in owner.items()}
    numbers = {of: n for n, of in enumerate(sorted({of for of in owner.values() if heights[of][0] > seed}), 1)}
    labels = np.zeros(mask.shape, np.int32)
    for place, end in ends.items():
        labels[place] = numbers.get(owner[end], 0)
    return labels


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_split_when_voxels_tie_or_not_then_is_what_the_definition_says(monkeypatch, data):
    monkeypatch.setattr(basins, "EDGE", {2: data.draw(st.integers(2, 13)), 3: data.draw(st.integers(2, 6))})
    shape = data.draw(st.sampled_from([(13, 11), (6, 5, 5), (1, 12), (9, 1)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    steps = data.draw(st.sampled_from([1, 2, 4, 1000]))  # from flat to hardly a tie
    distance = (rng.integers(0, steps + 1, shape) / steps).astype(np.float32)
    mask = rng.random(shape) < data.draw(st.sampled_from([0.4, 0.8, 1.0]))
    seed, prominence = data.draw(st.sampled_from([0.0, 0.3, 0.5])), data.draw(st.sampled_from([0.01, 0.25, 0.6]))
    found = split_basins(distance, mask, seed=seed, prominence=prominence)
    np.testing.assert_array_equal(found, by_definition(distance, mask, seed, prominence))


@pytest.mark.parametrize("shape", [(20, 30), (5, 9, 8)])
def test_split_when_the_top_is_flat_then_is_one_object(shape):
    distance = np.ones(shape, np.float32)
    distance[..., ::3] = 0.9  # ridges of exact ties
    assert (split_basins(distance, distance > 0, seed=0.5, prominence=0.2) == 1).all()


def test_split_when_objects_are_small_then_are_removed_and_the_rest_is_numbered_in_order():
    distance = np.tile(RIDGE, (3, 1))
    found = split_basins(distance, distance > 0, seed=0.05, prominence=0.15, min_size=16)
    np.testing.assert_array_equal(found[0], [0] * 5 + [1] * 6)
