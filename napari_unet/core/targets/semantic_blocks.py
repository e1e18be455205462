"""Classes decoded block by block: only the size of connected parts needs more than a voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.targets.facts import (
    EVERYTHING,
    Facts,
    Parts,
    Rule,
    borders,
    gather,
    is_core,
    linear,
    with_nothing,
)
from napari_unet.core.targets.merging import surround

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box, Tile
    from napari_unet.core.targets.base import DecodeSettings
    from napari_unet.core.targets.basins import Numbering
    from napari_unet.core.targets.blockwise import Work

FACES: dict[int, Literal[4, 6]] = {2: 4, 3: 6}


class SemanticBlocks:
    """Connected parts of a class that may leave their block."""

    def rule(self, settings: DecodeSettings) -> Rule:
        """Join whatever touches."""
        return EVERYTHING

    def look(self, work: Work, core: Box) -> Facts | None:
        """Find the connected parts of a block and where they go on; nothing where none is removed."""
        if work.settings.min_size <= 1:
            return None
        tile = surround(core, (1,) * len(core), work.shape)
        classes = choose_classes(work.read(tile.read), work.settings)
        parts = _parts(classes, tile, work.shape)
        numbers, flat = parts.numbers.ravel(), classes.ravel()
        here, there = (np.concatenate(side) for side in zip(*borders(parts.numbers, tile.inner), strict=True))
        same = flat[here] == flat[there]
        here, there = here[same], there[same]
        return gather(parts, tile, work.shape, (numbers[here], numbers[there], np.zeros(len(here), np.float32)))

    def paint(self, work: Work, core: Box, numbering: Numbering) -> NDArray[np.int32]:
        """Give the classes without parts that are too small."""
        classes = choose_classes(work.read(core), work.settings)
        if work.settings.min_size > 1:
            parts = _parts(classes, surround(core, (0,) * len(core), work.shape), work.shape)
            classes[numbering.of(parts.ends)[parts.numbers] == 0] = 0
        return classes


def choose_classes(maps: NDArray[Any], settings: DecodeSettings) -> NDArray[np.int32]:
    """Give every voxel its likeliest class, 0 where all classes together stay below the threshold: ([Z,] Y, X)."""
    # At the usual threshold this is the plain argmax; others trade missed against wrong foreground.
    if settings.foreground == 0.5:
        likeliest: NDArray[np.int32] = np.argmax(maps, axis=0).astype(np.int32)
        return likeliest
    classes = 1 + np.argmax(maps[1:], axis=0).astype(np.int32)
    return np.where(1 - maps[0] > settings.foreground, classes, 0).astype(np.int32)


def _parts(classes: NDArray[np.int32], tile: Tile, shape: tuple[int, ...]) -> Parts:
    """Find the connected parts in the core; each voxel of a class around it is one of its own."""
    inside = np.ascontiguousarray(classes[tile.inner])
    found, n = cc3d.connected_components(inside, connectivity=FACES[classes.ndim], return_N=True)
    numbers = np.zeros(classes.shape, np.int32)
    around = (classes > 0) & ~is_core(tile)
    numbers[around] = n + 1 + np.arange(np.count_nonzero(around))
    numbers[tile.inner] = found
    flat = numbers.ravel()
    first = np.zeros(int(flat.max(initial=0)) + 1, np.intp)
    first[flat[::-1]] = np.arange(len(flat))[::-1]  # the first voxel of a part stands for it
    return Parts(numbers, with_nothing(linear(first[1:], tile, shape), -1), np.zeros(len(first), np.float32))
