"""Draw an object that was not found."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import Box, bounding_box, grow, shift
from napari_unet.core.edits.adapt import Map, fit_to_edges
from napari_unet.core.edits.drawing import checked_points, draw_line, draw_outline, flat_axis
from napari_unet.core.edits.edit import LabelEdit, Labels
from napari_unet.core.edits.find import free_ids
from napari_unet.core.edits.tool import Unit, asks, check_length, sampling_of


def draw(
    labels: Labels,
    selection: Sequence[int],
    *,
    reach: Annotated[
        float, asks("Reach", "How far the boundary may move to an edge.", min=0.5, max=1000.0, step=0.5)
    ] = 5.0,
    unit: Unit = "px",
    fit: Annotated[
        bool, asks("Fit to the edges", "Move the boundary to the edges that the network saw, where it has run.")
    ] = True,
    outline: ArrayLike | None = None,
    stroke: ArrayLike | None = None,
    edges: Map | None = None,
    voxel_size: Sequence[float] | None = None,
    new_id: int | None = None,
) -> LabelEdit:
    """Make a new object of a drawn outline or stroke; it takes no voxel of another one.

    Parameters
    ----------
    labels : integer array, 2D or 3D
        0 is the background.
    selection : sequence of int
        Not used: the object is new.
    reach : float, px or µm
        How far the boundary of an outline may move; how far a stroke is from the boundary of its object at most.
    unit : {"px", "µm"}
        Of the reach.
    fit : bool
        Move the boundary to the edges of the map, where one is given.
    outline, stroke : (N, labels.ndim) float, voxels, optional
        One of them. In 3D it lies in one plane, and so does the new object.
    edges : Map, optional
        High inside objects, such as the network's foreground probability.
    voxel_size : (labels.ndim,) float, µm, optional
        Needed for µm.
    new_id : int, optional
        The id of the new object; by default one above the largest label.

    Returns
    -------
    LabelEdit
        Writes the new id into background voxels.

    Raises
    ------
    UserError
        When nothing is drawn, or only on other objects or outside the labels.
    """
    drawn = stroke if outline is None else outline
    if drawn is None:
        raise UserError("Nothing is drawn.", "Draw an outline, or a stroke along the object.")
    check_length(reach, "The reach")
    points = checked_points(drawn, labels.ndim, "drawing")
    if labels.ndim not in (2, 3):
        raise UserError(f"An outline is no {labels.ndim}D object.", "Draw in one time point.")
    sampling = sampling_of(unit, voxel_size, labels.ndim)
    plane = _plane(labels.shape, points)
    mask = _rasterised(points, plane, labels.shape, is_closed=outline is not None)
    margin = tuple(0 if p.stop - p.start == 1 else ceil(reach / s) + 2 for p, s in zip(plane, sampling, strict=True))
    box = grow(shift(bounding_box(mask), tuple(part.start for part in plane)), margin, labels.shape)
    inside = tuple(slice(b.start - p.start, b.stop - p.start) for b, p in zip(box, plane, strict=True))
    free = np.asarray(labels[box]) == 0
    fitted = _fitted(mask[inside], free, edges if fit else None, box, reach, sampling, is_closed=outline is not None)
    if not fitted.any():
        raise UserError("All that is drawn lies on other objects.", "Draw on the background, or delete them first.")
    one = free_ids(labels, 1, new_id)[0]
    inner = bounding_box(fitted)
    return LabelEdit(
        shift(inner, tuple(part.start for part in box)),
        np.full(fitted[inner].shape, one, labels.dtype),
        fitted[inner],
    )


def _plane(shape: tuple[int, ...], points: NDArray[np.float64]) -> Box:
    """Give the box of the plane that was drawn in."""
    box = [slice(0, n) for n in shape]
    if len(shape) == 3:
        axis = flat_axis(points)
        at = int(np.clip(np.rint(points[:, axis].mean()), 0, shape[axis] - 1))
        box[axis] = slice(at, at + 1)
    return tuple(box)


def _rasterised(
    points: NDArray[np.float64], plane: Box, shape: tuple[int, ...], *, is_closed: bool
) -> NDArray[np.bool_]:
    thin = [axis for axis, part in enumerate(plane) if len(shape) == 3 and axis == flat_axis(points)]
    flat = np.delete(points, thin, axis=1)
    size = tuple(n for axis, n in enumerate(shape) if axis not in thin)
    mask = (draw_outline if is_closed else draw_line)(flat, size)
    if not mask.any():
        raise UserError("The drawing lies outside the labels.", "Draw it on the image.")
    return np.expand_dims(mask, tuple(thin))


def _fitted(
    mask: NDArray[np.bool_],
    free: NDArray[np.bool_],
    edges: Map | None,
    box: Box,
    reach: float,
    sampling: Sequence[float],
    *,
    is_closed: bool,
) -> NDArray[np.bool_]:
    """Fit what was drawn to the edges, in the plane it was drawn in; a stroke without edges stays a stroke."""
    if edges is None or not (mask & free).any():
        return mask & free
    wide = [axis for axis, n in enumerate(mask.shape) if n > 1]
    squeezed = np.squeeze(mask & free), np.squeeze(edges[box]), np.squeeze(free)
    if squeezed[0].ndim != len(wide) or squeezed[0].ndim == 0:
        return mask & free
    lengths = [sampling[axis] for axis in wide]
    start, values, room = squeezed
    if not is_closed:  # the boundary lies outside the stroke, at most so far: start in the middle
        start = room & (scipy.ndimage.distance_transform_edt(~start, lengths) <= 0.5 * reach)
        reach = 0.5 * reach + min(lengths)
    return fit_to_edges(start, values, reach, room, lengths).reshape(mask.shape)
