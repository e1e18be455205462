"""What is given up when memory runs out: the size of the tiles, then precision, then the GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_unet.core.base.device import flop_per_second
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.memory import free_bytes
from napari_unet.core.nets.cost import count_cost

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig
    from napari_unet.core.pipeline.engine import Runner

SMALL = {2: 128, 3: 32}
"""px; of smaller tiles most is context, so that precision and the GPU are given up first."""

CONTEXT_WORK = 1.5
"""Times the operations of the volume: what tiles compute together, roughly."""

Ask = Callable[[float], bool]
"""Asks whoever waits whether the processor may do what is left, in about so many seconds; True is yes."""


def always(seconds: float) -> bool:
    """Answer yes: the command line goes on by itself and tells it in a note."""
    return True


def step_down(engine: Runner, tile: int, n_voxels: int, may_use_cpu: Ask = always) -> int | None:
    """Go one rung down, after memory ran out; what was given up is added to the engine's notes.

    Parameters
    ----------
    engine : Runner
        Changed where precision or the GPU is given up.
    tile : int, voxels
        The edge of the tiles that did not fit.
    n_voxels : int
        How many are left, for the estimate.
    may_use_cpu : function of an estimated time in s
        Asked before the GPU is given up.

    Returns
    -------
    int or None
        The edge of the tiles to go on with; None chooses it anew.

    Raises
    ------
    UserError
        When nothing is left that could be given up.
    """
    dims, multiple, free = engine.config.dims, max(engine.config.multiple()), free_bytes(engine.device.type)
    smaller = tile // 2
    if smaller >= max(SMALL[dims], multiple):
        return _smaller(engine, smaller)
    if engine.lower_precision():
        engine.notes.append("Memory was short: the network ran in half precision.")
        return tile
    if engine.device.type != "cpu" and may_use_cpu(cpu_seconds(engine.net, engine.config, n_voxels)):
        engine.move_to_cpu()
        engine.notes.append("The memory of the GPU was too small: the network ran on the CPU.")
        return None
    if smaller >= multiple:
        return _smaller(engine, smaller)
    raise UserError(
        f"There is too little memory for a tile of {tile} px ({free / 2**30:.1f} GiB free).",
        "Close other programs, or choose the CPU.",
    )


def _smaller(engine: Runner, tile: int) -> int:
    words = "Memory was short: the image was cut into tiles of"
    # One line with the last size, not one for each.
    engine.notes[:] = [note for note in engine.notes if not note.startswith(words)]
    engine.notes.append(f"{words} {tile} px.")
    return tile


def cpu_seconds(net: str, config: NetConfig, n_voxels: int) -> float:
    """Estimate how long the processor takes for a number of voxels, from the speed of one convolution: s."""
    cost = count_cost(net, replace(config, padding="same"), 2 * max(config.multiple()))
    seen = 1
    for length in cost.shape:
        seen *= length
    return CONTEXT_WORK * cost.flop / seen * n_voxels / flop_per_second()
