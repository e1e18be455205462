"""Normalisation: once per image and channel, finite whatever the image holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base import sample
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.normalise import Normalisation, measure
from napari_unet.core.base.repeated import is_repeated, repeat
from napari_unet.core.base.resize import resize_linear

KINDS = [Normalisation(), Normalisation("zscore")]


def normalised(how, *volumes):
    return measure(how, volumes).apply(volumes[0])


def test_percentile_when_values_are_known_then_maps_both_percentiles_to_0_and_1():
    volume = np.arange(1001.0)[np.newaxis, np.newaxis]  # percentile p of 0..1000 is 10 p
    out = normalised(Normalisation("percentile", 1, 99.8), volume)
    assert out.dtype == np.float32
    assert out[0, 0, 10] == pytest.approx(0)
    assert out[0, 0, 998] == pytest.approx(1)
    assert out[0, 0, 1000] > 1  # not clipped


@pytest.mark.parametrize(("ground", "is_inverted"), [(900.0, True), (100.0, False)])
def test_invert_above_when_the_median_is_higher_then_the_image_is_normalised_as_its_negative(ground, is_inverted):
    rng = np.random.default_rng(0)
    volume = np.where(rng.random((2, 40, 40)) < 0.2, 500.0, ground) + rng.normal(0, 20, (2, 40, 40))
    found = normalised(Normalisation(invert_above=0.5), volume)
    wanted = normalised(Normalisation(), -volume if is_inverted else volume)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_zscore_when_outside_is_0_then_only_the_inside_counts():
    inside = np.random.default_rng(0).normal(500, 20, 400)
    few, many = (np.concatenate([inside, np.zeros(n)]).reshape(1, -1, 4) for n in (40, 4000))
    out_few, out_many = normalised(KINDS[1], few), normalised(KINDS[1], many)
    np.testing.assert_allclose(out_few.ravel()[:400], out_many.ravel()[:400], rtol=1e-5)
    assert out_few.ravel()[:400].mean() == pytest.approx(0, abs=1e-4)
    assert out_few.ravel()[:400].std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("how", KINDS, ids=lambda k: k.kind)
@pytest.mark.parametrize("value", [0, 7, -3.5])
def test_measure_when_a_channel_is_constant_then_stays_finite(how, value):
    volume = np.stack([np.full((8, 8), value), np.arange(64.0).reshape(8, 8)])
    out = normalised(how, volume)
    np.testing.assert_array_equal(out[0], 0)
    assert np.isfinite(out).all()


def test_percentile_when_objects_are_very_few_then_they_set_the_scale():
    volume = np.zeros((1, 100, 100))
    volume[0, :3, :3] = 50
    assert normalised(Normalisation(), volume).max() == pytest.approx(1)


@given(st.floats(0.1, 50), st.floats(-100, 100), st.sampled_from(KINDS[:1]))
def test_percentile_when_gain_and_offset_change_then_result_stays(gain, offset, how):
    volume = np.random.default_rng(1).gamma(2, 10, (1, 20, 20))
    np.testing.assert_allclose(normalised(how, volume * gain + offset), normalised(how, volume), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint32, ">i4"])
def test_apply_when_values_lie_far_from_0_then_their_differences_stay(dtype):
    volume = np.random.default_rng(1).integers(0, 100, (1, 20, 20))
    far = (volume + 1_000_000_000).astype(dtype)
    np.testing.assert_allclose(normalised(Normalisation(), far), normalised(Normalisation(), volume), atol=1e-6)


def test_apply_when_called_then_leaves_the_image_alone():
    volume = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    before = volume.copy()
    normalised(Normalisation(), volume)
    np.testing.assert_array_equal(volume, before)


@pytest.mark.parametrize("how", KINDS, ids=lambda k: k.kind)
def test_normalise_when_a_channel_is_repeated_then_it_is_worked_and_held_once(how):
    one = np.random.default_rng(0).gamma(2, 10, (1, 20, 30))
    shown = repeat(one, 3)
    found = normalised(how, shown)
    np.testing.assert_array_equal(found, normalised(how, np.concatenate([one] * 3)))
    assert is_repeated(found)
    smaller = resize_linear(found, (10, 14))
    np.testing.assert_array_equal(smaller, resize_linear(np.ascontiguousarray(found), (10, 14)))
    assert is_repeated(smaller)


def test_is_repeated_when_channels_are_arrays_of_their_own_then_is_false():
    assert not is_repeated(np.zeros((3, 4, 5)))
    assert not is_repeated(repeat(np.zeros((1, 4, 5)), 1))


def test_measure_when_channels_differ_then_each_has_its_own_scale():
    one = np.random.default_rng(0).random((1, 16, 16))
    out = normalised(Normalisation(), np.concatenate([one, 1000 * one + 7]))
    np.testing.assert_allclose(out[0], out[1], atol=1e-5)


def test_measure_when_there_are_time_points_then_all_count():
    dark, bright = np.random.default_rng(0).random((2, 1, 16, 16)) * np.array([1, 100]).reshape(2, 1, 1, 1)
    assert measure(Normalisation(), [dark, bright]).scale[0] > 50 * measure(Normalisation(), [dark]).scale[0]


def test_measure_when_the_volume_is_large_then_a_part_gives_nearly_the_same(monkeypatch):
    volume = np.random.default_rng(0).normal(100, 10, (1, 64, 64, 64))
    whole = measure(Normalisation(), [volume])
    monkeypatch.setattr(sample, "GRID_VOXELS", 10_000)
    part = measure(Normalisation(), [volume])
    assert part != whole
    np.testing.assert_allclose([part.offset[0], part.scale[0]], [whole.offset[0], whole.scale[0]], rtol=0.05)


@pytest.mark.parametrize("values", [{"kind": "magic"}, {"low": 5, "high": 5}, {"low": -1}, {"high": float("nan")}])
def test_normalisation_when_unknown_then_is_refused(values):
    with pytest.raises(UserError):
        Normalisation(**values)
