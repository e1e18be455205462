"""Divide an object that is several: along a drawn line, by seeds, or at its narrow places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.cut import cut_by_line, cut_by_seeds, cut_by_shape
from napari_unet.core.edits.drawing import checked_points
from napari_unet.core.edits.edit import LabelEdit, Labels
from napari_unet.core.edits.find import check_room, find, free_ids
from napari_unet.core.edits.places import Places  # noqa: TC001  # read from the hints
from napari_unet.core.edits.tool import asks


def split(
    labels: Labels,
    selection: Sequence[int],
    *,
    parts: Annotated[
        int, asks("Parts", "How many to look for where no line and no seeds are drawn.", min=2, max=99, step=1)
    ] = 2,
    line: ArrayLike | None = None,
    seeds: ArrayLike | None = None,
    voxel_size: Sequence[float] | None = None,
    new_id: int | None = None,
    places: Places | None = None,
) -> LabelEdit:
    """Divide one object: along a drawn line, one part for each seed, or where it is narrow.

    The largest part keeps the id.

    Parameters
    ----------
    labels : integer array, 2D or 3D (n-D without a line)
        0 is the background.
    selection : sequence of int
        Exactly one id.
    parts : int
        How many parts to look for without a line and seeds, at least 2.
    line : (N, labels.ndim) float, voxels, optional
        The drawn line, N >= 2 points. It has to touch the object and is prolonged at both ends. In 3D it cuts along
        the axis in which it does not move.
    seeds : (N, labels.ndim) float, voxels, optional
        At least two points in the object; each gets a part, and they part at the narrowest place between them.
    voxel_size : (labels.ndim,) float, µm, optional
        Makes distances true in anisotropic images.
    new_id : int, optional
        The first of the new ids; by default one above the largest label.
    places : Places, optional
        Where the objects are, as far as that is known.

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
    found = find(labels, selection, places=places)
    origin = np.array([part.start for part in found.box], dtype=float)
    if line is not None:
        pieces = cut_by_line(found.mask, checked_points(line, labels.ndim, "line") - origin)
    elif seeds is not None:
        pieces = cut_by_seeds(found.mask, checked_points(seeds, labels.ndim, "set of seeds") - origin, voxel_size)
    else:
        pieces = cut_by_shape(found.mask, parts, voxel_size)
    first = free_ids(labels, 1, new_id)[0]
    return _as_edit(labels.dtype, found.box, pieces, first)


def _as_edit(dtype: np.dtype[Any], box: tuple[slice, ...], pieces: NDArray[np.int32], first: int) -> LabelEdit:
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    others = [piece for piece in np.flatnonzero(sizes) if piece != largest]
    highest = first + len(others) - 1
    check_room(dtype, highest)
    table = np.zeros(len(sizes), dtype=dtype)
    table[others] = np.arange(first, highest + 1)
    values = table[pieces]
    return LabelEdit(box, values, values > 0)
