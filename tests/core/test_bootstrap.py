"""Intervals: reproducible, of the right width, and holding the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics import instances
from napari_unet.core.metrics.bootstrap import bootstrap, percentile_interval, resample_weights
from napari_unet.core.metrics.instances import Counts, average_precision, pool


def _mean(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


def _table(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)


def test_bootstrap_when_the_seed_is_the_same_then_so_is_the_interval() -> None:
    table = _table(np.random.default_rng(0).normal(size=20))

    assert bootstrap(table, _mean, seed=3) == bootstrap(table, _mean, seed=3)
    assert bootstrap(table, _mean, seed=3) != bootstrap(table, _mean, seed=4)


def test_bootstrap_when_repeated_on_new_images_then_holds_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        low, high = bootstrap(_table(rng.gamma(2.0, 1.0, size=50)), _mean, n_resamples=500)
        held.append(low <= 2.0 <= high)

    # 0.95 is asked; percentile intervals of 50 skewed values are slightly too narrow, 300 trials leave +- 0.025.
    assert 0.89 <= np.mean(held) <= 0.98


def test_bootstrap_when_the_mean_is_of_normal_values_then_the_width_is_that_of_the_formula() -> None:
    values = np.random.default_rng(1).normal(size=400)

    low, high = bootstrap(_table(values), _mean, n_resamples=4000)

    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_resampled_counts_when_pooled_in_a_loop_then_give_the_same_scores() -> None:
    rng = np.random.default_rng(0)
    counts = [Counts((0.5, 0.75), *(tuple(rng.integers(0, 9, 2).tolist()) for _ in range(4))) for _ in range(5)]
    weights = resample_weights(5, n_resamples=7)

    found = instances.rate("ap", np.tensordot(weights, instances.as_table(counts), axes=1))

    for row, drawn in zip(found, weights.astype(int), strict=True):
        picked = [one for one, n in zip(counts, drawn, strict=True) for _ in range(n)]
        assert row.tolist() == pytest.approx(average_precision(pool(picked, (0.5, 0.75))))


def test_resample_weights_when_drawn_then_each_resample_has_as_many_images() -> None:
    weights = resample_weights(9, n_resamples=50)

    assert weights.shape == (50, 9)
    assert set(weights.sum(axis=1)) == {9.0}
    assert len(np.unique(weights, axis=0)) > 40


def test_resample_weights_when_there_is_no_image_then_says_so() -> None:
    with pytest.raises(UserError, match="no image"):
        resample_weights(0)


def test_percentile_interval_when_some_resamples_have_no_score_then_they_are_left_out() -> None:
    samples = np.array([[np.nan, np.nan], [1.0, np.nan], [3.0, np.nan]])

    low, high = percentile_interval(samples, level=1.0)

    assert (low[0], high[0]) == (1.0, 3.0)
    assert np.isnan(low[1])
    assert np.isnan(high[1])
