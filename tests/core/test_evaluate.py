"""Scores: what is not annotated neither helps nor harms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_unet.core.pipeline.evaluate import comparable, predict_samples, score, score_kept
from napari_unet.core.store.training_set import Sample
from napari_unet.core.targets import DecodeSettings
from tests.core.phantoms import blobs

HALF = np.s_[:, :48]


def known(sample, box):
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[box] = 1
    cut = [i for i in np.unique(sample.labels[box]) if i and (annotated[sample.labels == i] == 0).any()]
    annotated[np.isin(sample.labels, cut) & (annotated == 1)] = 2
    return replace(sample, annotated=annotated)


def without(sample, *numbers):
    return replace(sample, labels=np.where(np.isin(sample.labels, numbers), 0, sample.labels))


def test_score_when_the_model_is_right_then_is_1(oracle):
    assert score(oracle(), [blobs(0), blobs(1)]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("missing", [1, 5])
def test_score_when_objects_are_too_many_then_falls_with_their_share(oracle, missing):
    sample = without(blobs(), *range(1, missing + 1))
    assert score(oracle(), [sample]) == pytest.approx((10 - missing) / 10, abs=0.02)


def test_score_when_images_differ_in_number_of_objects_then_is_pooled(oracle):
    many, few = blobs(0, n=10), without(blobs(1, n=2), 1)
    assert score(oracle(), [many, few]) == pytest.approx(11 / 12, abs=0.02)


def test_score_when_only_a_part_is_annotated_then_only_it_counts(oracle):
    part = known(blobs(), HALF)
    scribbled = replace(part, labels=np.where(part.annotated > 0, part.labels, 77))
    assert score(oracle(), [part]) == score(oracle(), [scribbled]) == pytest.approx(1, abs=0.02)


def test_score_when_background_is_annotated_where_objects_are_found_then_falls(oracle):
    sample = blobs()
    deleted = replace(without(sample, 2), annotated=np.isin(sample.labels, [1, 2, 3]).astype(np.uint8))
    assert score(oracle(), [deleted]) == pytest.approx(2 / 3, abs=0.02)


def test_score_when_a_sample_is_not_annotated_then_it_is_left_out(oracle):
    blank = replace(blobs(1), annotated=np.zeros((96, 96), np.uint8))
    assert score(oracle(), [blobs(0), blank]) == score(oracle(), [blobs(0)])
    assert score(oracle(), [blank]) == 0


def test_comparable_when_objects_are_cut_or_unknown_then_they_are_not_judged():
    truth = np.array([[1, 1, 2, 2, 3, 3]])
    annotated = np.array([[1, 1, 2, 0, 0, 1]], np.uint8)
    labels = np.array([[4, 4, 4, 5, 5, 6]])
    sample = Sample(blobs(shape=(1, 6), n=0).image, truth, annotated)
    found, wanted = comparable(labels, sample, (slice(0, 1), slice(0, 6)))
    np.testing.assert_array_equal(found, [[4, 4, 4, 0, 0, 6]])
    np.testing.assert_array_equal(wanted, [[1, 1, 0, 0, 0, 3]])


def test_predict_when_a_part_is_annotated_then_only_its_surroundings_are_computed(oracle):
    sample = known(blobs(shape=(96, 300), n=20), np.s_[40:60, 100:150])
    (kept,) = predict_samples(oracle(), [sample])
    assert kept.box == (slice(24, 76), slice(84, 166))
    assert kept.prediction.shape == (52, 82)


def test_score_kept_when_settings_are_given_then_they_are_used(oracle):
    model = oracle()
    kept = predict_samples(model, [blobs()])
    assert score_kept(model, kept, DecodeSettings(min_size=10_000)) == 0
    assert score_kept(model, kept, model.decode) == score_kept(model, kept)


def test_score_when_labels_are_classes_then_is_the_mean_dice_of_those_that_occur(oracle):
    model = oracle()
    sample = replace(blobs(), labels=np.minimum(blobs().labels, 1))
    semantic = oracle(target="semantic", classes=("blob", "other"))
    kept = predict_samples(semantic, [sample])
    maps = np.stack([sample.labels == 0, sample.labels == 1, 0 * sample.labels]).astype(np.float16)
    maps[:, :48] = maps[::-1, :48] * 0 + np.array([1, 0, 0], np.float16).reshape(3, 1, 1)  # misses the upper half
    kept = [replace(kept[0], prediction=replace(kept[0].prediction, maps=(maps,)))]
    lower = np.count_nonzero(sample.labels[48:])
    assert score_kept(semantic, kept) == pytest.approx(2 * lower / (lower + np.count_nonzero(sample.labels)))
    below = replace(sample, annotated=(np.indices((96, 96))[0] >= 48).astype(np.uint8))
    assert score_kept(semantic, [replace(kept[0], sample=below)]) == 1
    assert model.spec.target == "instances"
