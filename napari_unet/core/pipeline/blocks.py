"""Decode maps of any size block by block; the labels are those of the whole volume decoded at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.base.tiles import Box, grow
from napari_unet.core.targets.basins import Numbering, join
from napari_unet.core.targets.blockwise import Blockwise, Maps, Work
from napari_unet.core.targets.instances_blocks import InstanceBlocks
from napari_unet.core.targets.merging import plan_blocks, put_together
from napari_unet.core.targets.semantic_blocks import SemanticBlocks

if TYPE_CHECKING:
    from napari_unet.core.targets.base import DecodeSettings
    from napari_unet.core.targets.facts import Facts

T = TypeVar("T")

BLOCKWISE: dict[str, Blockwise] = {"instances": InstanceBlocks(), "semantic": SemanticBlocks()}
"""How each target is decoded in blocks."""

Write = Callable[[Box, NDArray[np.int32]], None]


Run = Callable[..., Iterable[Any]]
"""Apply a function to many items and give the results in their order: `map`, or that of a pool of processes."""


def decode_blocks(
    maps: Maps,
    settings: DecodeSettings,
    sampling: tuple[float, ...],
    write: Write,
    *,
    block: tuple[int, ...],
    target: str = "instances",
    report: Report = silent,
    run: Run = map,
    is_done: Callable[[Box], bool] = lambda box: False,
) -> int:
    """Decode maps block by block.

    Parameters
    ----------
    maps : (K, [Z,] Y, X), sliced piece by piece
        As `Target.decode` reads them: floats of 0..1, or unsigned integers that stand for that.
    settings : DecodeSettings
        Thresholds; sizes and lengths in voxels of the maps.
    sampling : tuple of float
        Relative voxel size per axis.
    write : function of a box and its labels, int32
        Called once for each block; the boxes cover the volume without overlap and begin at multiples of `block`.
    block : tuple of int, voxels
        Size of a block per axis, best a multiple of the chunks of what is read and written.
    target : str
        A key of `BLOCKWISE`.
    report : Report
        Called twice for each block; may raise `Cancelled`.
    run : Run
        Where blocks are worked on; what it gets and gives can be pickled if the maps can.
    is_done : function of a box
        True where `write` has been called for a block before: it is not painted again. The same maps and settings give
        the same labels each time, whatever the blocks.

    Returns
    -------
    int
        Number of objects; for classes, of the connected parts that are kept where small ones are removed.

    Raises
    ------
    UserError
        When the blocks do not fit the maps, or the target cannot be decoded.

    Notes
    -----
    Nothing is approximate, however large an object is: see docs/decoding.md. The steps are `plan_blocks`, `look` at
    each block, `number_objects` and `paint` each block; a scheduler can call them as well.

    With `map`, memory holds one block, about 60 bytes for each of its voxels, and what `number_objects` needs. Every
    block is read twice.
    """
    work = Work(maps, settings, sampling)
    boxes = list(plan_blocks(work.shape, block))
    n = len(boxes)
    facts = _counted(run(partial(look, work, target), boxes), report, 2 * n)
    numbering = number_objects(facts, work, target, block)
    rest = [box for box in boxes if not is_done(box)]
    needed = (needed_by(box, numbering, work.shape) for box in rest)
    painted = run(partial(paint, work, target), rest, needed)
    for number, (box, labels) in enumerate(zip(rest, painted, strict=True), 2 * n - len(rest) + 1):
        write(box, labels)
        report(Progress(number, 2 * n, "writing objects"))
    return numbering.n_objects


def look(work: Work, target: str, box: Box) -> Facts | None:
    """Find what the others have to know of a block; small, and without any other block."""
    return _blockwise(target).look(work, box)


def paint(work: Work, target: str, box: Box, numbering: Numbering) -> NDArray[np.int32]:
    """Give the labels of a block; `needed_by` says which part of the numbering will do."""
    return _blockwise(target).paint(work, box, numbering)


def number_objects(facts: Iterable[Facts | None], work: Work, target: str, block: tuple[int, ...]) -> Numbering:
    """Join what is known of all blocks and number the objects.

    Parameters
    ----------
    facts : iterable of Facts
        From `look`, in the order of `plan_blocks`; rows of blocks are put together as soon as they are complete.
    work : Work
        What is decoded.
    target : str
        A key of `BLOCKWISE`.
    block : tuple of int
        Size of a block per axis.

    Notes
    -----
    Needs about 60 bytes for each basin (about one for each object) and, for the faces of one row of blocks and of the
    layers of blocks so far, 16 bytes for each voxel of the foreground.
    """
    rule = _blockwise(target).rule(work.settings)
    known = put_together(facts, work.shape, block, rule)
    if known is None:
        return Numbering(np.zeros(0, np.int64), np.zeros(0, np.int32))
    return join(known, rule, work.settings.min_size)


def needed_by(box: Box, numbering: Numbering, shape: tuple[int, ...]) -> Numbering:
    """Keep the part of a numbering that painting a block needs."""
    read = grow(box, (1,) * len(box), shape)
    first, last = (
        np.ravel_multi_index(corner, shape) for corner in ([s.start for s in read], [s.stop - 1 for s in read])
    )
    return numbering.between(int(first), int(last))


def _counted(results: Iterable[T], report: Report, total: int) -> Iterator[T]:
    """Report each result."""
    for number, result in enumerate(results, 1):
        report(Progress(number, total, "finding objects"))
        yield result


def _blockwise(target: str) -> Blockwise:
    if target not in BLOCKWISE:
        raise UserError(f"'{target}' cannot be decoded in blocks.", f"Choose one of: {', '.join(BLOCKWISE)}.")
    return BLOCKWISE[target]
