"""Patches: around what is annotated, with nothing known beyond the image, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base.catalogue import AUGMENTS
from napari_unet.core.base.errors import UserError
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.sampler import Sampler
from napari_unet.core.targets import TARGETS
from tests.core.phantoms import blobs, tiny_spec

SAMPLE = prepare(blobs(), tiny_spec())


def sampler(samples=(SAMPLE,), patch=(48, 48), batch=4, *, augment="none", vectors=True, seed=0, voxel_size=None):
    return Sampler(samples, patch, batch, augment=augment, vectors=vectors, seed=seed, voxel_size=voxel_size)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_draw_when_the_seed_is_the_same_then_so_are_the_batches(augment):
    one, other, third = (sampler(augment=augment, seed=s) for s in (1, 1, 2))
    for _ in range(2):
        a, b, c = one.draw(), other.draw(), third.draw()
        for name in ("image", "target", "weight"):
            assert torch.equal(getattr(a, name), getattr(b, name))
        assert not torch.equal(a.image, c.image)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_draw_when_the_generator_goes_on_from_a_checkpoint_then_the_next_batch_is_the_same(augment):
    first, resumed = sampler(augment=augment), sampler(augment=augment, seed=99)
    first.draw()
    resumed.generator.set_state(first.generator.get_state())
    one, other = first.draw(), resumed.draw()
    assert torch.equal(one.image, other.image)
    assert torch.equal(one.target, other.target)


@given(st.integers(0, 10_000), st.integers(20, 200))
def test_draw_when_the_patch_is_of_any_size_then_it_is_part_of_the_image_and_its_target(seed, edge):
    batch = sampler(patch=(edge, edge), batch=2, seed=seed).draw()
    assert batch.image.shape == (2, 1, edge, edge)
    assert batch.target.shape == (2, 4, edge, edge)
    assert batch.weight.shape == (2, 2, edge, edge)
    inside = batch.weight[:, :1] > 0
    # blobs are bright: where the target is known, it agrees with the image
    assert ((batch.image > 0.2) == (batch.target[:, :1] > 0.5))[inside].float().mean() > 0.97
    if edge > 96:
        assert (batch.weight == 0).any()


def test_draw_when_vectors_are_put_in_place_then_the_target_is_in_the_networks_order():
    sample = blobs(shape=(48, 48), n=2)
    batch = sampler([prepare(sample, tiny_spec(object_size=None))], batch=1).draw()
    wanted = TARGETS["instances"].encode(sample.labels, None, (1.0, 1.0))
    torch.testing.assert_close(batch.target[0], torch.from_numpy(wanted.target), atol=2e-3, rtol=0)
    torch.testing.assert_close(batch.weight[0], torch.from_numpy(wanted.weight), atol=2e-3, rtol=0)


def test_draw_when_one_cell_is_annotated_then_most_patches_hold_it():
    sample = blobs(shape=(256, 256), n=20)
    annotated = (sample.labels == 3).astype(np.uint8)
    drawn = sampler([prepare(replace(sample, annotated=annotated), tiny_spec())], patch=(64, 64), batch=40).draw()
    known = (drawn.weight[:, 0] > 0).flatten(1).sum(1)
    assert (known > 0).all()
    assert (known > 100).float().mean() > 0.7


def test_draw_when_samples_have_weights_then_patches_follow_them():
    dark = replace(SAMPLE, image=0 * SAMPLE.image, weight=3 * SAMPLE.weight)
    images = torch.cat([s.draw().image for s in [sampler([SAMPLE, dark], batch=50)] for _ in range(4)])
    share = (images.flatten(1).std(1) == 0).float().mean()
    assert share == pytest.approx(0.75, abs=0.1)


def test_sampler_when_the_augmentation_is_unknown_then_names_those_there_are():
    with pytest.raises(UserError, match="no augmentation 'x-ray'") as caught:
        sampler(augment="x-ray")
    assert "microscopy" in caught.value.hint


@pytest.mark.parametrize(
    ("voxel_size", "tilt"), [(None, 0.0), ((2.0, 0.5, 0.5), 0.0), ((0.5, 0.5, 0.5), 45.0), ((1.1, 1.0, 1.0), 45.0)]
)
def test_sampler_when_voxels_are_cubes_then_stacks_may_be_tilted(voxel_size, tilt):
    sample = prepare(blobs(shape=(16, 24, 24), n=2, radius=4.0), tiny_spec(dims=3, object_size=None))
    drawn = sampler([sample], patch=(8, 16, 16), augment="em", voxel_size=voxel_size)
    assert drawn.spatial.tilt == tilt
    assert drawn.draw().image.shape == (4, 1, 8, 16, 16)


def test_sampler_when_a_sample_is_not_annotated_then_it_is_left_out():
    blank = prepare(replace(blobs(), annotated=np.zeros((96, 96), np.uint8)), tiny_spec())
    assert len(sampler([blank, SAMPLE]).samples) == 1
    with pytest.raises(UserError, match="nothing to learn from"):
        sampler([blank])


@pytest.mark.parametrize("shape", [(3, 50, 50), (20, 8, 60)])
def test_draw_when_a_stack_is_thinner_than_the_patch_then_the_rest_is_unknown(shape):
    sample = blobs(shape=shape, n=2, radius=4.0)
    prepared = prepare(sample, tiny_spec(dims=3, object_size=None))
    batch = sampler([prepared], patch=(16, 16, 16), batch=3, augment="microscopy").draw()
    assert batch.image.shape == (3, 1, 16, 16, 16)
    assert torch.isfinite(batch.image).all()
    assert (batch.weight > 0).any()
    assert (batch.weight == 0).any()
