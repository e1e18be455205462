"""Compare two models on what neither should know: scores with an interval, and the cells that were gained and lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.metrics.bootstrap import RESAMPLES, percentile_interval, resample_weights
from napari_unet.core.metrics.matching import match_pairs
from napari_unet.core.metrics.overlap import Overlap, overlap
from napari_unet.core.metrics.ratio import ratio
from napari_unet.core.metrics.semantic import dice
from napari_unet.core.pipeline.evaluate import comparable, predict_samples
from napari_unet.core.pipeline.segment import decode

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.store.models import Model
    from napari_unet.core.store.training_set import Sample

Table = NDArray[np.float64]

THRESHOLDS = (0.5, 0.75)
"""As `evaluate` scores instances; the first one says whether a cell was found."""

CHANGED = 0.1
"""A cell that both models find has changed when its IoU differs by so much."""

FEWEST_UNITS = 5
"""With fewer an interval would say more than is known."""

SEVERAL_IMAGES = 10
"""From so many on, images are drawn as a whole: cells of one image are alike."""

MOST_UNITS = 2000
"""More cells are drawn in groups; the memory is 16 bytes for each unit and resample."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One held-out sample, segmented by both models.

    Parameters
    ----------
    name : str
        Of the sample.
    box : Box
        What was segmented of it.
    before, after : int array of the box
        What both models made of what is annotated.
    cells : int array of the box
        The annotated cells; of classes 1 where a voxel is right since, 2 where it was.
    gained, lost, changed : tuple of int
        Of `cells`: found by the new model only, by the old one only, and by both with another shape.
    tables : pair of (units, ...) float64
        What the score is made of, by both models; a unit is a cell, or a class in this sample.
    """

    name: str
    box: Box
    before: NDArray[np.integer[Any]] = field(repr=False)
    after: NDArray[np.integer[Any]] = field(repr=False)
    cells: NDArray[np.integer[Any]] = field(repr=False)
    gained: tuple[int, ...]
    lost: tuple[int, ...]
    changed: tuple[int, ...]
    tables: tuple[Table, Table] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Say which of two models is better, and how sure that is.

    Parameters
    ----------
    before, after : float, 0..1
        Scores of the old and of the new model; NaN where nothing was held out.
    low, high : float
        The 95 % interval of the difference, new minus old; NaN with too few units.
    n_units : int
        What was drawn from.
    unit : str
        Its name in the plural.
    parts : tuple of Judged
        The held-out samples.
    """

    before: float
    after: float
    low: float = float("nan")
    high: float = float("nan")
    n_units: int = 0
    unit: str = "cells"
    parts: tuple[Judged, ...] = field(default=(), repr=False)


UNCOMPARED = Comparison(float("nan"), float("nan"))
"""Where nothing was held out."""


def judge(old: Model, new: Model, samples: Sequence[Sample]) -> list[Judged]:
    """Segment held-out samples by two models, and find what differs."""
    found, options = [], SegmentOptions()
    for one, other in zip(predict_samples(old, samples), predict_samples(new, samples), strict=True):
        before = decode(old, one.prediction, options)[0]
        after = decode(new, other.prediction, options)[0]
        sample, box = one.sample, one.box
        if old.spec.target == "instances":
            judged = [comparable(labels, sample, box)[0] for labels in (before, after)]
            truth = comparable(before, sample, box)[1]
            cells = compare_cells(judged[0], judged[1], truth)
            found.append(Judged(sample.name, box, judged[0], judged[1], truth, *cells))
        else:
            known = np.ones(before.shape, bool) if sample.annotated is None else sample.annotated[box] > 0
            found.append(_classes(sample, box, before, after, known))
    return found


def compare_cells(
    before: NDArray[np.integer[Any]], after: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[Table, Table]]:
    """Find the true cells that one of two segmentations found and the other did not.

    Parameters
    ----------
    before, after, truth : int arrays of one shape
        Instances; 0 is background.

    Returns
    -------
    gained, lost, changed : tuple of int
        Labels of true cells.
    tables : pair of (units, 3, thresholds) float64
        True positives, false positives and false negatives by cell; their sums are those of the whole. A superfluous
        object belongs to the cell that it overlaps most, or is a unit of its own.
    """
    one, other = overlap(before, truth), overlap(after, truth)
    ids = one.true_ids
    iou = [_found(found, ids) for found in (one, other)]
    is_found = [values > 0 for values in iou]
    gained, lost = ids[is_found[1] & ~is_found[0]], ids[is_found[0] & ~is_found[1]]
    changed = ids[is_found[0] & is_found[1] & (np.abs(iou[1] - iou[0]) >= CHANGED)]
    rows = [_table(one, ids), _table(other, ids)]
    n_cells, n_free = len(ids), [len(table) - len(ids) for table in rows]
    tables = tuple(np.zeros((n_cells + sum(n_free), 3, len(THRESHOLDS))) for _ in rows)
    for index, (table, rest) in enumerate(zip(tables, rows, strict=True)):
        table[:n_cells] = rest[:n_cells]
        start = n_cells + index * n_free[0]
        table[start : start + n_free[index]] = rest[n_cells:]
    return _sorted(gained), _sorted(lost), _sorted(changed), (tables[0], tables[1])


def _found(pairs: Overlap, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the IoU of each true cell with the object that it is matched with; 0 where there is none."""
    matched = match_pairs(pairs, THRESHOLDS[0])
    values = np.zeros(len(ids))
    values[pairs.columns[matched]] = pairs.iou[matched]
    return values


def _table(pairs: Overlap, ids: NDArray[np.int64]) -> Table:
    """Count for each true cell, and for each object that touches none."""
    owner = np.full(len(pairs.pred_ids), -1)
    order = np.argsort(pairs.iou, kind="stable")  # the largest is written last
    owner[pairs.rows[order]] = pairs.columns[order]
    free = np.flatnonzero(owner < 0)
    owner[free] = len(ids) + np.arange(len(free))
    table = np.zeros((len(ids) + len(free), 3, len(THRESHOLDS)))
    for t, threshold in enumerate(THRESHOLDS):
        matched = match_pairs(pairs, threshold)
        table[pairs.columns[matched], 0, t] = 1
        table[: len(ids), 2, t] = 1 - table[: len(ids), 0, t]
        superfluous = np.setdiff1d(np.arange(len(pairs.pred_ids)), pairs.rows[matched])
        table[:, 1, t] = np.bincount(owner[superfluous], minlength=len(table))
    return table


def _sorted(ids: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(sorted(ids.tolist()))


def _classes(
    sample: Sample,
    box: Box,
    before: NDArray[np.integer[Any]],
    after: NDArray[np.integer[Any]],
    known: NDArray[np.bool_],
) -> Judged:
    truth = sample.labels[box]
    classes = [c for c in np.unique(truth[known]).tolist() if c > 0]
    tables = tuple(
        np.array([(dice(labels[known] == c, truth[known] == c), 1.0) for c in classes]).reshape(-1, 2)
        for labels in (before, after)
    )
    was, is_now = (before == truth) & known, (after == truth) & known
    cells = np.where(is_now & ~was, 1, np.where(was & ~is_now, 2, 0)).astype(np.uint8)
    gained, lost = ((kind,) if (cells == kind).any() else () for kind in (1, 2))
    before, after = np.where(known, before, 0), np.where(known, after, 0)
    return Judged(sample.name, box, before, after, cells, gained, lost, (), (tables[0], tables[1]))


# ---------------------------------------------------------------- scores


def compare(parts: Sequence[Judged], *, semantic: bool = False) -> Comparison:
    """Score both models on all held-out samples together.

    Parameters
    ----------
    parts : sequence of Judged
        From `judge`; of all folds.
    semantic : bool
        The labels are classes.

    Returns
    -------
    Comparison
        Scores as `evaluate.score` gives them: mean AP at the IoU thresholds, or mean Dice of the classes.
    """
    if not parts:
        return UNCOMPARED
    score = mean_of_ones if semantic else mean_ap
    names = sorted({part.name for part in parts})
    by_image = len(names) >= SEVERAL_IMAGES
    groups = [[part for part in parts if part.name == name] for name in names] if by_image else [[one] for one in parts]
    tables = [[np.concatenate([part.tables[side] for part in group]) for group in groups] for side in (0, 1)]
    units = [np.stack([one.sum(axis=0) for one in side]) if by_image else np.concatenate(side) for side in tables]
    before, after = (float(score(one.sum(axis=0)[np.newaxis])[0]) for one in units)
    unit = "images" if by_image else "classes in images" if semantic else "cells"
    n_units = len(units[0])
    low, high = paired_interval(units[0], units[1], score) if n_units >= FEWEST_UNITS else (np.nan, np.nan)
    return Comparison(before, after, low, high, n_units, unit, tuple(parts))


def net_gain(parts: Sequence[Judged], samples: Sequence[Sample]) -> int:
    """Count the voxels of what only the new model found, less those of what only the old one found.

    Parameters
    ----------
    parts : sequence of Judged
        From `judge`.
    samples : sequence of Sample
        Only what these annotate counts; of the same names as those that were judged.
    """
    masks = {sample.name: sample.annotated for sample in samples}
    total = 0
    for part in parts:
        if part.name in masks:
            mask = masks[part.name]
            cells = part.cells if mask is None else part.cells[mask[part.box] > 0]
            total += int(np.isin(cells, part.gained).sum()) - int(np.isin(cells, part.lost).sum())
    return total


def mean_ap(sums: Table) -> NDArray[np.float64]:
    """Give the mean AP over thresholds of pooled (..., 3, thresholds) true and false positives and false negatives."""
    tp, fp, fn = np.moveaxis(sums, -2, 0)
    return np.asarray(ratio(tp, tp + fp + fn).mean(axis=-1))


def mean_of_ones(sums: Table) -> NDArray[np.float64]:
    """Give the mean of values from sums of (..., 2): of the values, and of ones; 0 where there is none."""
    return np.asarray(ratio(sums[..., 0], sums[..., 1], 0.0))


def paired_interval(
    before: Table,
    after: Table,
    score: Callable[[Table], NDArray[np.float64]],
    *,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Give the 95 % interval of the difference of two scores of the same units.

    Both sides are resampled together: what is hard for both models does not blur their difference.

    Parameters
    ----------
    before, after : (units, ...) float64
        What is summed over units.
    score : callable
        From sums of the shape (n_resamples, ...) to scores.
    n_resamples, seed : int
        As `metrics.bootstrap.resample_weights` takes them.

    Returns
    -------
    low, high : float
        Of after minus before.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13, doi:10.1201/9780429246593.
    """
    if len(before) > MOST_UNITS:
        starts = np.linspace(0, len(before), MOST_UNITS, endpoint=False).astype(np.intp)
        before, after = (np.add.reduceat(one, starts, axis=0) for one in (before, after))
    weights = resample_weights(len(before), n_resamples, seed)
    difference = score(np.tensordot(weights, after, axes=1)) - score(np.tensordot(weights, before, axes=1))
    low, high = percentile_interval(difference)
    return float(low), float(high)
