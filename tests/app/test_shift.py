"""Corrections that are all shifted alike are noticed; those that are only different are not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.app import annotations as notes
from napari_unet.app.preflight import review
from napari_unet.app.shift import common_shift
from napari_unet.app.teaching import take_snapshot
from napari_unet.core.base.image import Image

PLACES = [(12, 12), (12, 40), (40, 12), (40, 40), (26, 26)]


def discs(shifts, radius=6, shape=(56, 56)):
    """Label discs, each moved from its place."""
    grid, labels = np.indices(shape), np.zeros(shape, np.int32)
    for number, (place, shift) in enumerate(zip(PLACES, shifts, strict=False), start=1):
        middle = np.add(place, shift).reshape(2, 1, 1)
        labels[((grid - middle) ** 2).sum(0) <= radius**2] = number
    return labels


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        ([(3, 0)] * 5, (3.0, 0.0)),
        ([(0, -2)] * 4, (0.0, -2.0)),
        ([(3, 0)] * 3, None),
        ([(0, 0)] * 5, None),
        ([(3, 0), (-3, 0), (0, 3), (0, -3), (2, 2)], None),
    ],
    ids=["down", "left", "too few", "none", "this way and that"],
)
def test_common_shift_when_objects_move_then_only_one_that_all_share_counts(shifts, expected):
    before = discs([(0, 0)] * len(shifts))
    found = common_shift(notes.start(before), discs(shifts))
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found.voxels == pytest.approx(expected, abs=0.3)
        assert found.n_objects == len(shifts)


def test_common_shift_when_objects_only_grow_then_there_is_none():
    before = discs([(0, 0)] * 5, radius=5)
    assert common_shift(notes.start(before), discs([(0, 0)] * 5, radius=7)) is None


def test_review_when_all_corrections_are_shifted_alike_then_it_warns_before_the_training():
    before, now = discs([(0, 0)] * 5), discs([(0, 4)] * 5)
    snapshot = take_snapshot(Image(np.zeros(now.shape), "YX"), now, notes.start(before))
    said = [problem.text for problem in review((snapshot,), lambda progress: None, lambda: False).problems]
    assert any("X +4.0 voxels" in text for text in said)
