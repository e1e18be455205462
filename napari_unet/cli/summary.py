"""Scores of many images put together, each with the interval in which it would lie for other images of the same kind.

Objects are pooled, scores of masks averaged: both are functions of sums over images, so one function computes them of
the images as they are and of all resamples at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.metrics import instances, regions
from napari_unet.core.metrics.bootstrap import percentile_interval, resample_weights
from napari_unet.core.metrics.instances import RATES
from napari_unet.core.metrics.ratio import ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_unet.cli.scores import ImageScore

    Array = NDArray[np.float64]

MASK_SCORES = {"dice": "dice", "iou": "iou", "voxel_precision": "precision", "voxel_recall": "recall"}
"""Keys of the result, and the properties of `Agreement` they are the means of."""
DISTANCES = ("hausdorff", "hd95", "mean_distance")


def summarise(scores: Sequence[ImageScore]) -> dict[str, Any]:
    """Put the scores of many images together.

    Parameters
    ----------
    scores : sequence of ImageScore
        At least one.

    Returns
    -------
    dict
        ``n_images``; ``ap`` by IoU threshold, pooled over images; ``f1``, ``pq``, ``precision`` and ``recall`` at an
        IoU of 0.5, ``mean_ap``, ``aji``, ``seg`` and numbers of objects (None without objects); ``dice``, ``iou``,
        ``voxel_precision`` and ``voxel_recall`` by class, means over the images that have it; ``mean_dice``, the mean
        of ``dice``; ``pixel_accuracy``; ``surface``, None where nobody asked; ``interval``, their 95 %
        bootstrap intervals under the same keys, None with fewer than two images.
    """
    keys = sorted({k for one in scores for k in one.classes})
    tables = _tables(scores, keys)
    values = _leaves(_figures({name: one.sum(axis=0)[np.newaxis] for name, one in tables.items()}, keys), _only)
    interval = None
    if len(scores) > 1:
        weights = resample_weights(len(scores))
        resampled = {name: np.tensordot(weights, one, axes=1) for name, one in tables.items()}
        interval = _leaves(_figures(resampled, keys), _between)
    names = ("ap", "f1", "pq", "precision", "recall", "mean_ap", "aji", "seg")
    result = {"n_images": len(scores), **dict.fromkeys(names), **values, **_numbers(scores)}
    return {**result, "surface": _surface(scores, keys, values), "interval": interval}


def _tables(scores: Sequence[ImageScore], keys: list[int]) -> dict[str, Array]:
    """Put what is summed over images into arrays, the images first."""
    counts = [one.counts for one in scores if one.counts is not None]
    areas = [one.regions for one in scores if one.regions is not None]
    tables = {"masks": _stack([_masks(one, keys) for one in scores], len(MASK_SCORES) + 1)}
    tables["accuracy"] = np.array([(one.pixel_accuracy, 1.0) for one in scores])
    if len(counts) == len(areas) == len(scores):
        tables |= {"counts": instances.as_table(counts), "regions": regions.as_table(areas)}
    if all(one.surfaces is not None for one in scores):
        tables["surfaces"] = _stack([_surfaces(one, keys) for one in scores], len(DISTANCES) + 3)
    return tables


def _stack(rows: list[list[list[float]]], width: int) -> Array:
    """Make an array (images, classes, width), also where there is no class."""
    return np.array(rows, np.float64).reshape(len(rows), -1 if rows[0] else 0, width)


def _masks(score: ImageScore, keys: list[int]) -> list[list[float]]:
    """Give the scores of each class and a 1; zeros where the image does not have it."""
    return [
        [*(getattr(score.classes[k], name) for name in MASK_SCORES.values()), 1.0]
        if k in score.classes
        else [0.0] * (len(MASK_SCORES) + 1)
        for k in keys
    ]


def _surfaces(score: ImageScore, keys: list[int]) -> list[list[float]]:
    """Give the distances of each class and a 1, zeros where they are infinite; then its surface Dice and a 1."""
    rows = []
    for k in keys:
        one = (score.surfaces or {}).get(k)
        if one is None:
            rows.append([0.0] * (len(DISTANCES) + 3))
            continue
        distances = [getattr(one, name) for name in DISTANCES]
        finite = [*distances, 1.0] if np.isfinite(distances).all() else [0.0] * (len(DISTANCES) + 1)
        rows.append([*finite, 0.0 if one.dice is None else one.dice, float(one.dice is not None)])
    return rows


def _figures(sums: dict[str, Array], keys: list[int]) -> dict[str, Any]:
    """Compute all scores of sums over images: arrays with one value for each row of the sums."""
    found: dict[str, Any] = {}
    if "counts" in sums:
        rates = {name: instances.rate(name, sums["counts"]) for name in RATES}
        found["ap"] = {f"{t:.2f}": rates["ap"][:, i] for i, t in enumerate(instances.THRESHOLDS)}
        found |= {name: rates[name][:, 0] for name in ("f1", "pq", "precision", "recall")}
        found["mean_ap"] = rates["ap"].mean(axis=1)
        found |= {"aji": regions.jaccard_rate(sums["regions"]), "seg": regions.seg_rate(sums["regions"])}
    masks = sums["masks"]
    means = {name: ratio(masks[..., i], masks[..., -1], np.nan) for i, name in enumerate(MASK_SCORES)}
    found["dice"] = _by_class(means["dice"], keys)
    # Two empty sets agree: an image without anything, predicted as such, is right.
    found["mean_dice"] = ratio(np.nansum(means["dice"], axis=1), (~np.isnan(means["dice"])).sum(axis=1))
    found |= {name: _by_class(mean, keys) for name, mean in means.items()}
    found["pixel_accuracy"] = sums["accuracy"][:, 0] / sums["accuracy"][:, 1]
    if "surfaces" in sums:
        table = sums["surfaces"]
        surface = {
            name: _by_class(ratio(table[..., i], table[..., -3], np.nan), keys) for i, name in enumerate(DISTANCES)
        }
        found["surface"] = surface | {"dice": _by_class(ratio(table[..., -2], table[..., -1], np.nan), keys)}
    return found


def _by_class(values: Array, keys: list[int]) -> dict[str, Array]:
    return {str(k): values[:, i] for i, k in enumerate(keys)}


def _numbers(scores: Sequence[ImageScore]) -> dict[str, int | None]:
    areas = [one.regions for one in scores if one.regions is not None]
    if not areas:
        return dict.fromkeys(("n_true", "n_predicted", "over_segmented", "under_segmented"))
    pooled = sum(areas, start=regions.NO_REGIONS)
    return {
        "n_true": pooled.n_true,
        "n_predicted": pooled.n_pred,
        "over_segmented": pooled.n_over,
        "under_segmented": pooled.n_under,
    }


def _surface(scores: Sequence[ImageScore], keys: list[int], values: dict[str, Any]) -> dict[str, Any] | None:
    """Add in how many images a distance is infinite, because one of the masks is empty."""
    if "surface" not in values:
        return None
    surfaces = [one.surfaces or {} for one in scores]
    infinite = {str(k): sum(k in s and math.isinf(s[k].hausdorff) for s in surfaces) for k in keys}
    return {**values["surface"], "n_infinite": infinite}


def _leaves(tree: dict[str, Any], make: Callable[[Array], object]) -> dict[str, Any]:
    return {key: _leaves(one, make) if isinstance(one, dict) else make(one) for key, one in tree.items()}


def _only(values: Array) -> float:
    return float(values[0])


def _between(samples: Array) -> list[float]:
    return [float(end) for end in percentile_interval(samples)]
