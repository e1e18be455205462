"""Make one object of a drawn mask: which of the objects there it replaces, which lose a part, and what is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import Box, bounding_box, grow, shift
from napari_unet.core.edits.depth import depth_of
from napari_unet.core.edits.edit import LabelEdit, edit_between
from napari_unet.core.edits.find import free_ids

if TYPE_CHECKING:
    from napari_unet.core.edits.edit import Labels

MARGIN = 4
"""Voxels around what is drawn that are looked at first; doubled until all objects under it are inside."""

MOST = 0.5
"""Share of an object inside the mask from which it is meant, and not only cut."""

THICK = 0.5
"""Of an object's own thickness; what is left of it and thinner is its old rim, what is thicker is another object."""

DRAWN, GONE = 1, 2
"""Owners of voxels: the drawn object, and nobody."""


@dataclass(frozen=True)
class Redrawn:
    """Which voxels change, and whose they are then.

    Parameters
    ----------
    owner : int32 array, shape of the labels
        0 where nothing changes, `DRAWN`, `GONE`, and from 3 on a number for each new object.
    keeps : int
        Id that the drawn object keeps; 0 where it is a new one.
    n_new : int
        New objects beside the drawn one.
    """

    owner: NDArray[np.int32] = field(repr=False)
    keeps: int
    n_new: int


@dataclass(frozen=True)
class Drawn:
    """A drawn object.

    Parameters
    ----------
    box : Box
        Where it is in the labels.
    mask : bool array, shape of the box
        What is drawn.
    own : int
        Id of the object that is drawn further; 0 where that is to be found out.
    outlined : collection of int or None
        Objects that may lose a part: those in the plane that was drawn in; None is all.
    """

    box: Box
    mask: NDArray[np.bool_] = field(repr=False)
    own: int = 0
    outlined: Collection[int] | None = None


def replace_by(
    labels: Labels, drawn: Drawn, spared: Collection[int], sampling: Sequence[float], new_id: int | None
) -> LabelEdit:
    """Make what is drawn one object; looks at as much of the labels as the objects under it need.

    Raises
    ------
    UserError
        When there is no room for it, or nothing would change.
    """
    box, before = _with_whole_objects(labels, drawn)
    wide = np.zeros(before.shape, bool)
    wide[shift(drawn.box, tuple(-part.start for part in box))] = drawn.mask
    found = redraw(before, replace(drawn, box=box, mask=wide), spared, sampling)
    is_new = found.keeps == 0
    ids = free_ids(labels, is_new + found.n_new, new_id) if is_new + found.n_new else range(0)
    table = np.array([0, ids[0] if is_new else found.keeps, 0, *ids[is_new:]], before.dtype)
    return edit_between(box, before, np.where(found.owner > 0, table[found.owner], before), nothing())


def nothing() -> UserError:
    """Say that nothing would change."""
    return UserError("The labels are like that already.", "Outline an object that is wrong, or one that is missing.")


def _with_whole_objects(labels: Labels, drawn: Drawn) -> tuple[Box, Labels]:
    """Read the labels around a drawn object, as far as the objects under it reach."""
    margin = MARGIN
    while True:
        box = grow(drawn.box, (margin,) * labels.ndim, labels.shape)
        before = np.asarray(labels[box])
        under = np.unique(before[shift(drawn.box, tuple(-part.start for part in box))][drawn.mask])
        there = np.isin(before, under[under > 0])
        is_cut = any(
            is_inner and there.take(-end, axis).any()
            for axis, (part, n) in enumerate(zip(box, labels.shape, strict=True))
            for end, is_inner in enumerate((part.start > 0, part.stop < n))
        )
        if not is_cut:
            return box, before
        margin *= 2


def redraw(before: Labels, drawn: Drawn, spared: Collection[int], sampling: Sequence[float]) -> Redrawn:
    """Make a mask one object.

    The object that it covers most, and of which more than half lies in it, becomes that object and keeps its id.
    Others of which more than half lies in it are swallowed. The rest of an object that is only cut stays; where the cut
    divides it, so that several pieces are thick, each is an object, and the largest keeps the id. Where a thick
    piece is left of the object that was covered most, there were two, and the piece keeps the id.

    Parameters
    ----------
    before : integer array, n-D
        The labels, with all objects under the mask whole.
    drawn : Drawn
        Its mask has the same shape.
    spared : collection of int
        Objects that keep every voxel, unless they are the one that is redrawn.
    sampling : (ndim,) float
        Length of a voxel's edges.

    Raises
    ------
    UserError
        When there is no room for it.
    """
    under = _under(before, drawn.mask)
    meant = [one for one, n in under.items() if one == drawn.own or n > MOST * np.count_nonzero(before == one)]
    covered = drawn.own if drawn.own in under else max(meant, key=lambda one: under[one], default=0)
    if drawn.outlined is not None:
        spared = {*spared, *(one for one in under if one not in meant and one not in drawn.outlined)}
    room = drawn.mask & ~np.isin(before, [one for one in under if one in spared and one != covered])
    if not room.any():
        raise UserError(
            "All that is drawn lies on accepted objects.", "Outline more than half of one to redraw it, or Split it."
        )
    owner = np.where(room, DRAWN, 0).astype(np.int32)
    divided, n_new = set[int](), 0
    for one in under:
        if one in spared and one != covered:
            continue
        place = grow(bounding_box(before == one), (1,) * before.ndim, before.shape)
        whole, here = before[place] == one, owner[place]
        if one == drawn.own:
            here[whole & ~room[place]] = GONE
            continue
        rest = _rest_of(whole, room[place], sampling, is_meant=one in meant)
        here[rest == GONE] = GONE
        pieces = np.unique(rest[rest > GONE])
        if len(pieces) and one in meant:
            divided.add(one)
        for piece in pieces[1:]:
            n_new += 1
            here[rest == piece] = GONE + n_new
    kept = [one for one in meant if one not in divided and (one == covered or one not in spared)]
    keeps = covered if covered in kept else max(kept, key=lambda one: under[one], default=0)
    return Redrawn(owner, keeps, n_new)


def _under(before: Labels, mask: NDArray[np.bool_]) -> dict[int, int]:
    """Count the voxels of each object under the mask."""
    ids, counts = np.unique(before[mask], return_counts=True)
    return {int(one): int(n) for one, n in zip(ids, counts, strict=True) if one}


def _rest_of(
    whole: NDArray[np.bool_], room: NDArray[np.bool_], sampling: Sequence[float], *, is_meant: bool
) -> NDArray[np.int32]:
    """Judge the pieces of an object outside the mask: `GONE`, or 3, 4, ... for those that stay, the largest first.

    0 is what nobody asks about: pieces of an object that is only cut, and that do not touch the mask.
    """
    around = np.ones((3,) * whole.ndim)
    pieces, n = scipy.ndimage.label(whole & ~room, around)
    if not n:
        return np.zeros(whole.shape, np.int32)
    touching = np.zeros(n + 1, bool)
    touching[np.unique(pieces[scipy.ndimage.binary_dilation(room, around)])] = True
    judged = np.ones(n + 1, bool) if is_meant else touching
    depth = scipy.ndimage.maximum(depth_of(pieces > 0, sampling), pieces, np.arange(n + 1))
    half = 0.5 * min(sampling)  # the depth of a line one voxel wide is that of a voxel's edge
    thick = depth - half >= THICK * (float(depth_of(whole, sampling).max()) - half)
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)
    sizes[0] = 0
    if not is_meant:
        thick[sizes.argmax()] = True
    table = np.where(judged, GONE, 0).astype(np.int32)
    table[0] = 0
    stay = [piece for piece in np.argsort(-sizes, kind="stable") if piece and judged[piece] and thick[piece]]
    table[stay] = np.arange(GONE + 1, GONE + 1 + len(stay))
    found: NDArray[np.int32] = table[pieces]
    return found
