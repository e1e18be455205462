"""The preview of the augmentation: patches of the image and the labels of the same voxels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.app import annotations as notes
from napari_unet.app.preview import COLUMNS, GAP, ROWS, PreviewRequest, augmented_patches
from napari_unet.app.teaching import take_snapshot
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import silent
from tests.core.phantoms import blobs

EDGE = 32
OPTIONS = TrainOptions(augment="none", patch=EDGE)


def drawn(request: PreviewRequest):
    return augmented_patches(request, silent, bool)


def of(sample, *, done=None, **changes) -> PreviewRequest:
    """Ask for patches of a sample whose labels are predictions, of which a box is marked as done."""
    corrections = notes.start(sample.labels)
    if done is not None:
        corrections = notes.mark_done(corrections, done)
    snapshot = take_snapshot(sample.image, sample.labels, corrections)
    return PreviewRequest(**({"image": sample.image, "snapshot": snapshot, "options": OPTIONS} | changes))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["none", "brightfield", "fluorescence", "aerial"]), st.integers(0, 1000))
def test_patches_when_drawn_then_image_and_labels_got_the_same_draw(augment, seed):
    sample = blobs(shape=(128, 128), n=12)
    wide = replace(sample, image=replace(sample.image, data=(sample.labels > 0).astype(np.float32)))
    found = drawn(of(wide, options=TrainOptions(augment=augment, patch=EDGE, seed=seed)))
    step = EDGE + GAP
    for row in range(ROWS):
        for column in range(COLUMNS):
            part = (slice(row * step, row * step + EDGE), slice(column * step, column * step + EDGE))
            image, inside = found.image[0][part], found.labels[part] > 0
            if not 0.1 < inside.mean() < 0.9:
                continue
            apart = abs(float(np.median(image[inside]) - np.median(image[~inside])))
            assert apart > 0.2, (row, column)


def test_patches_when_nothing_is_annotated_then_they_come_from_the_image_alone():
    sample = blobs()
    found = drawn(PreviewRequest(sample.image, options=OPTIONS))
    assert found.labels.shape == (ROWS * EDGE + GAP * (ROWS - 1), COLUMNS * EDGE + GAP * (COLUMNS - 1))
    assert found.image.shape == (1, *found.labels.shape)
    assert not found.labels.any()
    assert "middle of the image" in found.words
    predicted = drawn(of(sample))
    assert set(np.unique(predicted.labels)) <= set(np.unique(sample.labels))
    assert predicted.labels.any()


def test_patches_when_a_region_is_done_then_they_come_from_there_and_show_no_prediction():
    sample = blobs(shape=(256, 256), n=40)
    done = (slice(0, 60), slice(0, 60))
    found = drawn(of(sample, done=done))
    assert "around your corrections" in found.words
    assert set(np.unique(found.labels)) <= {0, *np.unique(sample.labels[done])}
    assert found.labels.any()


@pytest.mark.parametrize(
    ("shape", "axes"), [((10, 40, 40), "ZYX"), ((2, 40, 40), "CYX"), ((3, 40, 40), "TYX"), ((2, 2, 9, 20, 40), "TCZYX")]
)
def test_patches_when_the_image_has_other_axes_then_channels_and_planes_are_kept(shape, axes):
    image = Image(np.random.default_rng(0).random(shape), axes)
    found = drawn(PreviewRequest(image, options=TrainOptions(augment="fluorescence", patch=EDGE), time=1))
    spatial = [min(EDGE, n) for n in image.spatial_shape]
    height, width = ROWS * spatial[-2] + GAP * (ROWS - 1), COLUMNS * spatial[-1] + GAP * (COLUMNS - 1)
    assert found.image.shape == (image.n_channels, *spatial[:-2], height, width)
    assert found.labels.shape == found.image.shape[1:]
    assert np.isfinite(found.image).all()


def test_patches_when_label_numbers_are_huge_then_objects_stay_apart():
    sample = blobs()
    labels = np.where(sample.labels > 0, sample.labels.astype(np.int64) + 2**24, 0)
    found = drawn(of(replace(sample, labels=labels)))
    assert 1 < len(np.unique(found.labels)) <= len(np.unique(labels))


def test_patches_when_the_seed_is_another_then_so_are_they():
    sample = blobs()
    one, same, other = (drawn(of(sample, options=TrainOptions(seed=seed, patch=EDGE))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.image, same.image)
    assert not np.array_equal(one.image, other.image)
    assert "microscopy" in one.words
