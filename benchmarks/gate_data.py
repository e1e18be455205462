"""What people draw wrong: shapes that have nothing to do with the image, two cells as one, all beside the cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from skimage.draw import ellipse
from skimage.morphology import convex_hull_image

from benchmarks.simulate import Correction, choose_image, choose_region, correct
from napari_unet.app.annotations import Labels, unique_ids
from napari_unet.core.base.tiles import Box, bounding_box

if TYPE_CHECKING:
    from napari_unet.core.store.training_set import Sample

SHIFT = 0.4
"""Of a diameter; `SHORTEST` px at least."""

SHORTEST = 4.0

Ids = frozenset[int]


def right(truth: Labels, ids: Ids, box: Box, rng: np.random.Generator) -> Labels:
    """Draw the cells as they are."""
    return truth


def random(truth: Labels, ids: Ids, box: Box, rng: np.random.Generator) -> Labels:
    """Draw as many ellipses of any size and direction instead, anywhere in the region."""
    drawn = _without(truth, ids)
    radius = _diameter(truth, ids) / 2
    for one in sorted(ids):
        middle = [rng.uniform(part.start, part.stop) for part in box]
        radii = radius * rng.uniform(0.5, 1.6, 2)
        inside = ellipse(*middle, *radii, shape=truth.shape, rotation=rng.uniform(0, np.pi))
        drawn[inside] = np.where(drawn[inside] == 0, one, drawn[inside])
    return drawn


def merged(truth: Labels, ids: Ids, box: Box, rng: np.random.Generator) -> Labels:
    """Draw each cell and the one next to it as one, with what lies between them."""
    drawn, left = truth.copy(), sorted(ids)
    middles = {one: np.argwhere(truth == one).mean(axis=0) for one in left}
    while len(left) > 1:
        first = left.pop(0)
        second = min(left, key=lambda one: float(((middles[one] - middles[first]) ** 2).sum()))
        left.remove(second)
        both = np.isin(truth, (first, second))
        window = bounding_box(both)
        hull = convex_hull_image(both[window])
        drawn[window][hull & (both[window] | (drawn[window] == 0))] = first
    return drawn


def shifted(truth: Labels, ids: Ids, box: Box, rng: np.random.Generator) -> Labels:
    """Draw all cells as they are, but beside their place in one direction: a layer was moved."""
    drawn = _without(truth, ids)
    turn = rng.uniform(0, 2 * np.pi)
    step = max(SHORTEST, SHIFT * _diameter(truth, ids))
    at = np.argwhere(np.isin(truth, list(ids)))
    to = at + np.round(step * np.array((np.sin(turn), np.cos(turn)))).astype(int)
    inside = ((to >= 0) & (to < truth.shape)).all(axis=1)
    at, to = at[inside], to[inside]
    drawn[tuple(to.T)] = np.where(drawn[tuple(to.T)] == 0, truth[tuple(at.T)], drawn[tuple(to.T)])
    return drawn


KINDS: dict[str, Callable[[Labels, Ids, Box, np.random.Generator], Labels]] = {
    "right": right,
    "random": random,
    "merged": merged,
    "shifted": shifted,
}


def choose(samples: list[Sample], rng: np.random.Generator) -> tuple[Sample, Box]:
    """Choose an image, and a region of it."""
    sample = choose_image(samples, rng)
    return sample, choose_region(sample.labels, rng)


def draw(predicted: Labels, truth: Labels, box: Box, kind: str, rng: np.random.Generator) -> Correction:
    """Correct a region of a prediction, rightly or in one of the wrong ways."""
    ids = unique_ids(truth[box])
    return correct(predicted, KINDS[kind](truth, ids, box, rng), box)


def _without(truth: Labels, ids: Ids) -> Labels:
    return np.where(np.isin(truth, list(ids)), 0, truth)


def _diameter(truth: Labels, ids: Ids) -> float:
    sizes = np.bincount(truth[np.isin(truth, list(ids))])
    return float(np.sqrt(np.median(sizes[sizes > 0]) * 4 / np.pi))
