"""Find objects in labels of any size, and read no more than their box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import fastremap
import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.lazy import is_lazy, rearrange
from napari_unet.core.base.tiles import Box, bounding_box, full_box, grow, shift

if TYPE_CHECKING:
    from napari_unet.core.edits.edit import Labels
    from napari_unet.core.edits.places import Places

BLOCK_VOXELS = 1 << 18  # a block stays in the processor's cache while each id is looked for in it
LAZY_VOXELS = 1 << 24  # blocks that have to be read and unpacked are larger
FEW_IDS = 8  # below it, comparing with one after the other is faster than a table
DENSE_IDS = 10_000_000  # ids may be hashes; a list with an entry for each possible id would not fit


@dataclass(frozen=True)
class Found:
    """Say where selected objects are.

    Parameters
    ----------
    box : Box
        Around all of them, with the margin that was asked for.
    labels : integer array, shape of the box
        All objects in the box; not to be written into.
    ids : tuple of int
        The selected objects, each of them in the box.
    mask : bool array, shape of the box
        True in any selected object.
    """

    box: Box
    labels: Labels = field(repr=False)
    ids: tuple[int, ...]
    mask: NDArray[np.bool_] = field(repr=False)

    def objects(self, margin: Sequence[int] | None = None) -> Iterator[tuple[int, Box]]:
        """Give each selected object with its own box inside `labels`, enlarged by a margin in voxels per axis."""
        room = tuple(margin or (0,) * self.labels.ndim)
        for one, place in boxes_of(self.labels, self.ids).items():
            yield one, grow(place, room, self.labels.shape)


def find(
    labels: Labels, selection: Sequence[int], margin: Sequence[int] | None = None, places: Places | None = None
) -> Found:
    """Find the selected objects.

    Parameters
    ----------
    labels : integer array, n-D
        All objects. One that lies on a disk is read block by block.
    selection : sequence of int
        Ids of objects, each greater than 0.
    margin : sequence of int, voxels, optional
        How much of the surroundings is wanted, for each axis.
    places : Places, optional
        Where the objects are, as far as that is known: only there it is looked. Where that is not true any more, it is
        looked everywhere.

    Returns
    -------
    Found

    Raises
    ------
    UserError
        When nothing is selected, or an id is not in the labels.
    """
    ids = checked_ids(selection)
    boxes, counts = list[Box](), dict[int, int]()
    if places is not None and (near := places.box(ids)) is not None:
        boxes, counts = _look(labels, ids, near)
    known = None if places is None else places.n_voxels(ids)
    if counts.keys() != set(ids) or known not in (None, sum(counts.values())):
        boxes, counts = _look(labels, ids, full_box(labels.shape))
    if gone := tuple(one for one in ids if one not in counts):
        raise _missing(gone)
    box = tuple(slice(min(p.start for p in parts), max(p.stop for p in parts)) for parts in zip(*boxes, strict=True))
    if margin is not None:
        box = grow(box, tuple(margin), labels.shape)
    inside = np.asarray(labels[box])
    return Found(box, inside, ids, is_any(inside, ids))


def _look(labels: Labels, ids: tuple[int, ...], within: Box) -> tuple[list[Box], dict[int, int]]:
    """Give boxes around the voxels of some ids in a part of the labels, and how many voxels each has."""
    boxes, counts, part = list[Box](), dict[int, int](), rearrange(labels, within)
    for block in blocks_of(part):
        inside = np.asarray(part[block])
        mask = is_any(inside, ids)
        if mask.any():
            boxes.append(shift(shift(bounding_box(mask), _start(block)), _start(within)))
            add_up(counts, inside[mask])
    return boxes, counts


def checked_ids(selection: Sequence[int]) -> tuple[int, ...]:
    """Give the selected ids, each once, in their order.

    Raises
    ------
    UserError
        When nothing is selected, or the background is.
    """
    if not len(selection):
        raise UserError("No object is selected.", "Click on an object first.")
    if min(selection) < 1:
        raise UserError("The background (0) is no object.", "Click on an object first.")
    return tuple(dict.fromkeys(int(one) for one in selection))


def has(labels: Labels, one: int) -> bool:
    """Tell whether an id is in the labels."""
    return any(is_any(np.asarray(labels[block]), (one,)).any() for block in blocks_of(labels))


def highest_id(labels: Labels) -> int:
    """Give the largest id; 0 without objects."""
    return max((int(np.asarray(labels[block]).max(initial=0)) for block in blocks_of(labels)), default=0)


def free_ids(labels: Labels, n: int, first: int | None = None) -> range:
    """Give `n` ids that no object has, from `first` on or above the largest.

    Raises
    ------
    UserError
        When the labels' type cannot hold them.
    """
    start = highest_id(labels) + 1 if first is None else first
    check_room(labels.dtype, start + n - 1)
    return range(start, start + n)


def check_room(dtype: np.dtype[Any], highest: int) -> None:
    """Refuse an id that a type cannot hold.

    Raises
    ------
    UserError
        Naming the type and the id.
    """
    if highest > np.iinfo(dtype).max:
        raise UserError(
            f"The labels are {dtype}: they have no room for object {highest}.", "Convert the labels layer to int32."
        )


def is_any(labels: Labels, ids: Sequence[int]) -> NDArray[np.bool_]:
    """Mark the voxels of any of the ids."""
    if len(ids) > FEW_IDS:
        highest = int(labels.max(initial=0))
        if highest > DENSE_IDS or int(labels.min(initial=0)) < 0:
            return np.isin(labels, np.asarray(ids, dtype=np.int64))
        table = np.zeros(highest + 1, bool)
        table[[one for one in ids if one <= highest]] = True
        found: NDArray[np.bool_] = table[labels]
        return found
    top = np.iinfo(labels.dtype).max  # numpy refuses to compare with what the type cannot hold
    hits: list[NDArray[np.bool_]] = [labels == one for one in ids if one <= top] or [np.zeros(labels.shape, bool)]
    for other in hits[1:]:
        hits[0] |= other
    return hits[0]


def boxes_of(labels: Labels, ids: Sequence[int]) -> dict[int, Box]:
    """Give the smallest box around each of the ids, in their order; labels in memory."""
    if len(ids) == 1:
        return {ids[0]: bounding_box(labels == ids[0])}
    if int(labels.max(initial=0)) <= DENSE_IDS:
        places = scipy.ndimage.find_objects(labels)
        return {one: places[one - 1] for one in ids}
    numbered, numbers = fastremap.renumber(labels, in_place=False)
    places = scipy.ndimage.find_objects(numbered)
    return {one: places[numbers[one] - 1] for one in ids}


def blocks_of(labels: Labels) -> Iterator[Box]:
    """Cut labels into blocks: whole stored blocks of those on a disk."""
    chunks = getattr(labels, "chunks", None) if is_lazy(labels) else None
    stored = [int(max(c)) if isinstance(c, tuple) else int(c) for c in chunks] if chunks else [1] * labels.ndim
    limit, edges = LAZY_VOXELS if is_lazy(labels) else BLOCK_VOXELS, list(labels.shape)
    for axis in range(labels.ndim):  # the last axis is cut last: it is the one that lies together in memory
        others = max(1, prod(edges[:axis] + edges[axis + 1 :]))
        edges[axis] = min(labels.shape[axis], -(-max(1, limit // others) // stored[axis]) * stored[axis])
    starts = (range(0, n, max(1, edge)) for n, edge in zip(labels.shape, edges, strict=True))
    for corner in product(*starts):
        yield tuple(slice(a, min(a + e, n)) for a, e, n in zip(corner, edges, labels.shape, strict=True))


def sizes_of(labels: Labels) -> dict[int, int]:
    """Count the voxels of each object, block by block."""
    total: dict[int, int] = {}
    for block in blocks_of(labels):
        add_up(total, np.asarray(labels[block]))
    total.pop(0, None)
    return total


def add_up(total: dict[int, int], values: NDArray[np.integer[Any]], sign: int = 1) -> None:
    """Count each value, and add the counts to those there are."""
    ids, counts = fastremap.unique(np.ascontiguousarray(values), return_counts=True)
    for one, n in zip(ids.tolist(), counts.tolist(), strict=True):
        total[one] = total.get(one, 0) + sign * n


def _start(box: Box) -> tuple[int, ...]:
    return tuple(part.start for part in box)


def _missing(ids: Sequence[int]) -> UserError:
    names = ", ".join(str(one) for one in sorted(ids))
    return UserError(f"These labels have no object {names}.", "Select an object that is still there.")
