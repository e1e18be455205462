"""OME-Zarr and plain zarr, of version 2 and 3, on the disk or at an address: read only where it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.io.guard import check_chunk
from napari_unet.core.io.ngff import letters, ome, read_pyramid
from napari_unet.core.io.paths import is_url, location
from napari_unet.core.io.stored import UNKNOWN, Stored

if TYPE_CHECKING:
    import zarr

    from napari_unet.core.io.ngff import Pyramid

LABELS = "labels"
"""The group in an image in which OME-Zarr keeps its labels."""


def read(path: Path) -> Stored:
    """Read the image of a store lazily, with its pyramid (see `Reader`).

    A group is taken as OME-Zarr; one without its metadata, or a collection, where there is only one image in it.
    """
    return _read(path, _open(path))


def is_labels(path: str | Path) -> bool:
    """Tell whether a store holds labels rather than an image, by its metadata."""
    return "image-label" in _attributes(Path(path))


def label_names(path: str | Path) -> tuple[str, ...]:
    """List the labels that lie within an OME-Zarr image, as their paths in it."""
    return tuple(f"{LABELS}/{name}" for name in _attributes(Path(path) / LABELS).get(LABELS, ()))


def _attributes(path: Path) -> Mapping[str, Any]:
    """Read what a group says about itself; nothing where there is none."""
    import zarr

    try:
        return ome(dict(zarr.open_group(_address(path), mode="r").attrs))
    except (OSError, ValueError):  # zarr's errors of what is not there
        return {}


def _address(path: Path) -> str:
    """Give what zarr opens; absolute, since the array may be sent to a process that runs in another folder."""
    return location(path if is_url(path) else path.absolute())


def _open(path: Path) -> zarr.Array[Any] | zarr.Group:
    import zarr  # slow to load, and the dock opens without it

    try:
        return zarr.open(_address(path), mode="r")
    except FileNotFoundError as error:  # of an array, a group or a file: said in the words of zarr
        where = "no zarr array or group at" if is_url(path) else "neither an array nor a group in"
        raise ReadError(f"There is {where} '{location(path)}'.", "Check its name, or copy it once more.") from error


def _read(path: Path, node: zarr.Array[Any] | zarr.Group) -> Stored:
    import zarr

    if isinstance(node, zarr.Array):
        return _stored(path, node, _array_axes(node), {})
    attributes = dict(node.attrs)
    pyramid = read_pyramid(attributes)
    if pyramid is not None:
        return _levels(path, node, pyramid)
    inside = _members(node, ome(attributes))
    if len(inside) == 1:
        return _read(path / inside[0], node[inside[0]])
    listed = ", ".join(inside[:5]) + ("..." if len(inside) > 5 else "")
    raise UserError(
        f"'{path.name}' holds {len(inside) or 'no'} images{': ' if inside else ''}{listed}.",
        f"Name the one that is wanted, such as '{path.name}/{inside[0]}'." if inside else "Is it a zarr image?",
    )


def _members(group: zarr.Group, told: Any) -> list[str]:
    """List what may be an image in a group that is none: wells of a plate, fields of a well, series, arrays."""
    collection = told.get("plate", {}).get("wells") or told.get("well", {}).get("images")
    if collection:
        return [str(one["path"]) for one in collection]
    if told.get("bioformats2raw.layout"):
        return sorted((name for name in group.group_keys() if name.isdigit()), key=int)
    return sorted((*group.array_keys(), *(name for name in group.group_keys() if name not in ("OME", LABELS))))


def _levels(path: Path, group: zarr.Group, pyramid: Pyramid) -> Stored:
    if not pyramid.paths:
        raise ValueError("its OME-Zarr metadata name no array")
    levels = []
    for name, size in zip(pyramid.paths, pyramid.voxel_sizes, strict=True):
        if name not in group:
            raise ReadError(f"'{path.name}' lacks the array '{name}' that it announces.", "Copy it once more.")
        levels.append(_stored(path, group[name], pyramid.axes, size))
    first, *coarser = levels
    return Stored(first.data, first.axes, first.voxel_size, coarser=tuple(coarser))


def _stored(path: Path, array: Any, axes: str, size: dict[str, float]) -> Stored:
    check_chunk(path, int(np.prod(array.chunks, dtype=object)) * np.dtype(array.dtype).itemsize)
    return Stored(array, axes, size)


def _array_axes(array: zarr.Array[Any]) -> str:
    """Read the names of the axes of version 3, or those that xarray writes."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    found = letters(["" if n is None else str(n) for n in names]) if isinstance(names, list | tuple) else ""
    # Names such as dim_0 say nothing.
    return found if len(found) == array.ndim and {"Y", "X"} <= set(found) else UNKNOWN * array.ndim
