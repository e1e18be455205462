"""What a zarr store says about its axes, for layers that another reader opened without them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

AXES = "TCZYX"


def axes_of(layer: ImageLayer) -> str | None:
    """Give the axes that the layer's store names, in the layer's order; None where it has none or they do not fit."""
    found = _told(layer)
    return None if found is None else found[0]


def voxel_size_of(layer: ImageLayer, axes: str) -> tuple[float, ...] | None:
    """Give the voxel size that the layer's store tells, in µm for each spatial axis of `axes`; None where it does not.

    Parameters
    ----------
    layer : napari Image layer
        Shows the whole of what is stored.
    axes : str
        As the layer is read; its spatial axes have to be those of the store.
    """
    found = _told(layer)
    if found is None:
        return None
    sizes = dict(found[1])
    spatial = [a for a in axes if a in "ZYX"]
    same = spatial == [a for a in found[0] if a in "ZYX"]
    return tuple(sizes[a] for a in spatial) if same and all(a in sizes for a in spatial) else None


def _told(layer: ImageLayer) -> tuple[str, tuple[tuple[str, float], ...]] | None:
    path = Path(layer.source.path or "")
    # An address is not asked: the window would wait for the network. Our own reader has put all it says on the layer.
    if ".zarr" not in path.as_posix().lower() or not path.is_dir():
        return None
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    return _read(path, tuple(int(n) for n in shape), path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, shape: tuple[int, ...], changed: int) -> tuple[str, tuple[tuple[str, float], ...]] | None:
    """Read the metadata once; `changed` is a time."""
    from napari_unet.core.io.formats import read_stored

    try:
        stored = read_stored(path)
    except UserError:
        return None
    for axes, lengths in _ways(stored.axes, tuple(int(n) for n in stored.data.shape)):
        if lengths == shape and set(axes) <= set(AXES):
            return axes, tuple(stored.voxel_size.items())
    return None


def _ways(axes: str, shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """List what a reader may make of stored axes: all, one layer for each channel, or without what has one voxel."""
    whole = list(zip(axes, shape, strict=True))
    ways = [
        [pair for pair in whole if (all_channels or pair[0] != "C") and (all_lengths or pair[1] > 1 or pair[0] in "YX")]
        for all_channels in (True, False)
        for all_lengths in (True, False)
    ]
    return [("".join(a for a, _ in way), tuple(n for _, n in way)) for way in ways]
