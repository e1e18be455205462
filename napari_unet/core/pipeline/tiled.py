"""Run a network over a volume of any size, tile by tile, as if it were run on the whole at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.memory import free_bytes, is_out_of_memory
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.base.tiles import Box, plan_tiles, round_up
from napari_unet.core.pipeline.blend import blend, plan_axis
from napari_unet.core.pipeline.engine import Engine, valid_size
from napari_unet.core.pipeline.halo import Halo, fast_halo

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

TILE = {2: 1024, 3: 128}
"""px; larger tiles hardly save anything, smaller ones compute their context many times."""

BYTES_PER_VOXEL = 16
"""Times the base channels and the bytes of a number: what a voxel needs at the network's widest point.

Measured; U-Net++ needs the most, a U-Net half of it.
"""

OVERLAP = {"exact": 0.5, "fast": 0.25}
"""Of a tile's edge, that blended tiles share with their neighbour."""

Write = Callable[[Box, Tensor], None]


def run_tiled(
    engine: Engine,
    volume: NDArray[np.float32],
    write: Write,
    *,
    tile: int | None = None,
    halo: str = "exact",
    report: Report = silent,
) -> bool:
    """Run a network over a normalised volume and hand over each voxel's logits exactly once.

    Parameters
    ----------
    engine : Engine
        The network, ready for inference.
    volume : (C, [Z,] Y, X) float32
        Normalised; extended to the network's multiple by mirroring.
    write : function of a box and (K, *box) logits
        The boxes cover the volume without overlap.
    tile : int or None, voxels
        Edge of a tile; from the free memory by default.
    halo : {"exact", "fast"}
        True-neighbour context: all that the network sees, or half of it. Blended tiles share half of their edge, or a
        quarter.
    report : Report
        Called after each tile.

    Returns
    -------
    bool
        True where tiles were blended, because no context makes them exact (or only a giant one). A volume that is a
        single tile never is.

    Raises
    ------
    UserError
        When even the smallest tile does not fit the memory.

    Notes
    -----
    Needs the memory of one tile on top of the volume, and that of all logits where tiles are blended. When memory runs
    out the tiles become smaller, and the exact tiles that are done are not computed again.
    """
    config, shape = engine.config, volume.shape[1:]
    size = min(tile or default_tile(engine, shape), round_up(max(shape), 32))
    done = np.zeros(shape, bool)
    while True:
        margin = _margin(engine, shape, size, halo)
        if margin is None:
            failed = _try_blending(engine, volume, write, size, OVERLAP[halo], report)
        else:
            failed = _try_tiles(engine, volume, write, _tiles(config, shape, size, margin), done, report)
        if not failed:
            return margin is None
        # Here, outside of the except block, nothing holds the tensors of the failed tile any more.
        if engine.device.type == "cuda":
            torch.cuda.empty_cache()
        smaller = size // 2
        if smaller < max(config.multiple()):
            raise UserError(
                f"There is too little memory for a tile of {size} px ({free_bytes(engine.device.type) / 2**30:.1f} "
                "GiB free).",
                "Close other programs, or choose the CPU.",
            )
        size = smaller


def default_tile(engine: Engine, shape: tuple[int, ...]) -> int:
    """Choose the edge of a tile: the usual one, halved until it fits into half of the free memory."""
    config, device = engine.config, engine.device.type
    size = TILE[config.dims]
    per_voxel = BYTES_PER_VOXEL * config.base * engine.dtype.itemsize
    if max(shape) <= size and prod(shape) * per_voxel <= free_bytes(device) / 2:
        return size
    halo = max(context(engine) or (0,))
    while size > 2 * max(config.multiple()) and (size + 2 * halo) ** config.dims * per_voxel > free_bytes(device) / 2:
        size //= 2
    return size


def context(engine: Engine) -> Halo | None:
    """Give the exact context of tiles; None where there is none, or it is so large that tiles are blended instead."""
    halo = engine.halo
    return None if halo is None or max(halo) > TILE[engine.config.dims] else halo


def _margin(engine: Engine, shape: tuple[int, ...], size: int, halo: str) -> Halo | None:
    """Choose the context of tiles of a size; None where they have to be blended."""
    config = engine.config
    if config.padding == "valid" or _fits(config, shape, size):
        return (0,) * config.dims
    exact = context(engine)
    return fast_halo(exact) if exact is not None and halo == "fast" else exact


def _fits(config: NetConfig, shape: tuple[int, ...], size: int) -> bool:
    """Say whether the volume is a single tile."""
    return all(ceil(n / m) <= max(1, size // m) for n, m in zip(shape, config.multiple(), strict=True))


def _try_blending(
    engine: Engine, volume: NDArray[np.float32], write: Write, size: int, overlap: float, report: Report
) -> bool:
    """Run overlapping tiles and blend them; True when memory ran out."""
    multiple = engine.config.multiple()
    axes = tuple(plan_axis(n, size, overlap, m) for n, m in zip(volume.shape[1:], multiple, strict=True))
    n_tiles, n_done = prod(len(axis.starts) for axis in axes), 0

    def compute(box: Box) -> Tensor:
        nonlocal n_done
        logits = engine(torch.from_numpy(_read(volume, box))[None])[0]
        n_done += 1
        report(Progress(n_done, n_tiles, f"tile {n_done} of {n_tiles}"))
        return logits

    try:
        blend(axes, compute, write)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return True
    return False


def _try_tiles(
    engine: Engine,
    volume: NDArray[np.float32],
    write: Write,
    tiles: list[_Job],
    done: NDArray[np.bool_],
    report: Report,
) -> bool:
    """Run the tiles that are not done; True when memory ran out."""
    for number, job in enumerate(tiles):
        core = tuple(slice(s.start, min(s.stop, n)) for s, n in zip(job.core, volume.shape[1:], strict=True))
        if done[core].all():
            continue
        try:
            logits = engine(torch.from_numpy(_read(volume, job.read))[None])[0]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return True
        index = tuple(slice(s.start, s.start + c.stop - c.start) for s, c in zip(job.inner, core, strict=True))
        write(core, logits[(slice(None), *index)])
        done[core] = True
        report(Progress(number + 1, len(tiles), f"tile {number + 1} of {len(tiles)}"))
    return False


class _Job:
    """A tile whose `read` may reach beyond the volume: there it is mirrored."""

    def __init__(self, core: Box, read: Box, inner: Box) -> None:
        self.core, self.read, self.inner = core, read, inner


def _tiles(config: NetConfig, shape: tuple[int, ...], size: int, halo: tuple[int, ...]) -> list[_Job]:
    if config.padding == "valid":
        return list(_valid_tiles(config, shape, size))
    multiple = config.multiple()
    padded = tuple(round_up(n, m) for n, m in zip(shape, multiple, strict=True))
    return [_Job(t.core, t.read, t.inner) for t in plan_tiles(padded, (size,) * len(shape), halo, multiple)]


def _valid_tiles(config: NetConfig, shape: tuple[int, ...], size: int) -> Iterator[_Job]:
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
        yield _Job(core, read, tuple(slice(0, step) for step in steps))


def _read(volume: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
    """Read a box that may reach beyond the volume; beyond the edge it is mirrored."""
    inside = all(s.start >= 0 and s.stop <= n for s, n in zip(box, volume.shape[1:], strict=True))
    if inside:
        return volume[(slice(None), *box)]
    index: list[Any] = []
    for part, length in zip(box, volume.shape[1:], strict=True):
        period = max(1, 2 * (length - 1))
        folded = np.arange(part.start, part.stop) % period
        index.append(np.minimum(folded, period - folded) if length > 1 else folded * 0)
    return volume[(slice(None), *np.ix_(*index))]
