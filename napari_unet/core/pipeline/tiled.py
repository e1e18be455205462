"""Run a network over a volume of any size, tile by tile, as if it were run on the whole at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from math import ceil, inf, prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.core.base.memory import free_bytes, is_out_of_memory, reused_memory
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.base.tiles import Box, count_read, round_up
from napari_unet.core.pipeline.blend import blend, plan_axis
from napari_unet.core.pipeline.fits import remember_tile, remembered_tile
from napari_unet.core.pipeline.grid import Job, Source, nearest_first, plan_jobs, read_mirrored
from napari_unet.core.pipeline.halo import Halo, fast_halo
from napari_unet.core.pipeline.ladder import Ask, always, step_down
from napari_unet.core.pipeline.reuse import Reuse

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig
    from napari_unet.core.pipeline.engine import Runner

TILE = {2: 1024, 3: 128}
"""px; larger tiles hardly save anything, smaller ones compute their context many times."""

CUT = {2: 512, 3: 128}
"""px; the same on a processor where an image does not fit a tile of `TILE`: in 2D half of the memory, at a quarter
(bf16) to a third (fp32) more time."""

LEAST_CORES = 5
"""Times its context that a tile of `CUT` has to be long: networks that see far would compute little else."""

NUMBERS = {"unet": 8, "fcn": 10, "attention-unet": 10}
MOST_NUMBERS = 16
"""Times the base channels: how many numbers a voxel needs at the network's widest point; `MOST_NUMBERS` in all others.

Measured on a processor, in 2D and in 3D: a U-Net 6 and 3, FCN 9 and 5, Attention U-Net 9 and 4, U-Net++ 25 and 13,
ResUNet 18 and 14, dense blocks 29 and 17, windows 16 and 8. Half of the free memory is left alone.
"""

OVERLAP = {"exact": 0.5, "fast": 0.25}
"""Of a tile's edge, that blended tiles share with their neighbour."""

Write = Callable[[Box, Tensor], None]


@reused_memory()
def run_tiled(
    engine: Runner,
    volume: Source,
    write: Write,
    *,
    tile: int | None = None,
    halo: str = "exact",
    report: Report = silent,
    first: Box | None = None,
    may_use_cpu: Ask = always,
) -> bool:
    """Run a network over a normalised volume and hand over each voxel's logits.

    Parameters
    ----------
    engine : Runner
        The network, ready for inference. Where memory runs out it is changed and says so in its `notes`.
    volume : (C, [Z,] Y, X) float32
        Normalised; extended to the network's multiple by mirroring. Read box by box, so that it need not be in memory.
    write : function of a box and (K, *box) logits
        The boxes cover the volume without overlap. The logits are not to be changed in place.
    tile : int or None, voxels
        Edge of a tile; from the free memory by default.
    halo : {"exact", "fast"}
        True-neighbour context: all that the network sees, or half of it. Blended tiles share half of their edge, or a
        quarter.
    report : Report
        Called after each tile.
    first : Box or None
        What is looked at: tiles are done in the order of their distance to it. Blended tiles are not.
    may_use_cpu : function of an estimated time in s
        Asked before a GPU is given up for want of memory.

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
    out ``pipeline.ladder`` says what is given up, and exact tiles that are done are not computed again, unless a
    smaller tile crosses their border. Tiles that show nothing but one value are computed once.
    """
    config, shape = engine.config, volume.shape[1:]
    done = np.zeros([ceil(n / m) for n, m in zip(shape, config.multiple(), strict=True)], bool)
    size, fell = _first_size(engine, shape, tile), False
    while True:
        margin = _margin(engine, shape, size, halo)
        if margin is None:
            failed = _try_blending(engine, volume, write, size, OVERLAP[halo], report)
        else:
            jobs = plan_jobs(config, shape, size, margin)
            failed = _try_tiles(
                engine, volume, write, jobs if first is None else nearest_first(jobs, first), done, report
            )
        if not failed:
            if fell:
                remember_tile(engine, size)
            return margin is None
        # Here, outside of the except block, nothing holds the tensors of the failed tile any more.
        if engine.device.type == "cuda":
            torch.cuda.empty_cache()
        share = float(done.mean())
        fell, size = (
            True,
            step_down(engine, size, round(prod(shape) * (1 - share)), may_use_cpu) or _first_size(engine, shape, tile),
        )
        report(Progress(share, 1.0, engine.notes[-1]))


def _first_size(engine: Runner, shape: tuple[int, ...], tile: int | None) -> int:
    return min(tile or default_tile(engine, shape), round_up(max(shape), 32))


def default_tile(engine: Runner, shape: tuple[int, ...]) -> int:
    """Choose the edge of a tile: the usual one, or what fitted last, smaller where it does not fit half of the memory.

    A volume gets the longer tiles that compute least where they read no more than a cube of that edge would with its
    context: above all a thin stack, of which cubes would compute most voxels several times.
    """
    config, device, remembered = engine.config, engine.device.type, remembered_tile(engine)
    size = min(TILE[config.dims], remembered or TILE[config.dims])
    per_voxel = NUMBERS.get(engine.net, MOST_NUMBERS) * config.base * engine.dtype.itemsize
    step, most = max(config.multiple()), free_bytes(device) / 2 / per_voxel
    if max(shape) <= size and prod(shape) <= most:
        return size
    exact = context(engine)
    halo = max(exact or (0,))
    # What is blended keeps its tiles: their size is part of the result.
    if device == "cpu" and exact is not None and config.padding != "valid" and CUT[config.dims] >= LEAST_CORES * halo:
        size = min(size, CUT[config.dims])
    while size > 2 * step and (size + 2 * halo) ** config.dims > most:
        size -= step
    if remembered or exact is None or config.padding == "valid":
        return size
    return _cheapest(config, shape, size, exact)


def _cheapest(config: NetConfig, shape: tuple[int, ...], size: int, halo: Halo) -> int:
    """Choose the edge, `size` at least, with which all tiles together read least and one no more than a cube does."""
    multiple = config.multiple()
    padded = tuple(round_up(n, m) for n, m in zip(shape, multiple, strict=True))
    most, best, least = prod(size + 2 * round_up(h, m) for h, m in zip(halo, multiple, strict=True)), size, inf
    for edge in range(size, max(padded) + 1, max(multiple)):
        if prod(min(n, edge) for n in padded) > most:
            break
        one, together = count_read(padded, (edge,) * len(padded), halo, multiple)
        if one <= most and together < least:
            best, least = edge, together
    return best


def context(engine: Runner) -> Halo | None:
    """Give the exact context of tiles; None where there is none, or it is so large that tiles are blended instead."""
    halo = engine.halo
    return None if halo is None or max(halo) > TILE[engine.config.dims] else halo


def _margin(engine: Runner, shape: tuple[int, ...], size: int, halo: str) -> Halo | None:
    """Choose the context of tiles of a size; None where they have to be blended."""
    config = engine.config
    if config.padding == "valid" or _fits(config, shape, size):
        return (0,) * config.dims
    exact = context(engine)
    return fast_halo(exact) if exact is not None and halo == "fast" else exact


def _fits(config: NetConfig, shape: tuple[int, ...], size: int) -> bool:
    """Say whether the volume is a single tile."""
    return all(ceil(n / m) <= max(1, size // m) for n, m in zip(shape, config.multiple(), strict=True))


def _try_blending(engine: Runner, volume: Source, write: Write, size: int, overlap: float, report: Report) -> bool:
    """Run overlapping tiles and blend them; True when memory ran out."""
    multiple = engine.config.multiple()
    axes = tuple(plan_axis(n, size, overlap, m) for n, m in zip(volume.shape[1:], multiple, strict=True))
    n_tiles, n_done = prod(len(axis.starts) for axis in axes), 0

    def compute(box: Box) -> Tensor:
        nonlocal n_done
        logits = _compute(engine, read_mirrored(volume, box))
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
    engine: Runner, volume: Source, write: Write, jobs: list[Job], done: NDArray[np.bool_], report: Report
) -> bool:
    """Run the tiles that are not done; True when memory ran out."""
    shape, multiple = volume.shape[1:], engine.config.multiple()
    left = [job for job in jobs if not done[_coarse(job.core, multiple)].all()]
    reuse = Reuse(partial(_compute, engine))
    try:
        tile = read_mirrored(volume, left[0].read)
        for n_done, (job, following) in enumerate(zip_longest(left, left[1:]), len(jobs) - len(left) + 1):
            core, inner = job.inside(shape)
            logits = reuse(tile, inner)
            # A GPU computes on its own until its result is asked for: meanwhile the next tile is read.
            tile = read_mirrored(volume, following.read) if following else tile
            write(core, logits)
            del logits  # they lie in those of the whole tile with its context, which the next one would find in the way
            done[_coarse(job.core, multiple)] = True
            report(Progress(n_done, len(jobs), f"tile {n_done} of {len(jobs)}"))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return True
    return False


def _coarse(box: Box, multiple: tuple[int, ...]) -> Box:
    """Give a box that begins and ends on the pooling grid in units of the grid."""
    return tuple(slice(s.start // m, ceil(s.stop / m)) for s, m in zip(box, multiple, strict=True))


def _compute(engine: Runner, tile: NDArray[np.float32]) -> Tensor:
    """Run the network on (C, [Z,] Y, X): (K, [Z,] Y, X), on the device."""
    batch = torch.from_numpy(np.require(tile, requirements="W"))[None]  # torch warns of read-only arrays
    if engine.device.type == "cuda":
        batch = batch.pin_memory()  # is copied while the host goes on
    return engine(batch)[0]
