"""From a sample to tensors: at the scale at which the network will segment, finite, and only what is annotated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.pipeline.prepare import prepare, prepare_all
from napari_unet.core.store.training_set import Sample
from napari_unet.core.targets import get_target
from napari_unet.core.targets.weights import border_weights
from tests.core.phantoms import blobs, tiny_spec


def test_prepare_when_the_sample_fits_then_stacks_vectors_maps_and_weights():
    sample = blobs(n=5)
    prepared = prepare(sample, tiny_spec())
    assert prepared.image.shape == (1, 96, 96)
    assert prepared.target.shape == (2 + 2 + 2, 96, 96)
    np.testing.assert_array_equal(prepared.target[2] > 0.5, sample.labels > 0)
    assert prepared.image.dtype == prepared.target.dtype == torch.float16
    np.testing.assert_array_equal(np.sort(sample.labels[tuple(prepared.centres.T)]), np.arange(1, 6))


@pytest.mark.parametrize(
    ("spec", "voxel_size", "shape"),
    [
        ({}, None, (96, 96)),
        ({"object_size": 32.0}, None, (192, 192)),
        ({"object_size": 20.0}, None, (96, 96)),
        ({"voxel_size": (0.5, 0.5)}, (1.0, 1.0), (192, 192)),
        ({"voxel_size": (0.5, 0.5)}, (0.5, 1.0), (96, 192)),
        ({"voxel_size": (0.5, 0.5)}, None, (96, 96)),
        ({"object_size": None}, (9.0, 9.0), (96, 96)),
    ],
)
def test_prepare_when_scales_differ_then_brings_the_sample_to_the_models(spec, voxel_size, shape):
    sample = blobs()
    sample = replace(sample, image=replace(sample.image, voxel_size=voxel_size))
    prepared = prepare(sample, tiny_spec(**spec))
    assert prepared.image.shape[1:] == prepared.target.shape[1:] == shape
    assert prepare(sample, tiny_spec(**spec), rescale=False).image.shape[1:] == (96, 96)
    assert torch.isfinite(prepared.target).all()


def test_prepare_when_an_anisotropic_stack_is_rescaled_then_distances_stay_lengths():
    sample = blobs(shape=(24, 64, 64), n=4, radius=8.0, voxel_size=(1.0, 1.0, 1.0))
    spec = tiny_spec(dims=3, voxel_size=(2.0, 1.0, 1.0))
    distance = prepare(sample, spec).target[3 + 1]
    assert distance.shape == (12, 64, 64)
    middle = prepare(sample, spec).centres[0]
    column, row = distance[:, middle[1], middle[2]], distance[middle[0], middle[1]]
    # half as many voxels upwards as sideways, each twice as long
    assert (column > 0.5).sum() == pytest.approx((row > 0.5).sum() / 2, abs=1.5)


def test_prepare_when_a_pixel_is_extremely_bright_then_stays_finite():
    sample = blobs()
    data = sample.image.data.astype(np.float64)
    data[0, 0] = 1e9
    prepared = prepare(replace(sample, image=replace(sample.image, data=data)), tiny_spec())
    assert torch.isfinite(prepared.image).all()


def test_prepare_when_partly_annotated_then_points_lie_only_where_something_is_known():
    sample = blobs()
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[:, :40] = 1
    prepared = prepare(replace(sample, annotated=annotated), tiny_spec(object_size=None))
    assert (prepared.known[:, 1] < 40).all()
    assert (prepared.centres[:, 1] < 40).all()
    assert (prepared.target[-2:, :, 40:] == 0).all()


@pytest.mark.parametrize("side", [slice(0, 40), slice(30, 70), slice(50, 96)])
def test_prepare_when_partly_annotated_then_what_is_learned_is_that_of_the_whole_image(side):
    sample, spec = blobs(n=8), tiny_spec(object_size=None)
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[side, 10:80] = 1
    whole = get_target("instances").encode(sample.labels, annotated, (1.0, 1.0))
    found = prepare(replace(sample, annotated=annotated), spec).target.numpy()
    np.testing.assert_array_equal(found[2:4], whole.target[:2].astype(np.float16))
    np.testing.assert_array_equal(found[:2], whole.target[2:].astype(np.float16))
    np.testing.assert_array_equal(found[4:], whole.weight.astype(np.float16))


@pytest.mark.parametrize(
    ("changes", "voxel_size", "shapes"),
    [
        ({"object_size": 32.0}, None, [(192, 192), (96, 96)]),
        ({"object_size": 16.0}, None, [(96, 96)]),
        ({"object_size": 5.0}, None, [(30, 30)]),
        ({"voxel_size": (0.5, 0.5)}, (1.0, 1.0), [(192, 192)]),
    ],
)
def test_prepare_all_when_small_objects_were_measured_then_they_are_learned_as_they_are_too(
    changes, voxel_size, shapes
):
    sample = blobs(n=5, voxel_size=voxel_size)
    found = prepare_all([sample], tiny_spec(**changes), also_small=True)
    assert [one.image.shape[1:] for one in found] == shapes
    usual = prepare_all([sample], tiny_spec(**changes))
    assert sum(one.weight for one in found) == pytest.approx(sum(one.weight for one in usual))
    assert len(usual) == 1


def test_prepare_when_there_are_more_objects_then_the_sample_has_more_patches():
    few, many = (prepare(blobs(n=n), tiny_spec()).weight for n in (2, 8))
    assert few < many
    assert prepare(blobs(), tiny_spec(), weight=0.25).weight == 0.25


@pytest.mark.parametrize("weighting", ["border", "classes"])
def test_prepare_when_voxels_are_weighed_then_only_the_class_weight_changes(weighting):
    sample = blobs(gap=1.0)
    annotated = np.ones(sample.labels.shape, np.uint8)
    annotated[:, 70:] = 0
    sample = replace(sample, annotated=annotated)
    plain, weighed = (prepare(sample, tiny_spec(object_size=None), weighting=w) for w in ("none", weighting))
    np.testing.assert_array_equal(plain.target[:-2], weighed.target[:-2])
    np.testing.assert_array_equal(plain.target[-1], weighed.target[-1])
    assert (weighed.target[-2, :, 70:] == 0).all()
    factors = (weighed.target[-2] / plain.target[-2])[:, :70].float()
    if weighting == "border":
        expected = border_weights(np.where(annotated, sample.labels, 0), (1.0, 1.0))[:, :70]
        np.testing.assert_allclose(factors, expected, rtol=2e-3)  # kept in half precision
    else:
        assert len(factors.unique()) < 6  # one for the objects and one for the background, rounded
        assert factors[sample.labels[:, :70] > 0].min() > 1 > factors[sample.labels[:, :70] == 0].max()


def test_prepare_when_classes_are_weighed_then_the_rarest_counts_most():
    sample = blobs(n=3)
    spec = tiny_spec(target="semantic", classes=("a", "b", "c"))
    weights = prepare(sample, spec, weighting="classes").target[-2].float().numpy()
    sizes = np.bincount(sample.labels.ravel())
    each = np.array([weights[sample.labels == number].mean() for number in range(4)])
    np.testing.assert_allclose(each / each[0], np.sqrt(sizes[0] / sizes), rtol=2e-3)


def test_prepare_when_the_weighting_does_not_fit_the_target_then_is_refused():
    with pytest.raises(UserError, match="is for instances"):
        prepare(blobs(n=2), tiny_spec(target="semantic", classes=("a", "b")), weighting="border")


def test_prepare_when_channels_do_not_fit_then_is_refused():
    image = Image(np.random.default_rng(0).random((2, 16, 16)), "CYX")
    with pytest.raises(UserError, match="2 channels"):
        prepare(Sample(image, np.zeros((16, 16), int)), tiny_spec())


def test_prepare_all_when_the_model_is_for_planes_then_each_annotated_plane_is_as_bright_as_in_the_stack():
    sample = blobs(shape=(6, 48, 48), n=4, radius=5.0)
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[[1, 4]] = 1
    planes = prepare_all([replace(sample, annotated=annotated)], tiny_spec(object_size=None))
    whole = prepare(sample, tiny_spec(dims=3, object_size=None))
    assert len(planes) == 2
    for plane, z in zip(planes, (1, 4), strict=True):
        torch.testing.assert_close(plane.image, whole.image[:, z])
