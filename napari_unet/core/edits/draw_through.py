"""Carry an outline through a stack: of which outlines the object is made, and where it may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.tiles import Box, grow
from napari_unet.core.edits.carry import TALL, carry, reach_of, width_of
from napari_unet.core.edits.redraw import MOST, Drawn

if TYPE_CHECKING:
    from napari_unet.core.edits.adapt import Map
    from napari_unet.core.edits.edit import Labels

Section = tuple[Box, NDArray[np.bool_]]
"""A box that is one voxel thick, and what is inside an outline there."""

FARTHER = 2.5
"""Times the height of an object, as its outline says; no object goes on farther than that."""

AROUND = 0.1
"""Of the size of the outlines together: so much farther than these the object may reach between them."""


def draw_through(
    labels: Labels,
    section: Section,
    earlier: Sequence[Section],
    edges: Map | None,
    lengths: Sequence[float],
    *,
    goes_on: bool = False,
) -> Drawn:
    """Make an object in a stack of an outline, and of those drawn before for the same object.

    Parameters
    ----------
    labels : integer array, 3D
        0 is the background.
    section : Section
        What is outlined now.
    earlier : sequence of Section
        Outlines drawn before, of any objects.
    edges : Map or None
        High inside objects, such as the network's foreground probability.
    lengths : (3,) float
        Of a voxel's edges.
    goes_on : bool
        It is the object of the last outline before; without it, that is judged by where the two lie.
    """
    axis = next((at for at, part in enumerate(section[0]) if section[1].shape[at] == 1), 0)
    ordered = [lengths[axis], *np.delete(lengths, axis)]
    own, group = _of_one_object(labels, section, earlier, axis, ordered, goes_on=goes_on)
    box = tuple(
        slice(min(b.start for b in parts), max(b.stop for b in parts))
        for parts in zip(*(place for place, _ in group), strict=True)
    )
    room = [1 + ceil(AROUND * (part.stop - part.start)) for part in box]  # where it ends at a side, the image does
    box = grow(box, tuple(n * (at != axis) for at, n in enumerate(room)), labels.shape)
    flat = {place[axis].start: _placed(place, mask, box, axis) for place, mask in group}
    box = grow(box, tuple(reach_of(flat, ordered) * (at == axis) for at in range(3)), labels.shape)
    sections = {at - box[axis].start: mask for at, mask in flat.items()}
    before = np.moveaxis(np.asarray(labels[box]), axis, 0)
    at = section[0][axis].start - box[axis].start
    outlined = {int(one) for one in np.unique(before[at][sections[at]]) if one} | ({own} if own else set())
    seen = None if edges is None else np.moveaxis(np.asarray(edges[box]), axis, 0)
    free = (before == 0) | np.isin(before, sorted(outlined))
    whole = carry(sections, len(before), seen, free, ordered)
    return Drawn(box, np.moveaxis(whole, 0, axis), own, outlined)


def drawn_again(labels: Labels, section: Section, earlier: Sequence[Section]) -> int:
    """Give the object that an outline covers by more than half and that was outlined before; 0 without one."""
    here, share = _mostly(labels, section)
    known = [one for one in earlier if here and share >= MOST and _mostly(labels, one)[0] == here]
    drawn = max((np.count_nonzero(mask) for _, mask in known), default=0)
    return here if known and np.count_nonzero(labels[section[0]][section[1]] == here) > MOST * drawn else 0


def _placed(place: Box, mask: NDArray[np.bool_], box: Box, axis: int) -> NDArray[np.bool_]:
    """Give the inside of an outline in the plane of a box."""
    wide = np.zeros([part.stop - part.start for part in box], bool)
    inner = [slice(p.start - b.start, p.stop - b.start) for p, b in zip(place, box, strict=True)]
    wide[tuple(inner)] = mask
    section: NDArray[np.bool_] = wide.take(place[axis].start - box[axis].start, axis)
    return section


def _of_one_object(
    labels: Labels,
    section: Section,
    earlier: Sequence[Section],
    axis: int,
    lengths: Sequence[float],
    *,
    goes_on: bool,
) -> tuple[int, list[Section]]:
    """Find the earlier outlines of the object that is outlined now; gives its id, 0 without any, and all outlines.

    It is the object drawn last, where that outline is over or under this one and no farther away than such an object is
    high, or not much farther on background; else the one that most of the outline lies on.
    """
    others = [one for one in earlier if one[1].shape[axis] == 1 and one[0][axis] != section[0][axis]]
    here, share = _mostly(labels, section)
    if goes_on and earlier:
        here = _mostly(labels, earlier[-1])[0]
    elif others and _overlaps(section, others[-1], axis):
        box, mask = others[-1]
        far = abs(box[axis].start - section[0][axis].start) * lengths[0]
        room = 1 if share >= MOST else FARTHER
        if far <= room * TALL * width_of(np.squeeze(mask, axis), lengths):
            here = _mostly(labels, others[-1])[0]
    group = {one[0][axis].start: one for one in others if here and _mostly(labels, one)[0] == here}
    return (here if group else 0), [*group.values(), section]


def _mostly(labels: Labels, section: Section) -> tuple[int, float]:
    """Give the object with most voxels inside an outline, and the share of its inside that carries any object."""
    under = np.asarray(labels[section[0]])[section[1]]
    counts = Counter(under.tolist())
    n_empty = counts.pop(0, 0)
    return (counts.most_common(1)[0][0] if counts else 0), 1 - n_empty / len(under)


def _overlaps(one: Section, other: Section, axis: int) -> bool:
    """Tell whether two outlines lie over each other, by more than half of the smaller one."""
    flat = [(np.argwhere(mask) + [part.start for part in box]) for box, mask in (one, other)]
    first, second = ({tuple(at) for at in np.delete(points, axis, axis=1).tolist()} for points in flat)
    return len(first & second) > MOST * min(len(first), len(second))
