"""Cut a volume into blocks, and put together what the blocks know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import Box, Tile, grow, shift
from napari_unet.core.targets.facts import Facts, Ids, Rule, find, highest


def plan_blocks(shape: tuple[int, ...], block: tuple[int, ...]) -> Iterator[Box]:
    """Cut a volume into blocks, the last along each axis as small as what is left.

    Raises
    ------
    UserError
        When the block has other axes than the volume, or none of its voxels.
    """
    if len(block) != len(shape) or min(block) < 1:
        raise UserError(
            f"Blocks of {block} voxels do not fit maps of {shape}.", "Give one number above 0 for each axis."
        )
    starts = (range(0, n, b) for n, b in zip(shape, block, strict=True))
    for corner in product(*starts):
        yield tuple(slice(s, min(s + b, n)) for s, b, n in zip(corner, block, shape, strict=True))


def surround(core: Box, margin: tuple[int, ...], shape: tuple[int, ...]) -> Tile:
    """Put a margin around a block, cut where the volume ends."""
    read = grow(core, margin, shape)
    return Tile(core, read, shift(core, tuple(-s.start for s in read)))


def put_together(
    facts: Iterable[Facts | None], shape: tuple[int, ...], block: tuple[int, ...], rule: Rule
) -> Facts | None:
    """Put together what is known in all blocks of a volume: rows of them, then layers of rows, then the volume.

    Parameters
    ----------
    facts : iterable of Facts
        In the order of `plan_blocks`; None where nothing is known.
    shape : tuple of int
        The whole volume.
    block : tuple of int
        Size of a block per axis.
    rule : Rule
        To leave out passes that join nothing.

    Returns
    -------
    Facts or None
        None where there is no block, or nothing is known.
    """
    remaining = iter(facts)

    def part(counts: tuple[int, ...]) -> Facts | None:
        if not counts:
            return next(remaining)
        known = [one for one in (part(counts[1:]) for _ in range(counts[0])) if one is not None]
        if len(known) < 2:
            return known[0] if known else None
        return merge(known, shape, rule)

    return part(tuple(ceil(n / b) for n, b in zip(shape, block, strict=True)))


def merge(parts: Sequence[Facts], shape: tuple[int, ...], rule: Rule) -> Facts:
    """Put together what is known in boxes that fill a larger box.

    Parameters
    ----------
    parts : sequence of Facts
        In any order.
    shape : tuple of int
        The whole volume.
    rule : Rule
        To leave out passes that join nothing.

    Returns
    -------
    Facts
        Ways are followed through all of the boxes; the faces between them are forgotten.
    """
    sides = zip(*(part.box for part in parts), strict=True)
    box = tuple(slice(min(s.start for s in side), max(s.stop for s in side)) for side in sides)
    ports, behind = _sorted(*(np.concatenate([getattr(f, name) for f in parts]) for name in ("ports", "behind")))
    behind = _follow(ports, behind)
    names = ("ends", "leads", "heights", "sizes")
    ends, leads, heights, sizes = _sorted(*(np.concatenate([getattr(f, name) for f in parts]) for name in names))
    one, other, height = (np.concatenate([f.passes[i] for f in parts]) for i in range(3))
    one, other = _replace(one, ports, behind), _replace(other, ports, behind)
    stands = np.ones(len(one), bool)
    for side in (one, other):
        found, at = find(side, ends)
        # A voxel outside of the box is no higher than the peak that it leads to: nothing is left out too early.
        stands[found] &= rule.stands(heights[at], height[found])
        stands &= found
    keep = (one != other) & ~stands
    outside = _at_faces(ports, box, shape)
    return Facts(
        box,
        ends,
        _replace(leads, ports, behind),
        heights,
        sizes,
        highest(one[keep], other[keep], height[keep]),
        ports[outside],
        behind[outside],
    )


def _follow(ports: Ids, behind: Ids) -> Ids:
    """Follow the ways from port to port to their ends, twice as far each time."""
    while True:
        further = _replace(behind, ports, behind)
        if np.array_equal(further, behind):
            return behind
        behind = further


def _sorted(key: Ids, *others: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    order = np.argsort(key)
    return key[order], *(other[order] for other in others)


def _replace(ids: Ids, known: Ids, by: Ids) -> Ids:
    """Replace the ids that are known (sorted) and leave the others."""
    found, at = find(ids, known)
    ids = ids.copy()
    ids[found] = by[at]
    return ids


def _at_faces(ids: Ids, box: Box, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which voxels of a box have neighbours outside of it."""
    out = np.zeros(len(ids), bool)
    for index, part, length in zip(np.unravel_index(ids, shape), box, shape, strict=True):
        if part.start > 0:
            out |= index == part.start
        if part.stop < length:
            out |= index == part.stop - 1
    return out
