"""Scores of one image: what the command `evaluate` compares, and what it keeps of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.instances import Counts, count_matches
from napari_unet.core.metrics.objects import ObjectScore, list_objects, score_pieces
from napari_unet.core.metrics.overlap import overlap
from napari_unet.core.metrics.regions import Regions, count_regions
from napari_unet.core.metrics.semantic import Agreement, agreement_of_class, agreement_of_foreground, pixel_accuracy
from napari_unet.core.metrics.surfaces import surface_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.integer]

FEW_VALUES = 16
"""Labels with no more different values than this may be classes, where nobody says what they are."""
MOST_CLASSES = 254
FOREGROUND = 1
"""The class that the objects of an image are together."""


@dataclass(frozen=True)
class Wanted:
    """Keep what takes time and is computed only where it is asked for.

    Parameters
    ----------
    distances : bool
        Measure distances of surfaces.
    tolerance : float, µm, or None
        Of the surface Dice; None leaves it out.
    voxel_size : tuple of float, µm, or None
        One for each axis; None measures in voxels.
    listing : bool
        List the objects one by one.
    """

    distances: bool = False
    tolerance: float | None = None
    voxel_size: tuple[float, ...] | None = None
    listing: bool = False


@dataclass(frozen=True)
class SurfaceScore:
    """Keep the distances of two surfaces, in µm or voxels (infinite where one mask is empty), and the surface Dice."""

    hausdorff: float
    hd95: float
    mean_distance: float
    dice: float | None


@dataclass(frozen=True)
class ImageScore:
    """Keep the scores of one image.

    Parameters
    ----------
    counts, regions : Counts, Regions or None
        Of the objects; None where the labels are classes.
    classes : dict of int to Agreement
        By class, only classes that the image or its prediction has; class 1 is the foreground of objects.
    pixel_accuracy : float
        Share of voxels that have the same class.
    surfaces : dict of int to SurfaceScore, or None
        By class; None where nobody asked.
    objects : dict of int to list of ObjectScore
        By class, 0 where objects have none; empty where nobody asked.
    """

    counts: Counts | None
    regions: Regions | None
    classes: dict[int, Agreement]
    pixel_accuracy: float
    surfaces: dict[int, SurfaceScore] | None
    objects: dict[int, list[ObjectScore]]


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


def score_image(
    pred: Labels, truth: Labels, classes: tuple[int, ...] | None, *, objects: bool, wanted: Wanted | None = None
) -> ImageScore:
    """Score one image.

    Parameters
    ----------
    pred, truth : integer array, the same shape
        Labels; 0 is background.
    classes : tuple of int or None
        As `choose_classes` gives them.
    objects : bool
        Count matched objects too.
    wanted : Wanted or None
        What else to compute; None computes nothing else.

    Raises
    ------
    UserError
        When they cannot be compared.
    """
    if pred.shape != truth.shape:
        raise UserError(
            f"the prediction has the shape {pred.shape}, the truth {truth.shape}.", "Compare them on the same grid."
        )
    wanted = wanted or Wanted()
    found = overlap(pred, truth)
    if classes is None:
        agreements = {FOREGROUND: agreement_of_foreground(found)}
        accuracy = pixel_accuracy(pred > 0, truth > 0)
    else:
        agreements = {k: agreement_of_class(found, k) for k in classes}
        accuracy = pixel_accuracy(pred, truth)
    agreements = {k: one for k, one in agreements.items() if one.n_pred or one.n_true}
    listed: dict[int, list[ObjectScore]] = {}
    if wanted.listing:
        listed = {0: list_objects(found)} if objects else _pieces(pred, truth, tuple(agreements))
    return ImageScore(
        count_matches(found) if objects else None,
        count_regions(found) if objects else None,
        agreements,
        accuracy,
        _surfaces(pred, truth, tuple(agreements), classes is None, wanted) if wanted.distances else None,
        listed,
    )


def _pieces(pred: Labels, truth: Labels, classes: tuple[int, ...]) -> dict[int, list[ObjectScore]]:
    return {k: score_pieces(pred == k, truth == k) for k in classes}


def _surfaces(
    pred: Labels, truth: Labels, classes: tuple[int, ...], foreground: bool, wanted: Wanted
) -> dict[int, SurfaceScore]:
    scores = {}
    for k in classes:
        masks = (pred > 0, truth > 0) if foreground else (pred == k, truth == k)
        found = surface_distances(masks[0], masks[1], wanted.voxel_size)
        dice = None if wanted.tolerance is None else found.dice(wanted.tolerance)
        scores[k] = SurfaceScore(found.hausdorff, found.hausdorff95, found.mean, dice)
    return scores
