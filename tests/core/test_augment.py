"""Augmentation: image and target stay aligned, labels stay labels, vectors turn with the patch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.augment import AUGMENTS, apply_spatial, change_intensity, draw_spatial
from napari_unet.core.augment.spatial import SpatialDraw, SpatialRecipe
from napari_unet.core.targets import TARGETS
from tests.core.phantoms import balls

WILD = SpatialRecipe(rotation=180.0, scale=(0.5, 2.0), elastic=1.0, bend=6.0)
seeds = st.integers(0, 100_000)


def random(seed):
    return torch.Generator().manual_seed(seed)


def piece(labels):
    return torch.from_numpy(np.ascontiguousarray(labels)).float()[None, None]


def turned(draw, labels, encoded):
    """Turn the encoded target: vectors first, as the sampler has them."""
    dims = labels.ndim
    target = torch.from_numpy(np.concatenate((encoded.target[2:], encoded.target[:2])))[None]
    out = apply_spatial(draw, piece(labels), target, labels.shape, vectors=True)[1][0].numpy()
    return np.concatenate((out[dims:], out[:dims]))


@pytest.mark.parametrize("dims", [2, 3])
@given(seed=seeds)
def test_vectors_when_the_patch_is_flipped_and_turned_then_are_those_of_the_turned_labels(dims, seed):
    labels, _ = balls((12, 40, 40)[-dims:], 5, 6.0, seed, sampling=(2.0, 1.0, 1.0)[-dims:])
    recipe = SpatialRecipe(rotation=0.0, scale=(1.0, 1.0), elastic=0.0)
    draw = draw_spatial(recipe, 1, dims, random(seed))
    _, moved = apply_spatial(draw, piece(labels), piece(labels), labels.shape, vectors=False)
    sampling = (2.0, 1.0, 1.0)[-dims:]
    wanted = TARGETS["instances"].encode(moved[0, 0].numpy().astype(np.int32), None, sampling).target
    found = turned(draw, labels, TARGETS["instances"].encode(labels, None, sampling))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@given(seeds, st.sampled_from([30.0, 77.0, 180.0]))
def test_vectors_when_the_patch_is_turned_by_any_angle_then_still_point_to_the_middle(seed, rotation):
    labels, _ = balls((64, 64), 4, 9.0, seed)
    draw = draw_spatial(SpatialRecipe(rotation=rotation, elastic=0.0), 1, 2, random(seed))
    _, moved = apply_spatial(draw, piece(labels), piece(labels), labels.shape, vectors=False)
    moved = moved[0, 0].numpy().astype(np.int32)
    wanted = TARGETS["instances"].encode(moved, None, (1.0, 1.0)).target[2:]
    found = turned(draw, labels, TARGETS["instances"].encode(labels, None, (1.0, 1.0)))[2:]
    whole = [i for i in np.unique(moved[moved > 0]) if i not in np.r_[moved[0], moved[-1], moved[:, 0], moved[:, -1]]]
    for number in whole:
        inside = moved == number
        assert np.abs(found - wanted)[:, inside].mean() < 0.12  # voxels are square, so turned discs differ a little


@given(seeds, st.integers(2, 3), st.sampled_from([WILD, *(pair[0] for pair in AUGMENTS.values())]))
def test_labels_when_moved_in_any_way_then_no_new_ids_appear(seed, dims, recipe):
    labels = torch.randint(0, 5, (2, 1, *(14,) * dims), generator=random(seed)).float() * 1000
    draw = draw_spatial(recipe, 2, dims, random(seed))
    _, moved = apply_spatial(draw, labels, labels, (8,) * dims, vectors=False)
    assert moved.shape == (2, 1, *(8,) * dims)
    assert set(moved.unique().tolist()) <= {0.0, *labels.unique().tolist()}


@given(seeds, st.integers(2, 3), st.sampled_from([WILD, *(pair[0] for pair in AUGMENTS.values())]))
def test_image_and_target_when_moved_in_any_way_then_stay_aligned(seed, dims, recipe):
    grid = np.indices((40,) * dims)
    labels = ((grid // 20).sum(0) % 2 == 0).astype(np.float32)  # a chessboard of large fields
    draw = draw_spatial(recipe, 1, dims, random(seed))
    image, target = apply_spatial(draw, piece(labels), piece(labels), (20,) * dims, vectors=False)
    known = apply_spatial(draw, piece(labels), piece(np.ones_like(labels)), (20,) * dims, vectors=False)[1] > 0
    clear = known & ((image < 0.02) | (image > 0.98))
    assert clear.float().mean() > 0.2
    assert ((image > 0.5) == (target > 0.5))[clear].float().mean() > 0.99


@given(seeds)
def test_target_when_it_comes_from_outside_of_the_piece_then_is_0(seed):
    draw = draw_spatial(WILD, 1, 2, random(seed))
    image, weight = apply_spatial(draw, torch.ones(1, 1, 16, 16), torch.ones(1, 1, 16, 16), (48, 48), vectors=False)
    assert (weight == 0).any()
    torch.testing.assert_close(image, torch.ones_like(image))  # the image is mirrored there


@pytest.mark.parametrize("name", AUGMENTS)
def test_augment_when_the_seed_is_the_same_then_so_is_the_draw(name):
    spatial, intensity = AUGMENTS[name]
    results = []
    for seed in (3, 3, 4):
        generator = random(seed)
        draw = draw_spatial(spatial, 4, 2, generator)
        x = torch.rand(4, 1, 24, 24, generator=random(0))
        moved, _ = apply_spatial(draw, x, x, (16, 16), vectors=False)
        results.append(change_intensity(intensity, moved, generator))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert torch.equal(results[0], results[2]) == (name == "none")


@pytest.mark.parametrize("dims", [2, 3])
def test_augment_none_when_applied_then_cuts_the_middle_and_changes_nothing(dims):
    spatial, intensity = AUGMENTS["none"]
    x = torch.rand(2, 3, *(12,) * dims)
    image, target = apply_spatial(draw_spatial(spatial, 2, dims, random(0)), x, x, (8,) * dims, vectors=False)
    middle = x[(slice(None), slice(None), *(slice(2, 10),) * dims)]
    torch.testing.assert_close(change_intensity(intensity, image, random(0)), middle, atol=1e-5, rtol=0)
    torch.testing.assert_close(target, middle)


@given(seeds)
def test_mri_when_drawn_then_the_head_keeps_its_up_and_down(seed):
    matrix = draw_spatial(AUGMENTS["mri"][0], 4, 3, random(seed)).matrix
    assert (matrix.diagonal(dim1=1, dim2=2) > 0.5).all()


@given(seeds, st.sampled_from([WILD, *(pair[0] for pair in AUGMENTS.values())]))
def test_reach_when_a_piece_of_that_size_is_cut_then_it_holds_the_whole_patch(seed, recipe):
    matrix = draw_spatial(recipe, 1, 2, random(seed)).matrix[0]
    corners = torch.tensor([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    assert (corners @ matrix.T).abs().max() <= recipe.reach + 1e-5


def test_apply_when_enlarged_twice_then_objects_are_twice_as_large():
    labels = np.zeros((32, 32), np.float32)
    labels[12:20, 14:18] = 1
    draw = SpatialDraw(torch.eye(2)[None] / 2, None)
    _, moved = apply_spatial(draw, piece(labels), piece(labels), (32, 32), vectors=False)
    assert moved.sum() == 4 * labels.sum()


@given(seeds, st.integers(2, 3), st.integers(1, 3), st.sampled_from(["microscopy", "mri"]))
def test_change_intensity_when_drawn_then_stays_finite_and_differs_between_patches(seed, dims, channels, name):
    x = torch.rand(1, channels, *(9,) * dims, generator=random(seed)).repeat(2, *(1,) * (dims + 1)) - 0.1
    before = x.clone()
    out = change_intensity(AUGMENTS[name][1], x, random(seed))
    assert out.shape == x.shape
    assert torch.isfinite(out).all()
    assert not torch.allclose(out[0], out[1])
    torch.testing.assert_close(x, before)  # the patch itself is not changed


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"invert": 1.0}, lambda x: 1 - x),
        ({"gray": 1.0}, lambda x: x.mean(1, keepdim=True).expand_as(x)),
        ({"gain": (2.0, 2.0)}, lambda x: 2 * x),
        ({"gamma": (2.0, 2.0)}, lambda x: x**2),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_change_intensity_when_one_change_is_sure_then_does_just_that(changes, expected):
    recipe = AUGMENTS["none"][1].__class__(**(vars(AUGMENTS["none"][1]) | changes))
    x = torch.rand(2, 3, 8, 8) + 0.01
    torch.testing.assert_close(change_intensity(recipe, x, random(0)), expected(x), atol=1e-5, rtol=1e-4)


@given(seeds)
def test_colour_when_it_is_drawn_then_channels_change_apart(seed):
    recipe = AUGMENTS["none"][1].__class__(**(vars(AUGMENTS["none"][1]) | {"colour": 0.2}))
    x = torch.full((2, 3, 4, 4), 0.5)
    out = change_intensity(recipe, x, random(seed))
    assert len(out[0, :, 0, 0].unique()) == 3
    assert (out - x).abs().max() <= 0.5 * 0.2 + 0.1 + 1e-6


def test_blur_when_it_is_sure_then_keeps_the_mean_and_smooths():
    recipe = AUGMENTS["none"][1].__class__(**(vars(AUGMENTS["none"][1]) | {"blur": 1.5, "blur_share": 1.0}))
    noise = torch.randn(2, 1, 64, 64, generator=random(0))
    out = change_intensity(recipe, noise, random(0))
    assert out.std() < 0.9 * noise.std()
    torch.testing.assert_close(out.mean(), noise.mean(), atol=0.02, rtol=0)
