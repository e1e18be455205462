"""Augmentation: image and target stay aligned, labels stay labels, vectors turn with the patch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from napari_unet.core.augment import apply_spatial, change_intensity, draw_spatial
from napari_unet.core.augment.spatial import SpatialDraw, SpatialRecipe
from napari_unet.core.base.catalogue import AUGMENTS, look_up
from napari_unet.core.targets import TARGETS
from tests.core.phantoms import balls

WILD = SpatialRecipe(rotation=180.0, scale=(0.5, 2.0), elastic=1.0, bend=6.0, tilt=180.0)
PRESETS = {name: look_up(AUGMENTS, name, "augmentation") for name in AUGMENTS}
RECIPES = [WILD, *(pair[0] for pair in PRESETS.values())]
CUBES, COARSE = (1.0, 1.0, 1.0), (3.0, 1.0, 1.0)
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


@given(seeds, st.integers(2, 3), st.sampled_from(RECIPES))
def test_labels_when_moved_in_any_way_then_no_new_ids_appear(seed, dims, recipe):
    labels = torch.randint(0, 5, (2, 1, *(14,) * dims), generator=random(seed)).float() * 1000
    draw = draw_spatial(recipe, 2, dims, random(seed), CUBES[:dims])
    _, moved = apply_spatial(draw, labels, labels, (8,) * dims, vectors=False)
    assert moved.shape == (2, 1, *(8,) * dims)
    assert set(moved.unique().tolist()) <= {0.0, *labels.unique().tolist()}


@given(seeds, st.integers(2, 3), st.sampled_from(RECIPES))
def test_image_and_target_when_moved_in_any_way_then_stay_aligned(seed, dims, recipe):
    grid = np.indices((40,) * dims)
    labels = ((grid // 20).sum(0) % 2 == 0).astype(np.float32)  # a chessboard of large fields
    draw = draw_spatial(recipe, 1, dims, random(seed), CUBES[:dims])
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
    spatial, intensity = PRESETS[name]
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
    spatial, intensity = PRESETS["none"]
    x = torch.rand(2, 3, *(12,) * dims)
    image, target = apply_spatial(draw_spatial(spatial, 2, dims, random(0)), x, x, (8,) * dims, vectors=False)
    middle = x[(slice(None), slice(None), *(slice(2, 10),) * dims)]
    torch.testing.assert_close(change_intensity(intensity, image, random(0)), middle, atol=1e-5, rtol=0)
    torch.testing.assert_close(target, middle)


@given(seeds)
def test_mri_when_drawn_then_the_head_keeps_its_up_and_down(seed):
    matrix = draw_spatial(PRESETS["mri"][0], 4, 3, random(seed)).matrix
    assert (matrix.diagonal(dim1=1, dim2=2) > 0.5).all()


@given(seeds, st.integers(2, 3), st.sampled_from(RECIPES), st.sampled_from([0.0, 1.0]))
def test_margin_when_a_piece_with_it_is_cut_then_it_holds_the_whole_patch(seed, dims, recipe, elastic):
    draw = draw_spatial(replace(recipe, elastic=elastic), 2, dims, random(seed), CUBES[:dims])
    patch = (24, 16, 20)[-dims:]
    piece = torch.ones(1, 1, *(n + 2 * m for n, m in zip(patch, draw.margin(1, patch), strict=True)))
    _, seen = apply_spatial(draw[1], piece, piece, patch, vectors=False)
    assert (seen == 1).all()


@given(seeds, st.sampled_from(RECIPES), st.sampled_from([None, COARSE]))
def test_matrix_when_voxels_are_not_known_to_be_cubes_then_z_is_not_mixed_with_xy(seed, recipe, voxel_size):
    matrix = draw_spatial(recipe, 4, 3, random(seed), voxel_size).matrix
    assert (matrix[:, 0, 1:] == 0).all()
    assert (matrix[:, 1:, 0] == 0).all()


@given(seeds)
def test_matrix_when_voxels_are_cubes_then_a_stack_is_tilted_no_farther_than_the_recipe_says(seed):
    recipe = SpatialRecipe(flip=False, scale=(1.0, 1.0), tilt=20.0)
    matrix = draw_spatial(recipe, 4, 3, random(seed), CUBES).matrix
    assert (matrix[:, 0, 1:].norm(dim=1) > 0).all()
    # two turns, one after the other
    assert (matrix[:, 0, 0] >= np.cos(np.radians(20.0)) ** 2 - 1e-6).all()
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3).expand(4, 3, 3), atol=1e-5, rtol=0)


@given(seeds)
def test_displacement_when_z_is_coarse_then_is_equally_long_in_units_of_length(seed):
    known, unknown = (draw_spatial(WILD, 2, 3, random(seed), size).displacement for size in (COARSE, None))
    other = draw_spatial(SpatialRecipe(**(vars(WILD) | {"tilt": 0.0})), 2, 3, random(seed)).displacement
    torch.testing.assert_close(known * torch.tensor(COARSE).reshape(1, 3, 1, 1, 1), other)
    torch.testing.assert_close(unknown, other)


@settings(max_examples=15)
@given(seeds)
def test_vectors_when_the_stack_is_tilted_then_still_point_to_the_middle(seed):
    labels, _ = balls((28, 28, 28), 1, 8.0, seed)
    draw = draw_spatial(
        SpatialRecipe(rotation=180.0, elastic=0.0, scale=(1.0, 1.0), tilt=180.0), 1, 3, random(seed), CUBES
    )
    _, moved = apply_spatial(draw, piece(labels), piece(labels), labels.shape, vectors=False)
    moved = moved[0, 0].numpy().astype(np.int32)
    edge = np.ones_like(moved)
    edge[1:-1, 1:-1, 1:-1] = 0
    assume((moved > 0).any() and not moved[edge > 0].any())
    wanted = TARGETS["instances"].encode(moved, None, CUBES).target[2:]
    found = turned(draw, labels, TARGETS["instances"].encode(labels, None, CUBES))[2:]
    assert np.abs(found - wanted)[:, moved > 0].mean() < 0.12


def test_apply_when_enlarged_twice_then_objects_are_twice_as_large():
    labels = np.zeros((32, 32), np.float32)
    labels[12:20, 14:18] = 1
    draw = SpatialDraw(torch.eye(2)[None] / 2, None)
    _, moved = apply_spatial(draw, piece(labels), piece(labels), (32, 32), vectors=False)
    assert moved.sum() == 4 * labels.sum()
