"""What a person draws, as voxels: lines and outlines in one plane."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import skimage  # its parts load when first used: the dock opens without them
from numpy.typing import ArrayLike, NDArray

from napari_unet.core.base.errors import UserError


def checked_points(points: ArrayLike, ndim: int, name: str) -> NDArray[np.float64]:
    """Give drawn points as an array.

    Raises
    ------
    UserError
        When there are fewer than two, or they do not fit the labels.
    """
    checked = np.asarray(points, dtype=float)
    if checked.ndim != 2 or len(checked) < 2 or checked.shape[1] != ndim or not np.isfinite(checked).all():
        raise UserError(
            f"A {name} of shape {checked.shape} does not fit {ndim}D labels.", f"Draw a {name} of two points or more."
        )
    return checked


def flat_axis(points: NDArray[np.float64]) -> int:
    """Give the axis in which drawn points move least: the one that is not shown while one draws in a stack."""
    return int(np.ptp(points, axis=0).argmin())


def draw_line(line: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the pixels of a line in 2D; diagonal steps still separate pixels that share an edge."""
    drawn = np.zeros(shape, dtype=bool)
    points = np.rint(line).astype(int)
    for start, stop in pairwise(points):
        rows, columns = skimage.draw.line(*start, *stop)  # type: ignore[no-untyped-call] # scikit-image has no types
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        drawn[rows[inside], columns[inside]] = True
    return drawn


def draw_outline(outline: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the pixels whose centres lie inside an outline in 2D; those on it where it has no inside."""
    drawn = np.zeros(shape, dtype=bool)
    rows, columns = skimage.draw.polygon(outline[:, 0], outline[:, 1], shape=shape)  # type: ignore[no-untyped-call] # as above
    drawn[rows, columns] = True
    return drawn if drawn.any() else draw_line(np.concatenate([outline, outline[:1]]), shape)
