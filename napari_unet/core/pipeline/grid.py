"""Which tiles cover a volume, in which order, and what each one reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.tiles import Box, plan_tiles, round_up
from napari_unet.core.pipeline.engine import valid_size

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


class Source(Protocol):
    """What tiles are read from: an array, or anything that gives a box of one as it is asked for it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, [Z,] Y, X)."""

    def __getitem__(self, index: Any, /) -> Any:
        """Give what a slice for each axis holds, as float32 or what turns into it."""


@dataclass(frozen=True)
class Job:
    """A tile.

    Parameters
    ----------
    core : Box
        The voxels that it gives; may reach beyond the volume.
    read : Box
        What the network sees of the volume; beyond the volume it is mirrored.
    inner : Box
        Where the core lies within `read`.
    """

    core: Box
    read: Box
    inner: Box

    def inside(self, shape: Sequence[int]) -> tuple[Box, Box]:
        """Give `core` and `inner` without what lies beyond a volume of ([Z,] Y, X)."""
        core = tuple(slice(s.start, min(s.stop, n)) for s, n in zip(self.core, shape, strict=True))
        inner = tuple(slice(s.start, s.start + c.stop - c.start) for s, c in zip(self.inner, core, strict=True))
        return core, inner


def plan_jobs(config: NetConfig, shape: tuple[int, ...], size: int, halo: tuple[int, ...]) -> list[Job]:
    """Cover a volume of ([Z,] Y, X) with tiles of about `size` voxels and a context of `halo` around each."""
    if config.padding == "valid":
        return list(_valid_jobs(config, shape, size))
    multiple = config.multiple()
    padded = tuple(round_up(n, m) for n, m in zip(shape, multiple, strict=True))
    return [Job(t.core, t.read, t.inner) for t in plan_tiles(padded, (size,) * len(shape), halo, multiple)]


def nearest_first(jobs: Sequence[Job], first: Box) -> list[Job]:
    """Sort tiles by their distance to a box; those that touch it keep their order."""

    def distance(job: Job) -> int:
        gaps = (max(0, f.start - c.stop, c.start - f.stop) for c, f in zip(job.core, first, strict=True))
        return sum(gap * gap for gap in gaps)

    return sorted(jobs, key=distance)


def read_mirrored(volume: Source, box: Box) -> NDArray[np.float32]:
    """Read a box that may reach beyond the volume; beyond the edge it is mirrored.

    Returns
    -------
    array, (C, *box), float32
    """
    shape = volume.shape[1:]
    places = [_fold(part, length) for part, length in zip(box, shape, strict=True)]
    # Only slices are asked for: a lazy array gives nothing else, or slowly.
    parts = tuple(slice(int(p.min()), int(p.max()) + 1) for p in places)
    found = np.asarray(volume[(slice(None), *parts)], np.float32)
    for axis, (place, part, wanted) in enumerate(zip(places, parts, box, strict=True), start=1):
        if part != wanted:
            found = found.take(place - part.start, axis=axis)
    return found


def _fold(part: slice, length: int) -> NDArray[np.int64]:
    """Give the places inside of a volume's edge that a part of its line shows."""
    period = max(1, 2 * (length - 1))
    folded = np.arange(part.start, part.stop) % period
    return np.minimum(folded, period - folded) if length > 1 else folded * 0


def _valid_jobs(config: NetConfig, shape: tuple[int, ...], size: int) -> Iterator[Job]:
    """Cover a volume with the outputs of unpadded convolutions (the overlap-tile strategy of the 2015 paper)."""
    multiples = config.multiple()
    wanted = [max(m, min(size, n)) for m, n in zip(multiples, shape, strict=True)]
    sizes = [valid_size(config, axis, length) for axis, length in enumerate(wanted)]
    # Whole multiples from tile to tile, so that their pooling grids agree.
    steps = [out // m * m for (_, out), m in zip(sizes, multiples, strict=True)]
    margins = [(read - out) // 2 for read, out in sizes]
    for index in np.ndindex(*[-(-n // step) for n, step in zip(shape, steps, strict=True)]):
        starts = [i * step for i, step in zip(index, steps, strict=True)]
        core = tuple(slice(s, s + step) for s, step in zip(starts, steps, strict=True))
        read = tuple(slice(s - m, s - m + n) for s, m, (n, _) in zip(starts, margins, sizes, strict=True))
        yield Job(core, read, tuple(slice(0, step) for step in steps))
