"""Recipes: few cells teach little, and every patch fits its network."""

from __future__ import annotations

import pytest

from napari_unet.core.base.options import TrainOptions
from napari_unet.core.nets import preset
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.recipe import FEW_CELLS, choose_stage, fine_tune_recipe, scratch_recipe
from napari_unet.core.store.models import initial_model
from tests.core.phantoms import blobs, learn, tiny_spec

CONFIG = NetConfig()


@pytest.mark.parametrize(
    ("n_cells", "trainable", "facts", "learned", "steps"),
    [
        (3, "auto", {}, "all", 140),
        (FEW_CELLS, "auto", {}, "all", 300),
        (3, "auto", {"can_rehearse": False}, "head", 100),
        (FEW_CELLS, "auto", {"can_rehearse": False}, "all", 300),
        (3, "all", {"can_rehearse": False}, "all", 140),
        (3, "auto", {"can_rehearse": False, "is_blind": True}, "all", 300),
        (1000, "head", {"is_blind": True}, "head", 100),
    ],
)
def test_fine_tune_when_cells_are_few_then_learning_is_short_and_without_rehearsal_only_head(
    n_cells, trainable, facts, learned, steps
):
    options = TrainOptions(trainable=trainable)
    stage = choose_stage(options, n_cells, **{"is_blind": False, **facts})
    recipe = fine_tune_recipe(options, CONFIG, "microscopy", stage)
    assert (recipe.trainable, recipe.steps, recipe.rehearsal > 0) == (learned, steps, learned == "all")
    assert recipe.freeze_norm


@pytest.mark.parametrize(("budget", "steps", "seconds"), [("auto", 2000, None), ("30s", None, 30), ("7steps", 7, None)])
def test_scratch_when_a_budget_is_given_then_it_is_the_only_one(budget, steps, seconds):
    recipe = scratch_recipe(TrainOptions(budget=budget), CONFIG, [prepare(blobs(), tiny_spec())], "microscopy")
    assert (recipe.steps, recipe.seconds) == (steps, seconds)


def both(options, augment):
    """Give the recipes of fine-tuning and of training from scratch."""
    prepared = [prepare(blobs(), tiny_spec())]
    return fine_tune_recipe(options, CONFIG, augment, "quick"), scratch_recipe(options, CONFIG, prepared, augment)


def test_recipe_when_the_user_fixes_how_the_weights_move_then_it_stays():
    options = TrainOptions(optimizer="sgd", schedule="one-cycle", accumulate=3)
    for recipe in both(options, "mri"):
        assert (recipe.optimizer, recipe.schedule, recipe.accumulate) == ("sgd", "one-cycle", 3)


@pytest.mark.parametrize(("chosen", "augment"), [("auto", "mri"), ("none", "none"), ("histology", "histology")])
def test_recipe_when_the_user_chooses_the_augmentation_then_it_replaces_the_automatic_one(chosen, augment):
    assert [recipe.augment for recipe in both(TrainOptions(augment=chosen), "mri")] == [augment] * 2


def test_recipe_when_the_user_fixes_a_value_then_it_stays():
    options = TrainOptions(learning_rate=0.01, batch=3, patch=80, seed=5, loss="ce", precision="fp32", device="cpu")
    for recipe in (
        fine_tune_recipe(options, CONFIG, "mri", "quick"),
        scratch_recipe(options, CONFIG, [prepare(blobs(), tiny_spec())], "mri"),
    ):
        assert (recipe.learning_rate, recipe.batch, recipe.patch, recipe.seed) == (0.01, 3, (80, 80), 5)
        assert (recipe.loss, recipe.precision, recipe.device, recipe.augment) == ("ce", "fp32", "cpu", "mri")


@pytest.mark.parametrize(("shape", "patch"), [((40, 300), (48, 256)), ((5, 8), (16, 16)), ((256, 256), (256, 256))])
def test_scratch_when_images_are_small_then_so_are_patches(shape, patch):
    sample = prepare(blobs(shape=shape, n=1, radius=2.0), tiny_spec(object_size=None))
    assert scratch_recipe(TrainOptions(), CONFIG, [sample], "microscopy").patch == patch


@pytest.mark.parametrize(
    ("name", "dims", "edge", "patch"),
    [
        ("classic-2015", 2, 572, (572, 572)),
        ("classic-2015", 2, 16, (220, 220)),
        ("unet3d-2016", 3, 64, (108, 108, 108)),
    ],
)
def test_fine_tune_when_the_network_is_unpadded_then_the_patch_fits_it(name, dims, edge, patch):
    config = preset(name, dims=dims, in_channels=1, out_channels=1)[1]
    assert fine_tune_recipe(TrainOptions(patch=edge), config, "microscopy", "quick").patch == patch


def has_learned(model):
    before, after = initial_model(model.spec).weights["head.weight"], model.weights["head.weight"]
    return bool(after.isfinite().all()) and not after.equal(before)


@pytest.mark.parametrize("dims", [2, 3])
def test_scratch_when_the_network_is_unpadded_then_it_trains(dims):
    config = NetConfig(dims=dims, out_channels=2 + dims, base=2, depth=1, padding="valid", norm="none")
    spec = tiny_spec(dims=dims, net_config=config.to_dict(), object_size=None)
    sample = blobs(shape=(20,) * dims, n=2, radius=4.0)
    patch = scratch_recipe(TrainOptions(), config, [prepare(sample, spec)], "microscopy").patch
    assert has_learned(learn(spec, [sample], steps=2, patch=patch))


def test_scratch_when_the_batch_is_one_patch_then_it_trains():
    spec = tiny_spec(object_size=None)
    sample = blobs(shape=(4, 4), n=1, radius=2.0)
    recipe = scratch_recipe(TrainOptions(batch=1), NetConfig(depth=2), [prepare(sample, spec)], "microscopy")
    assert has_learned(learn(spec, [sample], steps=2, patch=recipe.patch, batch=1))
