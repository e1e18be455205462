"""What is drawn in single slices of a stack says what is there, and not how high it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_unet.core.base.image import Image
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.sections import as_sections
from napari_unet.core.store.training_set import Sample
from tests.core.phantoms import tiny_spec

SHAPE = (12, 40, 40)


def discs(*slices: int, voxel_size: tuple[float, ...] | None = None, axis: int = 0) -> Sample:
    """Draw a ball, and a disc of 12 voxels in some slices; both are annotated, with the background near them."""
    z, y, x = np.indices(SHAPE)
    labels = np.where((z - 6) ** 2 + (y - 10) ** 2 + (x - 10) ** 2 <= 25, 1, 0)
    labels[((y - 28) ** 2 + (x - 28) ** 2 <= 36) & np.isin(z, slices)] = 700
    labels = np.moveaxis(labels, 0, axis)
    annotated = np.where(labels == 700, 1, 0)
    annotated |= np.moveaxis((y < 20) & (x < 20), 0, axis)
    image = Image(np.random.default_rng(0).random(labels.shape, np.float32), "ZYX", voxel_size, "stack")
    return Sample(image, labels.astype(np.int32), annotated.astype(np.uint8), "stack")


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [(3,), (3, 5, 9), (0,)])
def test_sections_when_drawn_in_single_slices_then_they_are_cut_and_whole_objects_stay(slices, axis):
    sample = discs(*slices, axis=axis)
    found = as_sections(sample)
    assert set(np.unique(found.annotated[sample.labels == 700])) == {2}
    np.testing.assert_array_equal(found.annotated[sample.labels != 700], sample.annotated[sample.labels != 700])


@pytest.mark.parametrize(
    "sample",
    [
        discs(3, 4),
        discs(3, voxel_size=(7.0, 1.0, 1.0)),  # a slice as thick as half the disc may hold all of it
        replace(discs(3), annotated=None),
        replace(discs(3), annotated=np.zeros(SHAPE, np.uint8)),
    ],
    ids=["two slices", "thick slices", "all is annotated", "nothing is"],
)
def test_sections_when_an_object_may_be_whole_then_nothing_changes(sample):
    np.testing.assert_array_equal(as_sections(sample).annotated, sample.annotated)


def test_prepare_when_a_section_is_annotated_then_it_teaches_its_class_and_not_its_shape():
    sample = discs(3)
    prepared = prepare(sample, tiny_spec(dims=3, object_size=None))
    classes, shapes = (part.numpy() > 0 for part in prepared.target[-2:])
    section, ball = sample.labels == 700, sample.labels == 1
    assert classes[section].all()
    assert not shapes[section].any()
    assert shapes[ball].all()
