"""The network's part of a large image: maps of one tile, read, computed and stored by itself."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.core.base.resize_box import resize_box, source_box
from napari_unet.core.base.tiles import Box, grow, round_up, shift
from napari_unet.core.pipeline.blend import plan_axis
from napari_unet.core.pipeline.channels import read_box
from napari_unet.core.pipeline.predictor import check_finite
from napari_unet.core.pipeline.stream_show import show_tile
from napari_unet.core.pipeline.tiled import OVERLAP, run_tiled

if TYPE_CHECKING:
    from napari_unet.core.base.glimpse import Glimpse
    from napari_unet.core.pipeline.stream_place import Place

MOST_CONSTANT = 16
"""Tiles of one value whose maps are remembered: nine positions in the image, for the usual one or two values."""


def compute_maps(place: Place, name: str, time: int, core: Box, steps: tuple[int, ...] | None = None) -> Glimpse | None:
    """Compute the maps of one tile, store them, mark the tile as done, and show it.

    Parameters
    ----------
    place : Place
        Where the work is.
    name : str
        Of the mark, which keeps what the network had to give up.
    time : int
        Time point.
    core : Box
        On the network's grid of the whole image; one plane of a stack where the network is for planes.
    steps : tuple of int or None
        How coarse it is shown; None where nobody looks on.
    """
    compute = _blended if place.plan.margin is None else _with_context
    maps = check_finite(compute(place, time, core), place.model)
    place.maps[(time, slice(None), *core)] = maps
    place.mark(name, place.engine.notes)
    return show_tile(place, time, core, maps, steps)


def _with_context(place: Place, time: int, core: Box) -> NDArray[np.float16]:
    planar = len(core) - len(place.plan.edges)
    margin = (0,) * planar + (place.plan.margin or ())
    read = grow(core, margin, place.shape)
    inner = shift(core, tuple(-s.start for s in read))
    raw, source = _read(place, time, read)
    key = (_value(raw), raw.shape, *((s.start, s.stop) for s in inner))
    if key[0] is not None and key in place.constant:
        return place.constant[key]
    logits = _run(place, _normalise(place, raw, source, read))
    maps = _maps(place, logits[(slice(None), *inner[planar:])], planar)
    if key[0] is not None and len(place.constant) < MOST_CONSTANT:
        place.constant[key] = maps
    return maps


def _blended(place: Place, time: int, core: Box) -> NDArray[np.float16]:
    """Blend the tiles that reach into a core, in the order in which `blend` adds up all of them."""
    plan, multiple = place.plan, place.engine.config.multiple()
    planar = len(core) - len(multiple)
    share = OVERLAP[plan.options.halo]
    axes = [plan_axis(n, plan.size, share, m) for n, m in zip(place.shape[planar:], multiple, strict=True)]
    here = core[planar:]
    starts = [[s for s in a.starts if s < c.stop and s + a.size > c.start] for a, c in zip(axes, here, strict=True)]
    total: Tensor | None = None
    for corner in product(*starts):
        tile = tuple(slice(s, min(s + a.size, a.length)) for s, a in zip(corner, axes, strict=True))
        both = tuple(slice(max(t.start, c.start), min(t.stop, c.stop)) for t, c in zip(tile, here, strict=True))
        read = (*core[:planar], *tile)
        logits = _run(place, _normalise(place, *_read(place, time, read), read))
        inside = shift(both, tuple(-s.start for s in tile))
        window = [a.weights()[part] for a, part in zip(axes, inside, strict=True)]
        if total is None:
            total = logits.new_zeros(logits.shape[0], *(c.stop - c.start for c in here))
        place_in = shift(both, tuple(-c.start for c in here))
        total[(slice(None), *place_in)] += logits[(slice(None), *inside)] * _outer(window)
    sums = _outer([a.total()[c] for a, c in zip(axes, here, strict=True)])
    if total is None:
        raise AssertionError("tiles cover every core")
    return _maps(place, total / sums, planar)


def _read(place: Place, time: int, box: Box) -> tuple[NDArray[Any], Box]:
    """Read what lies behind a box of the network's grid: values as they are stored, and the box that was read."""
    source = source_box(place.image.spatial_shape, place.shape, box)
    return read_box(place.image, place.model.spec, place.plan.options.channel, time, source), source


def _value(raw: NDArray[Any]) -> tuple[float, ...] | None:
    """Give the one value of each channel; None where there are several."""
    first = raw.reshape(raw.shape[0], -1)[:, 0]
    if not (raw == first.reshape(-1, *(1,) * (raw.ndim - 1))).all():
        return None
    return tuple(float(v) for v in first)


def _normalise(place: Place, raw: NDArray[Any], source: Box, box: Box) -> NDArray[np.float32]:
    """Turn what was read into what the network sees: (C, *box), without the axis of a single plane."""
    volume = place.plan.statistics.apply(raw)
    if place.shape != place.image.spatial_shape:
        volume = resize_box(volume, place.image.spatial_shape, place.shape, box)
    return volume[:, 0] if len(source) > place.model.spec.dims else volume


def _run(place: Place, volume: NDArray[np.float32]) -> Tensor:
    """Run the network over a volume as one tile: (K, [Z,] Y, X), on the CPU."""
    out: list[Tensor] = []

    def write(box: Box, logits: Tensor) -> None:
        if not out:
            out.append(torch.zeros(logits.shape[0], *volume.shape[1:]))
        out[0][(slice(None), *box)] = logits.cpu()

    whole = round_up(max(volume.shape[1:]), max(place.engine.config.multiple()))
    # Smaller tiles only where the memory does not suffice: their context lies inside of the volume.
    tile = place.plan.size if place.engine.config.padding == "valid" else whole
    run_tiled(
        place.engine,
        volume,
        write,
        tile=tile,
        halo=place.plan.options.halo,
        may_use_cpu=lambda seconds: place.may_use_cpu(seconds * place.tiles_left()),
    )
    return out[0]


def _maps(place: Place, logits: Tensor, planar: int) -> NDArray[np.float16]:
    maps: NDArray[np.float16] = place.model.target.maps(logits).numpy().astype(np.float16)
    return maps[:, np.newaxis] if planar else maps


def _outer(parts: list[Tensor]) -> Tensor:
    out = parts[0]
    for part in parts[1:]:
        out = out[..., None] * part
    return out
