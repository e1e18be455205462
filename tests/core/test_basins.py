"""Basins: touching objects are cut where the neck between their middles is deep enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

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
