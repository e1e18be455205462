"""Outlines beside what the image shows are noticed, and those that follow nothing; rightly drawn ones are not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.app import annotations as notes
from napari_unet.app.preflight import review
from napari_unet.app.teaching import take_snapshot
from napari_unet.core.base.image import Image
from napari_unet.core.metrics.alignment import alignment

PLACES = [(y, x) for y in (16, 40, 64) for x in (16, 40, 64)]
SHAPE = (80, 80)


def discs(shifts, radius=7):
    """Label discs, each moved from its place."""
    grid, labels = np.indices(SHAPE), np.zeros(SHAPE, np.int32)
    for number, (place, shift) in enumerate(zip(PLACES, shifts, strict=False), start=1):
        middle = np.add(place, shift).reshape(2, 1, 1)
        labels[((grid - middle) ** 2).sum(0) <= radius**2] = number
    return labels


def picture(sign=1):
    """Show discs in their places, in noise, bright or dark."""
    shown = (discs([(0, 0)] * 9) > 0) * 100.0 * sign
    return Image((shown + np.random.default_rng(0).normal(0, 20, SHAPE)).astype(np.float32), "YX", name="cells")


def lie(labels, image):
    return alignment(lambda box: image.box(0, box), labels, sorted(set(np.unique(labels)) - {0}))


@pytest.mark.parametrize("sign", [1, -1], ids=["bright", "dark"])
@pytest.mark.parametrize("shift", [(4, 0), (0, -5), (3, 4)])
def test_alignment_when_all_lie_beside_their_place_then_it_says_how_far(shift, sign):
    found = lie(discs([shift] * 9), picture(sign))
    assert found.verdict == "shifted"
    assert found.voxels == pytest.approx(shift, abs=1)


@pytest.mark.parametrize("radius", [5, 7, 8])
def test_alignment_when_outlines_are_only_a_little_off_then_they_fit(radius):
    wobbling = np.random.default_rng(1).integers(-1, 2, (9, 2)).tolist()
    assert lie(discs(wobbling, radius), picture()).verdict == "fits"


def test_alignment_when_each_lies_elsewhere_then_they_follow_nothing():
    off = [(8, 0), (-8, 0), (0, 8), (0, -8), (6, 6), (-6, 6), (6, -6), (-6, -6), (8, 2)]
    assert lie(discs(off), picture()).verdict == "follows nothing"


def test_alignment_when_there_are_few_then_nothing_is_said():
    assert lie(discs([(4, 0)] * 5), picture()) is None


def test_alignment_when_objects_are_3d_then_all_axes_count():
    labels = np.zeros((20, *SHAPE), np.int32)
    labels[6:12] = discs([(0, 0)] * 9)
    image = Image((np.roll(labels, (3, -4), (0, 2)) > 0).astype(np.float32), "ZYX")
    assert lie(labels, image).voxels == pytest.approx((-3, 0, 4), abs=1)


def test_review_when_all_corrections_are_shifted_alike_then_it_warns_before_the_training():
    now = discs([(0, 5)] * 9)
    snapshot = take_snapshot(picture(), now, notes.start(np.zeros_like(now)))
    said = [problem.text for problem in review((snapshot,), lambda progress: None, lambda: False).problems]
    assert "All 9 objects of 'cells' lie X +5 voxels beside what the image shows." in said


def test_review_when_corrections_lie_in_their_place_then_it_does_not_warn():
    now = discs([(0, 0)] * 9)
    snapshot = take_snapshot(picture(), now, notes.start(np.zeros_like(now)))
    problems = review((snapshot,), lambda progress: None, lambda: False).problems
    assert not any("beside" in one.text or "follow" in one.text for one in problems)
