"""Generated images: deterministic, with labels that fit and enough contrast to be worth segmenting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from napari_unet.core.base.parts import check_image
from napari_unet.core.synthetic import SYNTHETIC, mri_classes, nuclei_2d, nuclei_3d

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.core.synthetic.sample import Synthetic

SMALL = {"nuclei_2d": (128, 120), "nuclei_3d": (16, 80, 72), "mri_classes": (20, 64, 60)}


@pytest.fixture(scope="module")
def samples() -> dict[str, Synthetic]:
    return {name: make(seed=1) for name, make in SYNTHETIC.items()}


@pytest.mark.parametrize("name", SYNTHETIC)
def test_synthetic_when_made_then_the_image_is_valid_and_the_labels_fit(
    name: str, samples: dict[str, Synthetic]
) -> None:
    sample = samples[name]

    check_image(sample.image)
    assert sample.labels.shape == sample.image.label_shape
    assert sample.labels.dtype == np.int32
    assert sample.image.voxel_size is not None
    n = int(sample.labels.max())
    assert set(np.unique(sample.labels)) == set(range(n + 1))
    assert len(sample.classes) in (0, n)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_synthetic_when_the_seed_is_the_same_then_so_is_the_image(name: str) -> None:
    options = {} if name == "mri_classes" else {"n": 12}
    first, second, other = (SYNTHETIC[name](seed=s, shape=SMALL[name], **options) for s in (4, 4, 5))

    assert first.image.data.shape == SMALL[name]
    np.testing.assert_array_equal(first.image.data, second.image.data)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert not np.array_equal(first.image.data, other.image.data)
    assert not np.array_equal(first.labels, other.labels)


@pytest.mark.parametrize(("make", "n"), [(nuclei_2d, 120), (nuclei_3d, 60)])
def test_nuclei_when_made_then_all_are_placed_and_many_touch(make: Callable[..., Synthetic], n: int) -> None:
    labels = make(seed=2).labels

    assert labels.max() == n
    touching = set()
    for axis in range(labels.ndim):
        a = np.moveaxis(labels, axis, 0)
        pairs = (a[1:] != a[:-1]) & (a[1:] > 0) & (a[:-1] > 0)
        touching |= set(a[1:][pairs]) | set(a[:-1][pairs])
    assert n / 4 < len(touching) < n


@pytest.mark.parametrize("name", ["nuclei_2d", "nuclei_3d"])
def test_nuclei_when_seen_then_are_brighter_than_their_surroundings_and_vary(
    name: str, samples: dict[str, Synthetic]
) -> None:
    data, labels = samples[name].image.data.astype(float), samples[name].labels
    means = np.array([data[labels == k].mean() for k in range(1, labels.max() + 1)])
    outside = data[~binary_dilation(labels > 0, iterations=3)]

    assert means.min() > outside.mean() + 3 * outside.std()
    assert means.max() > 1.5 * np.median(means)


def test_nuclei_when_anisotropic_then_are_round_in_micrometres_and_flat_in_voxels() -> None:
    sample = nuclei_3d(seed=3)
    extents = []
    for k in range(1, sample.labels.max() + 1):
        z, y, x = np.nonzero(sample.labels == k)
        if z.min() > 0 and z.max() < 31 and min(y.min(), x.min()) > 0 and max(y.max(), x.max()) < 159:
            extents.append((np.ptp(z) + 1, np.ptp(y) + 1))
    planes, rows = np.median(extents, axis=0)

    assert sample.image.voxel_size == (1.0, 0.25, 0.25)
    assert 0.7 < planes * 1.0 / (rows * 0.25) < 1.4


def test_nuclei_when_there_is_no_room_then_fewer_are_placed() -> None:
    sample = nuclei_2d(seed=0, shape=(64, 64), n=60)

    assert 1 <= sample.labels.max() < 60


def test_mri_when_made_then_classes_differ_in_brightness_as_in_t1() -> None:
    sample = mri_classes(seed=0)
    csf, grey, white = (float(np.median(sample.image.data[sample.labels == k])) for k in (1, 2, 3))

    assert sample.classes == ("csf", "grey matter", "white matter")
    assert sample.image.voxel_size == (1500.0, 1500.0, 1500.0)
    assert csf < 0.75 * grey < 0.75 * white
    assert min(np.bincount(sample.labels.ravel(), minlength=4)) > 0.03 * sample.labels.size
