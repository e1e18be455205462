"""Draw an object: a new one, or one that was found wrongly; in a stack through the slices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil
from typing import Annotated

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import Box, bounding_box, grow, shift
from napari_unet.core.edits.adapt import Map, fit_to_edges
from napari_unet.core.edits.drawing import checked_points, draw_line, draw_outline, flat_axis
from napari_unet.core.edits.edit import LabelEdit, Labels, edit_between
from napari_unet.core.edits.find import free_ids
from napari_unet.core.edits.redraw import Drawn, nothing, replace_by
from napari_unet.core.edits.tool import Unit, asks, check_length, sampling_of


def draw(
    labels: Labels,
    selection: Sequence[int],
    *,
    fit: Annotated[
        bool,
        asks("Fit outlines to the edges", "For quick, rough outlines: move them to the edges that the network saw."),
    ] = False,
    reach: Annotated[
        float,
        asks(
            "Reach",
            "How far an outline may move to an edge; half a width of what a line is drawn along.",
            min=0.5,
            max=1000.0,
            step=0.5,
        ),
    ] = 5.0,
    unit: Unit = "px",
    outline: ArrayLike | None = None,
    stroke: ArrayLike | None = None,
    earlier: Sequence[ArrayLike] = (),
    goes_on: bool = False,
    edges: Map | None = None,
    spared: Collection[int] = (),
    is_semantic: bool = False,
    voxel_size: Sequence[float] | None = None,
    new_id: int | None = None,
) -> LabelEdit:
    """Make one object of what you outline, whatever was there; on the background it is a new one.

    Parameters
    ----------
    labels : integer array, 2D or 3D
        0 is the background.
    selection : sequence of int
        Not used: the drawing says what is meant.
    fit : bool
        Move an outline to the edges of the map, where one is given. A stroke always goes there.
    reach : float, px or µm
        How far an outline may move; how far a stroke is from the boundary of its object at most.
    unit : {"px", "µm"}
        Of the reach.
    outline, stroke : (N, labels.ndim) float, voxels, optional
        One of them. In 3D it lies in one plane; an outline is carried through the others, a stroke is not.
    earlier : sequence of (N, labels.ndim) float, voxels
        Outlines drawn before. Nothing is left of an object that is outlined again; in a stack, its outlines in other
        planes stay its boundary there.
    goes_on : bool
        In a stack: it is one more outline of the object that was outlined last, however far from it. Without it, one
        that lies farther off than such an object is high is another object.
    edges : Map, optional
        High inside objects, such as the network's foreground probability.
    spared : collection of int
        Objects that keep every voxel, such as accepted ones, unless more than half of one is outlined.
    is_semantic : bool
        The labels are classes: what is outlined becomes the class `new_id`, whatever it was.
    voxel_size : (labels.ndim,) float, µm, optional
        Needed for µm.
    new_id : int, optional
        The id of a new object; by default one above the largest label.

    Returns
    -------
    LabelEdit
        What is outlined becomes one object; `core.edits.redraw` says what becomes of those that were there. A stroke
        makes a new object, of background only.

    Raises
    ------
    UserError
        When nothing is drawn, it lies outside the labels, there is no room for it, or nothing would change.
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
    if outline is None:
        return _along(labels, mask, plane, edges, reach, sampling, new_id)
    if fit and edges is not None:
        mask, plane = _fitted_outline(labels, mask, plane, edges, reach, sampling)
    box, inside = _bounded(mask, plane)
    if is_semantic:
        before = np.asarray(labels[box])
        one = free_ids(labels, 1, new_id)[0]
        return edit_between(box, before, np.where(inside, one, before).astype(before.dtype), nothing())
    from napari_unet.core.edits.draw_through import draw_through, drawn_again  # the dock opens without it

    sections = [
        _bounded(_rasterised(one, at, labels.shape, is_closed=True), at) for one, at in _planes(labels, earlier)
    ]
    if labels.ndim == 2:
        again = drawn_again(labels, (box, inside), sections)
        return replace_by(labels, Drawn(box, inside, again), spared, sampling, new_id)
    lengths = voxel_size or (1.0,) * 3
    through = draw_through(labels, (box, inside), sections, edges, lengths, goes_on=goes_on)
    return replace_by(labels, through, spared, lengths, new_id)


def _planes(labels: Labels, earlier: Sequence[ArrayLike]) -> list[tuple[NDArray[np.float64], Box]]:
    points = [checked_points(one, labels.ndim, "drawing") for one in earlier]
    return [(one, _plane(labels.shape, one)) for one in points]


def _bounded(mask: NDArray[np.bool_], plane: Box) -> tuple[Box, NDArray[np.bool_]]:
    """Cut a mask of a plane to what is in it; gives its box in the labels."""
    inner = bounding_box(mask)
    return shift(inner, tuple(part.start for part in plane)), mask[inner]


def _along(
    labels: Labels,
    mask: NDArray[np.bool_],
    plane: Box,
    edges: Map | None,
    reach: float,
    sampling: Sequence[float],
    new_id: int | None,
) -> LabelEdit:
    """Make a new object along a stroke, on the background."""
    box, inside = _around(mask, plane, labels.shape, reach, sampling)
    free = np.asarray(labels[box]) == 0
    fitted = _fitted(mask[inside], free, edges, box, reach, sampling, is_closed=False)
    if not fitted.any():
        raise UserError("All that is drawn lies on other objects.", "Draw on the background, or outline the object.")
    one = free_ids(labels, 1, new_id)[0]
    inner = bounding_box(fitted)
    return LabelEdit(
        shift(inner, tuple(part.start for part in box)),
        np.full(fitted[inner].shape, one, labels.dtype),
        fitted[inner],
    )


def _fitted_outline(
    labels: Labels, mask: NDArray[np.bool_], plane: Box, edges: Map, reach: float, sampling: Sequence[float]
) -> tuple[NDArray[np.bool_], Box]:
    """Move an outline to the edges, never beyond it into other objects; gives the mask and where it is."""
    box, inside = _around(mask, plane, labels.shape, reach, sampling)
    free = (np.asarray(labels[box]) == 0) | mask[inside]
    return _fitted(mask[inside], free, edges, box, reach, sampling, is_closed=True), box


def _around(
    mask: NDArray[np.bool_], plane: Box, shape: tuple[int, ...], reach: float, sampling: Sequence[float]
) -> tuple[Box, Box]:
    """Give the box of all that a fit may reach, in the labels and in the mask of the plane."""
    margin = tuple(0 if p.stop - p.start == 1 else ceil(reach / s) + 2 for p, s in zip(plane, sampling, strict=True))
    box = grow(_bounded(mask, plane)[0], margin, shape)
    return box, tuple(slice(b.start - p.start, b.stop - p.start) for b, p in zip(box, plane, strict=True))


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
