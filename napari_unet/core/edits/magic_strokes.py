"""Strokes of magic correction as voxels: where they run, and which objects they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.edits.edit import Labels


@dataclass(frozen=True)
class Stroke:
    """One press, drag and release.

    Parameters
    ----------
    voxels : (N, ndim) int
        In the order in which they were drawn, each beside the one before; a click is one.
    """

    voxels: NDArray[np.intp] = field(repr=False)

    @property
    def is_click(self) -> bool:
        """Tell whether it was not dragged."""
        return len(self.voxels) == 1

    @property
    def index(self) -> tuple[NDArray[np.intp], ...]:
        """Give what an array is indexed with."""
        return tuple(self.voxels.T)

    def within(self, box: Box) -> Stroke:
        """Give it in the coordinates of a box, which holds it."""
        return Stroke(self.voxels - [part.start for part in box])


def strokes_of(drawn: Sequence[ArrayLike], shape: tuple[int, ...]) -> list[Stroke]:
    """Turn drawn points into voxels; what lies outside the labels is left out.

    Parameters
    ----------
    drawn : sequence of (N, ndim) float, voxels
        The points of each stroke, N >= 1.
    shape : tuple of int
        Of the labels.

    Raises
    ------
    UserError
        When the points do not fit the labels.
    """
    found = []
    for points in drawn:
        checked = np.asarray(points, dtype=float)
        if checked.ndim != 2 or not len(checked) or checked.shape[1] != len(shape) or not np.isfinite(checked).all():
            raise UserError(
                f"A stroke of shape {checked.shape} does not fit {len(shape)}D labels.", "Draw it on the labels."
            )
        voxels = _line(checked)
        inside = voxels[((voxels >= 0) & (voxels < shape)).all(axis=1)]
        if len(inside):
            found.append(Stroke(inside))
    return found


def _line(points: NDArray[np.float64]) -> NDArray[np.intp]:
    legs = [points[:1]]
    for start, stop in pairwise(points):
        n_steps = int(np.ceil(np.abs(stop - start).max())) + 1
        legs.append(np.linspace(start, stop, n_steps + 1)[1:])
    voxels = np.rint(np.concatenate(legs)).astype(np.intp)
    moves = np.append(True, (np.diff(voxels, axis=0) != 0).any(axis=1))
    line: NDArray[np.intp] = voxels[moves]
    return line


def join_crossing(strokes: Sequence[Stroke]) -> list[Stroke]:
    """Make one stroke of those that share a voxel."""
    joined: list[tuple[Stroke, set[tuple[int, ...]]]] = []
    for stroke in strokes:
        voxels, places = stroke.voxels, set(map(tuple, stroke.voxels.tolist()))
        apart = []
        for other, taken in joined:
            if taken.isdisjoint(places):
                apart.append((other, taken))
                continue
            voxels, places = np.concatenate([other.voxels, voxels]), places | taken
        joined = [*apart, (Stroke(voxels), places)]
    return [stroke for stroke, _ in joined]


def meant_by(stroke: Stroke, labels: Labels) -> list[int]:
    """Find the objects that a stroke means, in the order in which it meets them.

    One that it only grazes is not meant: it has to begin or end in it, or to run through its inside, where all
    neighbours in the plane that is drawn in belong to it as well.

    Parameters
    ----------
    stroke : Stroke
        In the coordinates of the labels.
    labels : integer array
        In memory.
    """
    under = labels[stroke.index]
    inside = under > 0
    for axis in _drawn_axes(stroke, labels.ndim):
        for step in (-1, 1):
            beside = stroke.voxels.copy()
            beside[:, axis] = np.clip(beside[:, axis] + step, 0, labels.shape[axis] - 1)
            inside &= labels[tuple(beside.T)] == under
    inside[[0, -1]] = under[[0, -1]] > 0
    return list(dict.fromkeys(int(one) for one in under[inside]))


def _drawn_axes(stroke: Stroke, ndim: int) -> list[int]:
    """Leave out the axis in which a stroke does not move: in a stack one draws in a plane."""
    flat = flat_axis_of(stroke) if ndim > 2 else None
    return [axis for axis in range(ndim) if axis != flat]


def flat_axis_of(stroke: Stroke) -> int:
    """Give the axis in which a stroke moves least."""
    return int(np.ptp(stroke.voxels, axis=0).argmin())
