"""Cut a volume into tiles so that each voxel is computed with its true neighbours and written exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Tile:
    """One piece of the work.

    Parameters
    ----------
    core : Box
        The voxels of the volume that this tile writes.
    read : Box
        The voxels that the network sees: the core and its halo, cut at the volume's edges.
    inner : Box
        Where the core lies within `read`.
    """

    core: Box
    read: Box
    inner: Box


def plan_tiles(
    shape: tuple[int, ...], tile: tuple[int, ...], halo: tuple[int, ...], multiple: tuple[int, ...]
) -> list[Tile]:
    """Cover a volume with a balanced grid of tiles: all read equally much.

    A tile at the volume's edge needs no context beyond it and writes more instead. Equal reads cost as little as equal
    cores would, the largest of them is smaller, and memory that one tile has freed fits the next one.

    Parameters
    ----------
    shape : tuple of int, voxels
        The volume; every axis a multiple of `multiple`.
    tile : tuple of int, voxels
        Wanted size of a core per axis. What a tile reads is never larger than it (but at least one multiple) with its
        halo on both sides.
    halo : tuple of int, voxels per side
        Context per axis; rounded up to the multiple, so that pooling grids agree between tiles.
    multiple : tuple of int, voxels
        The network's downsampling per axis.

    Returns
    -------
    list of Tile
        The cores cover each voxel once.
    """
    axes = [_plan_axis(*args) for args in zip(shape, tile, halo, multiple, strict=True)]
    return [Tile(*(tuple(part[i] for part in parts) for i in range(3))) for parts in product(*axes)]


def count_read(
    shape: tuple[int, ...], tile: tuple[int, ...], halo: tuple[int, ...], multiple: tuple[int, ...]
) -> tuple[int, int]:
    """Give how many voxels one tile of `plan_tiles` reads, and all of them together."""
    axes = [_balance(*args) for args in zip(shape, tile, halo, multiple, strict=True)]
    one = prod(read * m for (_, read), m in zip(axes, multiple, strict=True))
    return one, one * prod(n_tiles for n_tiles, _ in axes)


def _balance(size: int, tile: int, halo: int, multiple: int) -> tuple[int, int]:
    """Give the number of tiles along an axis, and what each of them reads, in multiples."""
    blocks, margin = size // multiple, ceil(halo / multiple)
    n_tiles, between = ceil(blocks / max(1, tile // multiple)), blocks - 2 * margin
    if n_tiles == 1 or between <= 0:  # one tile, or each of them would read everything
        return 1, blocks
    own = ceil(between / n_tiles)
    return ceil(between / own), own + 2 * margin


def _plan_axis(size: int, tile: int, halo: int, multiple: int) -> list[tuple[slice, slice, slice]]:
    blocks, margin = size // multiple, ceil(halo / multiple)
    n_tiles, read = _balance(size, tile, halo, multiple)
    starts = [index * (blocks - read) // max(1, n_tiles - 1) for index in range(n_tiles)]
    cuts = [0, *(start + margin for start in starts[1:]), blocks]
    out = []
    for start, (first, last) in zip(starts, pairwise(cuts), strict=True):
        parts = (first, last), (start, start + read), (first - start, last - start)
        core, seen, inner = (slice(low * multiple, high * multiple) for low, high in parts)
        out.append((core, seen, inner))
    return out


def round_up(value: int, multiple: int) -> int:
    """Give the smallest multiple that is not below the value."""
    return -(-value // multiple) * multiple


def shift(box: Box, offset: tuple[int, ...]) -> Box:
    """Move a box by whole voxels."""
    return tuple(slice(s.start + o, s.stop + o) for s, o in zip(box, offset, strict=True))


def grow(box: Box, margin: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """Enlarge a box by a margin on every side, cut at the volume's edges."""
    return tuple(slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(box, margin, shape, strict=True))


def full_box(shape: tuple[int, ...]) -> Box:
    """Give the box that holds the whole volume."""
    return tuple(slice(0, n) for n in shape)


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """Give the smallest box that holds all that is set in a mask; an empty one where nothing is."""
    axes = range(mask.ndim)
    hits = [np.flatnonzero(mask.any(axis=tuple(b for b in axes if b != a))) for a in axes]
    return tuple(slice(int(h[0]), int(h[-1]) + 1) if len(h) else slice(0, 0) for h in hits)


def joined(boxes: Sequence[Box]) -> list[Box]:
    """Join boxes that lie flush on each other, such as the same rectangle in consecutive slices.

    Parameters
    ----------
    boxes : sequence of Box
        Of equally many axes.

    Returns
    -------
    list of Box
        They cover the same voxels.
    """
    found = list(boxes)
    for axis in range(len(found[0]) if found else 0):
        stacks: dict[tuple[tuple[int, int], ...], list[tuple[int, int]]] = {}
        for box in found:
            others = tuple((part.start, part.stop) for i, part in enumerate(box) if i != axis)
            stacks.setdefault(others, []).append((box[axis].start, box[axis].stop))
        found = []
        for others, spans in stacks.items():
            sides = [slice(*other) for other in others]
            found += [(*sides[:axis], slice(a, b), *sides[axis:]) for a, b in _runs(sorted(spans))]
    return found


def _runs(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    low, high = spans[0]
    for start, stop in spans[1:]:
        if start > high:
            yield low, high
            low = start
        high = max(high, stop)
    yield low, high
