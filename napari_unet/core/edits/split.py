"""Divide an object that is several: along a drawn line, or at its narrow places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.cut import cut_by_line, cut_by_shape
from napari_unet.core.edits.edit import LabelEdit, Labels, box_of_selection


def split(
    labels: Labels,
    selection: Sequence[int],
    *,
    line: ArrayLike | None = None,
    parts: int = 2,
    voxel_size: Sequence[float] | None = None,
    new_id: int | None = None,
) -> LabelEdit:
    """Divide one object; its largest part keeps the id.

    Parameters
    ----------
    labels : integer array, 2D or 3D (n-D without a line)
        0 is the background.
    selection : sequence of int
        Exactly one id.
    line : (N, labels.ndim) float, voxels, optional
        The drawn line, N >= 2 points. It has to touch the object and is prolonged at both ends. In 3D it cuts along
        the axis in which it does not move. Without a line the object is divided at its narrow places.
    parts : int
        How many parts to look for without a line, at least 2.
    voxel_size : (labels.ndim,) float, µm, optional
        Makes distances true in anisotropic images.
    new_id : int, optional
        The first of the new ids; by default one above the largest label.

    Returns
    -------
    LabelEdit
        Writes only the voxels of the parts that get a new id.

    Raises
    ------
    UserError
        When not exactly one object is selected, the line misses it or the object has no narrow place.
    """
    if len(set(selection)) != 1:
        raise UserError(f"Split needs one object; {len(set(selection))} are selected.", "Select one object.")
    if parts < 2:
        raise UserError(f"An object cannot be split into {parts}.", "Ask for at least 2 parts.")
    box, mask = box_of_selection(labels, selection)
    if line is None:
        pieces = cut_by_shape(mask, parts, voxel_size)
    else:
        origin = np.array([part.start for part in box], dtype=float)
        pieces = cut_by_line(mask, _checked_line(line, labels.ndim) - origin)
    first = int(labels.max()) + 1 if new_id is None else new_id
    return _as_edit(labels.dtype, box, pieces, first)


def _checked_line(line: ArrayLike, ndim: int) -> NDArray[np.float64]:
    points = np.asarray(line, dtype=float)
    if points.ndim != 2 or len(points) < 2 or points.shape[1] != ndim or not np.isfinite(points).all():
        raise UserError(f"A line of shape {points.shape} does not fit {ndim}D labels.", "Draw a line of two points.")
    return points


def _as_edit(dtype: np.dtype[Any], box: tuple[slice, ...], pieces: NDArray[np.int32], first: int) -> LabelEdit:
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    others = [piece for piece in np.flatnonzero(sizes) if piece != largest]
    highest = first + len(others) - 1
    if highest > np.iinfo(dtype).max:
        raise UserError(
            f"The labels are {dtype}: they have no room for object {highest}.", "Convert the labels layer to int32."
        )
    table = np.zeros(len(sizes), dtype=dtype)
    table[others] = np.arange(first, highest + 1)
    values = table[pieces]
    return LabelEdit(box, values, values > 0)
