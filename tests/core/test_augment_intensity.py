"""Intensity: each change does what it says, and what is switched off changes and draws nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.augment import apply_spatial, change_intensity, changes, draw_spatial
from napari_unet.core.base.catalogue import AUGMENTS, look_up

PRESETS = {name: look_up(AUGMENTS, name, "augmentation") for name in AUGMENTS}
NONE = PRESETS["none"][1]
seeds = st.integers(0, 100_000)


def random(seed):
    return torch.Generator().manual_seed(seed)


def per_patch(*values, dims=2):
    return torch.tensor(values).reshape(-1, 1, *(1,) * dims)


@pytest.mark.parametrize("name", AUGMENTS)
@given(seed=seeds, dims=st.integers(2, 3), channels=st.integers(1, 3))
def test_change_intensity_when_drawn_then_stays_finite_and_differs_between_patches(name, seed, dims, channels):
    x = torch.rand(1, channels, *(9,) * dims, generator=random(seed)).repeat(2, *(1,) * (dims + 1)) - 0.1
    before = x.clone()
    out = change_intensity(PRESETS[name][1], x, random(seed))
    assert out.shape == x.shape
    assert torch.isfinite(out).all()
    assert torch.equal(out[0], out[1]) == (name == "none")
    assert torch.equal(x, before)  # the patch itself is not changed


@pytest.mark.parametrize(("name", "next_draw"), [("microscopy", 952102), ("mri", 58968), ("none", 971903)])
def test_generator_when_a_batch_was_drawn_then_is_where_older_checkpoints_expect_it(name, next_draw):
    spatial, intensity = PRESETS[name]
    generator = random(5)
    x = torch.rand(4, 1, 24, 24, generator=random(0))
    moved, _ = apply_spatial(draw_spatial(spatial, 4, 2, generator), x, x, (16, 16), vectors=False)
    change_intensity(intensity, moved, generator)
    assert int(torch.randint(1_000_000, (), generator=generator)) == next_draw


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"invert": 1.0}, lambda x: 1 - x),
        ({"gray": 1.0}, lambda x: x.mean(1, keepdim=True).expand_as(x)),
        ({"gain": (2.0, 2.0)}, lambda x: 2 * x),
        ({"gamma": (2.0, 2.0)}, lambda x: x**2),
        ({"contrast": (2.0, 2.0)}, lambda x: 2 * x - x.mean((2, 3), keepdim=True)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_change_intensity_when_one_change_is_sure_then_does_just_that(setting, expected):
    x = torch.rand(2, 3, 8, 8) + 0.01
    out = change_intensity(replace(NONE, **setting), x, random(0))
    torch.testing.assert_close(out, expected(x), atol=1e-5, rtol=1e-4)


@given(seeds, st.integers(2, 3))
def test_contrast_when_it_is_drawn_then_the_brightness_of_each_channel_stays(seed, dims):
    x = torch.rand(3, 2, *(7,) * dims, generator=random(seed))
    space = tuple(range(2, dims + 2))
    out = change_intensity(replace(NONE, contrast=(0.2, 3.0)), x, random(seed))
    torch.testing.assert_close(out.mean(space), x.mean(space), atol=1e-5, rtol=0)
    ratio = out.std(space) / x.std(space)
    assert ((ratio > 0.2 - 1e-3) & (ratio < 3.0 + 1e-3)).all()


@given(seeds)
def test_colour_when_it_is_drawn_then_channels_change_apart(seed):
    x = torch.full((2, 3, 4, 4), 0.5)
    out = change_intensity(replace(NONE, colour=0.2), x, random(seed))
    assert len(out[0, :, 0, 0].unique()) == 3
    assert (out - x).abs().max() <= 0.5 * 0.2 + 0.1 + 1e-6


@given(seeds, st.integers(2, 4))
def test_mix_when_channels_are_mixed_then_grey_stays_grey_and_channels_come_nearer(seed, channels):
    recipe = replace(NONE, mix=0.5)
    grey = torch.rand(2, 1, 6, 6, generator=random(seed)).expand(2, channels, 6, 6)
    torch.testing.assert_close(change_intensity(recipe, grey, random(seed)), grey)
    x = torch.rand(2, channels, 6, 6, generator=random(seed))
    out = change_intensity(recipe, x, random(seed))
    assert (out.amax(1) <= x.amax(1) + 1e-6).all()
    assert (out.amin(1) >= x.amin(1) - 1e-6).all()
    assert not torch.equal(out, x)


def test_mix_when_there_is_one_channel_then_nothing_is_drawn():
    x, one, other = torch.rand(2, 1, 6, 6), random(1), random(1)
    change_intensity(replace(NONE, mix=0.5), x, one)
    change_intensity(NONE, x, other)
    assert torch.equal(one.get_state(), other.get_state())


def test_mix_when_a_share_is_given_then_is_that_share_of_the_other_channel():
    x = torch.stack((torch.ones(4, 4), torch.zeros(4, 4)))[None]
    swapped = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    out = changes.mix(x, per_patch(0.25), swapped)
    torch.testing.assert_close(out[0, :, 0, 0], torch.tensor([0.75, 0.25]))


def test_shot_noise_when_light_grows_then_the_variance_grows_alike():
    light = torch.tensor([0.25, 0.5, 1.0, 2.0])
    x = light.reshape(4, 1, 1, 1).expand(4, 1, 200, 200)
    out = changes.add_shot_noise(x, per_patch(0.1, 0.1, 0.1, 0.1), random(0))
    torch.testing.assert_close(out.mean((1, 2, 3)), light, atol=3e-3, rtol=0)
    torch.testing.assert_close(out.var((1, 2, 3)), light * 0.1**2, atol=0, rtol=0.05)
    counts = out / 0.1**2  # whole photons
    torch.testing.assert_close(counts, counts.round(), atol=1e-2, rtol=0)


def test_shot_noise_when_a_voxel_is_dark_or_the_deviation_is_0_then_nothing_changes():
    dark = -torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(changes.add_shot_noise(dark, per_patch(0.5, 0.5), random(0)), dark)
    light = torch.rand(2, 1, 8, 8)
    out = changes.add_shot_noise(light, per_patch(0.0, 0.5), random(0))
    assert torch.equal(out[0], light[0])
    assert not torch.equal(out[1], light[1])


def test_coarsen_when_a_stack_is_coarse_then_only_z_loses_detail():
    z, y = torch.zeros(1, 1, 12, 12, 12), torch.zeros(1, 1, 12, 12, 12)
    z[:, :, ::2] = 1  # stripes along Z
    y[:, :, :, ::2] = 1
    factor = per_patch(2.0, dims=3)
    torch.testing.assert_close(changes.coarsen(z, factor), torch.full_like(z, 0.5))
    torch.testing.assert_close(changes.coarsen(y, factor), y)


def test_coarsen_when_a_plane_is_coarse_then_both_axes_lose_detail_and_the_mean_stays():
    x = torch.rand(2, 2, 24, 24, generator=random(0))
    out = changes.coarsen(x, per_patch(3.0, 1.0))
    assert torch.equal(out[1], x[1])
    for axis in (-1, -2):
        assert out[0].diff(dim=axis).abs().mean() < 0.4 * x[0].diff(dim=axis).abs().mean()
    torch.testing.assert_close(out[0].mean(), x[0].mean(), atol=0.02, rtol=0)


@given(st.integers(1, 9), st.floats(1, 12))
def test_coarsen_when_a_stack_is_thin_then_a_constant_stays_constant(depth, factor):
    x = torch.full((1, 1, depth, 5, 5), 0.3)
    torch.testing.assert_close(changes.coarsen(x, per_patch(factor, dims=3)), x)


def test_blur_when_it_is_sure_then_keeps_the_mean_and_smooths():
    noise = torch.randn(2, 1, 64, 64, generator=random(0))
    out = change_intensity(replace(NONE, blur=1.5, blur_share=1.0), noise, random(0))
    assert out.std() < 0.9 * noise.std()
    torch.testing.assert_close(out.mean(), noise.mean(), atol=0.02, rtol=0)


def test_shares_when_many_patches_are_drawn_then_so_many_are_changed():
    x = torch.rand(400, 1, 9, 9, generator=random(0))
    for setting in ({"coarse": 4.0, "coarse_share": 0.3}, {"blur": 1.5, "blur_share": 0.3}, {"invert": 0.3}):
        out = change_intensity(replace(NONE, **setting), x, random(1))
        share = (out != x).flatten(1).any(1).float().mean()
        assert share == pytest.approx(0.3, abs=0.07)
