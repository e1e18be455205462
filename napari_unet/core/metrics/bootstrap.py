"""Say how sure a score of several images is: percentile intervals by resampling the images.

Every score is a function of sums over images: pooled counts are sums, a mean is a sum of values by a sum of ones. So a
resample is a row of weights, how often each image was drawn, and all resamples together are one product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError

RESAMPLES = 2000
LEVEL = 0.95


def resample_weights(n_images: int, n_resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Draw as many images as there are, with replacement, again and again.

    Parameters
    ----------
    n_images : int, 1 and above
        Images are drawn as a whole, because objects of one image are alike.
    n_resamples : int, 1 and above
        How many times. Needs 16 bytes for each image and resample.
    seed : int
        The same one gives the same draws.

    Returns
    -------
    (n_resamples, n_images) float64
        How often each image was drawn.

    References
    ----------
    Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979, doi:10.1214/aos/1176344552.

    Raises
    ------
    UserError
        When there is no image.
    """
    if n_images < 1:
        raise UserError("There is no image to resample.", "Score at least one.")
    drawn = np.random.default_rng(seed).multinomial(n_images, np.full(n_images, 1 / n_images), size=n_resamples)
    return drawn.astype(np.float64)


def percentile_interval(
    samples: NDArray[np.float64], level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cut off the same share at both ends.

    Parameters
    ----------
    samples : (n_resamples, ...) float64
        A score of each resample; NaN where a resample has none, which is left out.
    level : float, 0 to 1
        The share to keep.

    Returns
    -------
    low, high : (...) float64
        NaN where no resample has a score.
    """
    flat = samples.reshape(len(samples), -1)
    low, high = np.full((2, flat.shape[1]), np.nan)
    for i, column in enumerate(flat.T):
        known = column[~np.isnan(column)]
        if len(known):
            low[i], high[i] = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return low.reshape(samples.shape[1:]), high.reshape(samples.shape[1:])


def bootstrap(
    table: NDArray[np.float64],
    score: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    level: float = LEVEL,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the interval in which a score lies when other images of the same kind are taken.

    Parameters
    ----------
    table : (n_images, ...) float64
        What is summed over images, such as `instances.as_table` gives.
    score : callable
        From sums of the shape (n_resamples, ...) to scores, the resamples first.
    level : float, 0 to 1
        How often the interval shall hold the true value. With few images (below about 20) it does so less often than
        it says, and with one image it is a single point.
    n_resamples, seed : int
        As `resample_weights` takes them.

    Returns
    -------
    low, high : arrays of the shape of one resample's score

    Raises
    ------
    UserError
        When there is no image.

    Examples
    --------
    >>> import numpy as np
    >>> dice = np.array([0.8, 0.9, 0.7, 0.85])
    >>> low, high = bootstrap(np.stack([dice, np.ones(4)], axis=1), lambda s: s[:, 0] / s[:, 1])
    >>> bool(low < dice.mean() < high)
    True
    """
    sums = np.tensordot(resample_weights(len(table), n_resamples, seed), table, axes=1)
    return percentile_interval(score(sums), level)
