"""Remember which tiles fitted into memory after larger ones did not: for each network and device, also on the disk."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from napari_unet.core.base.files import sha256, write_atomic
from napari_unet.core.base.folders import cache_folder
from napari_unet.core.base.memory import free_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.core.pipeline.engine import Runner

FILE = "tiles.json"

MOST = 100
"""Networks and devices that are remembered, the latest ones."""

RELIEF = 1.5
"""Times the memory that was free then: where so much is free now, the usual tiles are tried again."""

_fits: dict[str, tuple[int, int]] = {}


def remembered_tile(engine: Runner) -> int | None:
    """Give the edge of the tiles that fitted this network and device the last time that memory ran out.

    Returns
    -------
    int or None, voxels
        None where nothing is known, or more memory is free now.
    """
    key = _key(engine)
    fit = _fits.get(key) or _read().get(key)
    return fit[0] if fit and free_bytes(engine.device.type) < RELIEF * fit[1] else None


def remember_tile(engine: Runner, tile: int) -> None:
    """Keep an edge that fitted after a larger one did not; where the disk refuses, until the program ends."""
    key = _key(engine)
    _fits[key] = (tile, free_bytes(engine.device.type))
    known = {name: fit for name, fit in _read().items() if name != key} | {key: _fits[key]}
    with suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_atomic(_file(), json.dumps(dict(list(known.items())[-MOST:]), indent=1).encode())


def _read() -> dict[str, tuple[int, int]]:
    """Read what earlier programs kept; nothing where the file is damaged."""
    try:
        told = json.loads(_file().read_bytes())
        return {str(key): (int(tile), int(free)) for key, (tile, free) in told.items() if tile > 0}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _file() -> Path:
    return cache_folder() / FILE


def _key(engine: Runner) -> str:
    """Name what decides how much memory a tile takes: the network's layers, not its weights; precision and device."""
    device = engine.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" and torch.cuda.is_available() else device.type
    return sha256(json.dumps([engine.net, asdict(engine.config), name, str(engine.dtype)], default=str).encode())[:32]
