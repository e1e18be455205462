"""Object size: measured as length, and trusted only within reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.pipeline.scale import (
    LARGEST,
    TOLERANCE,
    object_diameter,
    sampling_of,
    voxel_factors,
    zoom_factor,
    zoomed_shape,
)
from tests.core.phantoms import balls

sizes = st.floats(1e-3, 1e4)


@pytest.mark.parametrize(
    ("shape", "sampling"), [((90, 90), (1.0, 1.0)), ((24, 60, 60), (1.0, 1.0, 1.0)), ((12, 60, 60), (2.0, 1.0, 1.0))]
)
def test_object_diameter_when_objects_are_round_then_is_theirs(shape, sampling):
    labels, _ = balls(shape, 8, 8.0, sampling=sampling)
    assert object_diameter(labels, sampling) == pytest.approx(16, rel=0.05)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_object_diameter_when_objects_are_few_then_is_not_known(n):
    labels, _ = balls((90, 90), n, 8.0)
    assert object_diameter(labels, (1.0, 1.0)) is None


def test_object_diameter_when_numbers_are_huge_then_is_the_same():
    labels, _ = balls((90, 90), 8, 8.0)
    huge = np.where(labels > 0, labels.astype(np.int64) + 2**60, 0)
    assert object_diameter(huge, (1.0, 1.0)) == object_diameter(labels, (1.0, 1.0))


@given(sizes, sizes)
def test_zoom_factor_when_given_any_sizes_then_is_1_or_brings_nearer_within_bounds(found, wanted):
    factor = zoom_factor(found, wanted)
    assert 1 / LARGEST <= factor <= LARGEST
    assert abs(np.log(found * factor / wanted)) <= abs(np.log(found / wanted)) + 1e-9
    assert factor == 1 or not 1 / TOLERANCE <= wanted / found <= TOLERANCE


@given(st.lists(st.tuples(sizes, sizes), min_size=2, max_size=3))
def test_voxel_factors_when_a_voxel_size_is_absurd_then_stay_within_bounds(pairs):
    have, wanted = zip(*pairs, strict=True)
    factors = voxel_factors(have, wanted)
    assert len(factors) == len(pairs)
    assert all(1 / LARGEST <= f <= LARGEST for f in factors)


@pytest.mark.parametrize(("found", "wanted"), [(None, 10.0), (10.0, None), (10.0, 14.9), (14.9, 10.0)])
def test_zoom_factor_when_unknown_or_close_then_is_1(found, wanted):
    assert zoom_factor(found, wanted) == 1


def test_sampling_when_the_voxel_size_is_known_then_the_finest_axis_is_1():
    assert sampling_of((1.5, 0.5, 0.5), 3) == (3.0, 1.0, 1.0)
    assert sampling_of(None, 2) == (1.0, 1.0)


def test_zoomed_shape_when_an_axis_is_thin_then_it_does_not_vanish():
    assert zoomed_shape((1, 100), (0.25, 0.25)) == (1, 25)
