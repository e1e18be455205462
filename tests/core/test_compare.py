"""Two models compared: the interval of their difference, and the cells gained and lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.core.metrics.instances import average_precision, match_counts
from napari_unet.core.pipeline import compare as module
from napari_unet.core.pipeline.compare import (
    THRESHOLDS,
    compare,
    compare_cells,
    judge,
    mean_ap,
    mean_of_ones,
    paired_interval,
)
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.store.models import Model
from tests.core.phantoms import blobs

TABLES = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[arrays(np.float64, (n, 3, 2), elements=st.integers(0, 3).map(float))] * 2)
)
LABELS = arrays(np.int32, (6, 9), elements=st.integers(0, 4))


@given(TABLES)
def test_interval_when_models_change_places_then_it_is_mirrored_and_in_order(tables):
    before, after = tables
    low, high = paired_interval(before, after, mean_ap, n_resamples=50)
    assert -1 <= low <= high <= 1
    assert paired_interval(after, before, mean_ap, n_resamples=50) == pytest.approx((-high, -low))
    assert paired_interval(after, after, mean_ap, n_resamples=50) == (0, 0)


@given(arrays(np.float64, (8, 2), elements=st.floats(0, 1)), st.floats(0, 0.5))
def test_interval_when_all_units_gain_alike_then_it_is_that_gain(values, gain):
    before = np.stack([values[:, 0], np.ones(8)], axis=1)
    after = before + np.array([gain, 0])
    assert paired_interval(before, after, mean_of_ones, n_resamples=50) == pytest.approx((gain, gain))


def test_interval_when_there_are_more_cells_than_are_drawn_singly_then_it_is_nearly_the_same(monkeypatch):
    found = np.random.default_rng(0).random((2, 400)) < np.array([[0.6], [0.8]])
    tables = [np.stack([f, np.zeros(400), ~f], axis=1)[..., None].astype(float) for f in found]
    wide = paired_interval(*tables, mean_ap)
    monkeypatch.setattr(module, "MOST_UNITS", 100)
    assert paired_interval(*tables, mean_ap) == pytest.approx(wide, abs=0.03)


def test_interval_when_the_new_model_is_no_better_then_it_holds_zero_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        one, other = (np.stack([rng.random(40), np.ones(40)], axis=1) for _ in range(2))
        low, high = paired_interval(one, other, mean_of_ones, n_resamples=300)
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 1


@given(LABELS, LABELS, LABELS)
def test_cells_when_anything_is_compared_then_the_units_add_up_to_the_whole(before, after, truth):
    gained, lost, changed, tables = compare_cells(before, after, truth)
    for labels, table in zip((before, after), tables, strict=True):
        counts = match_counts(labels, truth, THRESHOLDS)
        np.testing.assert_array_equal(table.sum(axis=0), [counts.tp, counts.fp, counts.fn])
        assert mean_ap(table.sum(axis=0)[None])[0] == pytest.approx(np.mean(average_precision(counts)))
    assert not set(gained) & set(lost)
    assert not set(changed) & {*gained, *lost}
    counts = [match_counts(labels, truth, THRESHOLDS).tp[0] for labels in (before, after)]
    assert counts[1] - counts[0] == len(gained) - len(lost)


def test_cells_when_one_comes_one_goes_and_one_grows_then_each_is_named():
    truth = np.zeros((10, 40), np.int32)
    for number, x in enumerate((1, 11, 21, 31), start=5):
        truth[1:9, x : x + 8] = number
    before, after = truth.copy(), truth.copy()
    before[truth == 5] = 0
    after[truth == 6] = 0
    before[1:4][truth[1:4] == 7] = 0
    gained, lost, changed, _ = compare_cells(before, after, truth)
    assert (gained, lost, changed) == ((5,), (6,), (7,))


def test_judge_when_a_model_finds_nothing_then_its_cells_are_lost(taught):
    model, sample = taught
    blind = Model(model.spec, {k: v.clone() for k, v in model.weights.items()})
    blind.weights["head.bias"] -= 100
    (part,) = judge(model, blind, [sample])
    assert len(part.lost) >= 8
    assert not part.gained
    assert part.before.shape == part.cells.shape == sample.labels.shape
    found = compare([part])
    assert (found.before, found.after) == pytest.approx((score(model, [sample]), score(blind, [sample])))
    assert found.low <= found.after - found.before <= found.high < 0
    assert (found.n_units, found.unit) == (len(part.tables[0]), "cells")


def test_judge_when_only_a_part_is_annotated_then_only_that_is_judged(taught):
    model, sample = taught
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[:48] = 1
    half = replace(sample, annotated=annotated)
    (part,) = judge(model, model, [half])
    assert compare([part]).before == pytest.approx(score(model, [half]))
    assert (part.gained, part.lost, part.changed) == ((), (), ())


def test_compare_when_there_are_many_images_then_they_are_drawn_as_a_whole(taught):
    model, _ = taught
    samples = [blobs(seed, shape=(48, 48), n=2, name=f"s{seed}") for seed in range(10)]
    found = compare(judge(model, model, samples))
    assert (found.n_units, found.unit, found.low, found.high) == (10, "images", 0, 0)


def test_compare_when_there_is_little_then_no_interval_is_claimed(taught):
    model, _ = taught
    found = compare(judge(model, model, [blobs(n=2)]))
    assert np.isnan(found.low)
    assert found.before > 0
    assert np.isnan(compare([]).before)


def test_judge_when_labels_are_classes_then_voxels_are_gained_and_lost():
    from napari_unet.core.store.models import initial_model
    from tests.core.phantoms import tiny_spec

    spec = tiny_spec(target="semantic", classes=("a", "b"), object_size=None)
    one, other = initial_model(spec, 0), initial_model(spec, 1)
    sample = replace(blobs(n=2), labels=(blobs(n=2).labels > 0).astype(np.int32))
    (part,) = judge(one, other, [sample])
    right = [labels == sample.labels for labels in (part.before, part.after)]
    np.testing.assert_array_equal(part.cells == 1, right[1] & ~right[0])
    np.testing.assert_array_equal(part.cells == 2, right[0] & ~right[1])
    found = compare([part], semantic=True)
    assert (found.before, found.after) == pytest.approx((score(one, [sample]), score(other, [sample])))
