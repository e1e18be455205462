"""Scores of one image, and what they become for many: AP pooled, Dice for each image and class, then the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.instances import Counts, average_precision, f1, match_counts, panoptic_quality, pool
from napari_unet.core.metrics.semantic import dice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Labels = NDArray[np.integer]

FEW_VALUES = 16
"""Labels with no more different values than this may be classes, where nobody says what they are."""
MOST_CLASSES = 254


@dataclass(frozen=True)
class ImageScore:
    """Keep the scores of one image.

    Parameters
    ----------
    counts : Counts or None
        Of the objects; None where the labels are classes.
    dice : dict of int to float
        By class, only classes that the image or its prediction has; class 1 is the foreground of objects.
    """

    counts: Counts | None
    dice: dict[int, float]


def choose_classes(target: str | None, values: set[int], true_values: set[int]) -> tuple[int, ...] | None:
    """Decide which values are compared as classes.

    Parameters
    ----------
    target : {"instances", "semantic"} or None
        What the user says the labels are.
    values, true_values : set of int
        All labels that occur, and those that occur in the truth; without 0.

    Returns
    -------
    tuple of int or None
        None compares the foreground of objects as the class 1.

    Raises
    ------
    UserError
        When there are more values than classes can be.
    """
    if target == "semantic" and len(values) > MOST_CLASSES:
        raise UserError(f"The labels have {len(values)} different values.", "Are they objects? Use --target instances.")
    if target == "semantic" or (target is None and len(true_values) <= FEW_VALUES):
        return tuple(sorted(values if target == "semantic" else true_values))
    return None


def score_image(pred: Labels, truth: Labels, classes: tuple[int, ...] | None, *, objects: bool) -> ImageScore:
    """Score one image.

    Parameters
    ----------
    pred, truth : integer array, the same shape
        Labels; 0 is background.
    classes : tuple of int or None
        As `choose_classes` gives them.
    objects : bool
        Count matched objects too.

    Raises
    ------
    UserError
        When they cannot be compared.
    """
    if pred.shape != truth.shape:
        raise UserError(
            f"the prediction has the shape {pred.shape}, the truth {truth.shape}.", "Compare them on the same grid."
        )
    counts = match_counts(pred, truth) if objects else None
    masks = {1: (pred > 0, truth > 0)} if classes is None else {k: (pred == k, truth == k) for k in classes}
    return ImageScore(counts, {k: dice(p, t) for k, (p, t) in masks.items() if p.any() or t.any()})


def summarise(scores: Sequence[ImageScore]) -> dict[str, Any]:
    """Put the scores of many images together.

    Parameters
    ----------
    scores : sequence of ImageScore
        At least one.

    Returns
    -------
    dict
        ``n_images``; ``ap`` by IoU threshold, pooled over images; ``f1`` and ``pq`` at an IoU of 0.5 (None without
        objects); ``dice`` by class, the mean over the images that have it; ``mean_dice``, the mean of those.
    """
    counts = [one.counts for one in scores if one.counts is not None]
    by_class: dict[int, list[float]] = {}
    for one in scores:
        for k, value in one.dice.items():
            by_class.setdefault(k, []).append(value)
    means = {str(k): float(np.mean(by_class[k])) for k in sorted(by_class)}
    result: dict[str, Any] = {"n_images": len(scores), "ap": None, "f1": None, "pq": None}
    if counts:
        pooled = pool(counts)
        ap = average_precision(pooled)
        result["ap"] = {f"{t:.2f}": value for t, value in zip(pooled.thresholds, ap, strict=True)}
        result |= {"f1": f1(pooled)[0], "pq": panoptic_quality(pooled)[0]}
    # Two empty sets agree: an image without anything, predicted as such, is right.
    mean = float(np.mean(list(means.values()))) if means else 1.0
    return result | {"dice": means, "mean_dice": mean}
