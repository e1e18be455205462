"""Held-out corrections: no cell is learned from and judged on, and the words say what was held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.core.base.image import Image
from napari_unet.core.pipeline.split import SEVERAL, count_objects, split
from napari_unet.core.store.training_set import Sample
from tests.core.phantoms import blobs


def cells(samples):
    """List the annotated cells, each as the sample's name and its number."""
    found = set()
    for sample in samples:
        known = sample.labels if sample.annotated is None else sample.labels[sample.annotated > 0]
        found |= {(sample.name, int(i)) for i in np.unique(known[known > 0])}
    return found


def known_voxels(samples, name):
    masks = [s.annotated > 0 for s in samples if s.name == name and s.annotated is not None]
    return np.logical_or.reduce(masks) if masks else np.zeros(1, bool)


def with_regions(sample, *boxes):
    annotated = np.zeros(sample.labels.shape, np.uint8)
    for box in boxes:
        annotated[box] = 1
    return replace(sample, annotated=annotated)


@st.composite
def corrections(draw):
    samples = []
    for number in range(draw(st.integers(1, 4))):
        shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=14))
        labels = draw(hnp.arrays(np.int32, shape, elements=st.integers(0, 6)))
        annotated = draw(st.none() | hnp.arrays(np.uint8, shape, elements=st.integers(0, 2)))
        samples.append(Sample(Image(np.zeros(shape), "YX"), labels, annotated, f"s{number}"))
    return samples


@given(corrections())
def test_split_when_given_any_corrections_then_no_cell_is_in_both_parts(samples):
    for fold in split(samples).folds:
        train, held = cells(fold.train), cells(fold.held_out)
        assert train
        assert held
        assert not train & held
        assert train | held <= cells(samples)


@given(corrections(), st.booleans())
def test_split_when_given_any_corrections_then_nothing_unknown_becomes_known(samples, semantic):
    for fold in split(samples, semantic=semantic).folds:
        for original in samples:
            if original.annotated is None:
                continue
            for part in (fold.train, fold.held_out):
                assert not (known_voxels(part, original.name) & (original.annotated == 0)).any()


@pytest.mark.parametrize("n", [SEVERAL, 5])
def test_split_when_there_are_several_images_then_whole_images_are_held_out(n):
    samples = [blobs(seed, n=3, name=f"s{seed}") for seed in range(n)]
    found = split(samples)
    assert found.words == "images"
    assert len(found.folds) == 2
    for fold in found.folds:
        assert {id(s) for s in (*fold.train, *fold.held_out)} == {id(s) for s in samples}
    assert found.n_held_out == 3 * n


def test_split_when_there_are_many_cells_then_one_part_is_held_out_once():
    samples = [blobs(seed, name=f"s{seed}") for seed in range(8)]
    found = split(samples)
    assert len(found.folds) == 1
    assert len(found.folds[0].held_out) == 2
    assert found.n_held_out == 20


def test_split_when_one_image_has_regions_then_they_are_held_out_apart():
    sample = blobs(shape=(96, 300), n=24)
    regions = [np.s_[:, 0:90], np.s_[:, 100:190], np.s_[:, 200:300]]
    found = split([with_regions(sample, *regions)])
    assert found.words == "regions"
    for fold in found.folds:
        for box in regions:
            parts = [bool(known_voxels(part, sample.name)[box].any()) for part in (fold.train, fold.held_out)]
            assert sorted(parts) == [False, True]


def test_split_when_a_cell_lies_in_two_regions_then_it_is_in_one_part_only():
    labels = np.zeros((40, 90), np.int32)
    for number, column in enumerate(range(2, 82, 8), 1):
        labels[10:16, column : column + 5] = number
    labels[20:30, 22:38] = 99  # reaches from the first into the second region
    sample = Sample(Image(np.zeros(labels.shape), "YX"), labels, None, "s")
    sample = with_regions(sample, np.s_[:, 0:28], np.s_[:, 30:58], np.s_[:, 60:90])
    found = split([sample])
    assert found.words == "regions"
    for fold in found.folds:
        assert not cells(fold.train) & cells(fold.held_out)
        assert ("s", 99) in cells(fold.train) | cells(fold.held_out)


@pytest.mark.parametrize("annotated", ["all", "cells"])
def test_split_when_there_is_one_image_then_two_folds_of_cells_by_place(annotated):
    sample = blobs(shape=(64, 200), n=10)
    if annotated == "cells":
        sample = replace(sample, annotated=(sample.labels > 0).astype(np.uint8))
    found = split([sample])
    assert found.words == "two folds of cells by place"
    assert len(found.folds) == 2
    assert found.n_held_out == 10
    for fold in found.folds:
        assert cells(fold.train) | cells(fold.held_out) == cells([sample])
        columns = [
            [np.nonzero(sample.labels == number)[1].mean() for _, number in cells(part)]
            for part in (fold.train, fold.held_out)
        ]
        assert max(columns[0]) < min(columns[1]) or max(columns[1]) < min(columns[0])


def test_split_when_numbers_are_huge_then_folds_are_the_same():
    sample = blobs(n=6)
    huge = replace(sample, labels=np.where(sample.labels > 0, sample.labels.astype(np.int64) + 2**60, 0))
    for ours, theirs in zip(split([sample]).folds, split([huge]).folds, strict=True):
        np.testing.assert_array_equal(ours.train[0].annotated, theirs.train[0].annotated)


@pytest.mark.parametrize("n", [0, 1])
def test_split_when_there_is_too_little_then_nothing_is_held_out(n):
    found = split([blobs(n=n)])
    assert found.folds == ()
    assert found.n_held_out == 0
    assert found.words.startswith("nothing")


def semantic_sample(shape=(40, 60)):
    """Give an image of three classes that lie everywhere."""
    labels = np.random.default_rng(0).integers(0, 4, shape).astype(np.int32)
    return Sample(Image(labels.astype(np.float32), "YX"), labels, None, "tissue")


def test_split_when_labels_are_classes_then_each_part_keeps_all_of_them():
    sample = semantic_sample()
    found = split([sample], semantic=True)
    assert found.words == "two halves by place"
    assert len(found.folds) == 2
    for fold in found.folds:
        assert cells(fold.train) == cells(fold.held_out) == cells([sample])
        ours, theirs = (known_voxels(part, "tissue") for part in (fold.train, fold.held_out))
        assert not (ours & theirs).any()
        assert (ours | theirs).all()


def test_split_when_classes_are_drawn_in_regions_then_regions_are_held_out_apart():
    sample = with_regions(semantic_sample((40, 90)), np.s_[:, 0:20], np.s_[:, 30:50], np.s_[:, 60:90])
    found = split([sample], semantic=True)
    assert found.words == "regions"
    assert len(found.folds) == 2


@given(corrections())
def test_count_objects_when_partly_annotated_then_counts_only_what_teaches(samples):
    assert sum(count_objects(s) for s in samples) == len(cells(samples))
