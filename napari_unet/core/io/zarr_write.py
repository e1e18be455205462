"""Labels as OME-Zarr, block by block in bounded memory, so that an interrupted writer goes on.

A chunk is written whole or not at all, and writing it again changes nothing; chunks without an object take no space.
Writers that work at the same time must keep to blocks of whole chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import check_axes
from napari_unet.core.io.ngff import describe_labels, read_pyramid
from napari_unet.core.io.paths import is_url, stem

if TYPE_CHECKING:
    import zarr

    from napari_unet.core.base.tiles import Box

CHUNK = {2: (1024, 1024), 3: (32, 256, 256)}
"""Voxels; of 4 to 8 MB in 32 bit, of which nearly nothing is left when compressed."""

SMALLEST = 512
"""The pyramid ends where Y and X are not longer than this, in pixels."""

FINEST = "0"


def create_labels(
    path: str | Path,
    shape: tuple[int, ...],
    axes: str,
    voxel_size: Sequence[float] | None = None,
    *,
    chunks: tuple[int, ...] | None = None,
    dtype: type[np.int32 | np.uint32] = np.int32,
) -> zarr.Array[Any]:
    """Make empty labels on the disk, or go on with those that are there.

    Parameters
    ----------
    path : str or Path
        A folder that ends in ``.zarr`` or ``.ome.zarr``.
    shape : tuple of int
        Of the labels.
    axes : str
        A subset of ``TZYX`` in that order, one for each axis.
    voxel_size : sequence of float, µm, or None
        One for each spatial axis.
    chunks : tuple of int, voxels, or None
        Edges of a chunk. None takes `CHUNK`, one time point each.
    dtype : int32 or uint32
        Of the labels.

    Returns
    -------
    zarr.Array
        The finest level, zarr version 2; 0 where nothing has been written. It can be pickled and sent to other
        processes.

    Raises
    ------
    UserError
        When something else is there, or the disk refuses.
    """
    path = _folder(path)
    check_axes(axes)
    chunks = chunks or label_chunks(shape, axes)
    described = describe_labels(stem(path), axes, voxel_size, 1)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not (path / ".zgroup").is_file() and any(path.iterdir()):
            raise taken(path)
        group = _group(path, "a")
        if FINEST in group:
            _check_same(path, group, (shape, chunks, np.dtype(dtype)), described)
            return cast("zarr.Array[Any]", group[FINEST])
        if any(True for _ in group.members()):
            raise taken(path)
        group.attrs.update(described)
        return cast("zarr.Array[Any]", _array(group, FINEST, shape, chunks, np.dtype(dtype)))


def open_labels(path: str | Path, mode: str = "r+") -> zarr.Array[Any]:
    """Open the finest level of labels that `create_labels` made, to write (``r+``) or to read (``r``)."""
    path = _folder(path)
    with _writing(path):
        return cast("zarr.Array[Any]", _group(path, mode)[FINEST])


def finish_labels(path: str | Path) -> Path:
    """Write the coarser levels of labels and name them in the metadata.

    Every second pixel along Y and X is taken: labels cannot be averaged. Four chunks are in memory at a time. May be
    called again, after an interruption or when the labels have changed.

    Parameters
    ----------
    path : str or Path
        As for `create_labels`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        When there are no labels, or the disk refuses.
    """
    path = _folder(path)
    with _writing(path):
        group = _group(path, "r+")
        level: Any = group[FINEST]
        n_levels = 1
        while max(level.shape[-2:]) > SMALLEST:
            shape = (*level.shape[:-2], *(-(-n // 2) for n in level.shape[-2:]))
            coarser = _array(group, str(n_levels), shape, level.chunks, level.dtype)
            for box in blocks(shape, level.chunks):
                coarser[box] = _every_second(level, box)
            level, n_levels = coarser, n_levels + 1
        group.attrs.update(describe_labels(stem(path), *_grid(group), n_levels))
    return path


def label_chunks(shape: tuple[int, ...], axes: str) -> tuple[int, ...]:
    """Choose the edges of the chunks: `CHUNK` in space, one time point."""
    edges = CHUNK[sum(a in "ZYX" for a in axes)]
    return tuple(max(1, min(n, edge)) for n, edge in zip(shape, (1,) * (len(shape) - len(edges)) + edges, strict=True))


def _folder(path: str | Path) -> Path:
    if is_url(path):
        raise UserError(f"Labels cannot be written to '{path}'.", "Write them to a disk, and copy them from there.")
    path = Path(path)
    if path.suffix.lower() != ".zarr":
        raise UserError(f"The labels '{path.name}' are no OME-Zarr.", "Let the name end in .ome.zarr or .zarr.")
    return path


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError) as error:  # zarr's errors of what is not there are KeyErrors and ValueErrors
        raise UserError(
            f"The labels '{path}' cannot be opened: {error}.", "Check the folder, its rights and its free space."
        ) from error


def _group(path: Path, mode: Any) -> zarr.Group:
    import zarr  # slow to load, and the dock opens without it

    # Absolute, since the array may be sent to a process that runs in another folder.
    return zarr.open_group(path.absolute(), mode=mode, zarr_format=2)


def _array(group: zarr.Group, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any) -> Any:
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        fill_value=0,
        overwrite=True,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )


def _check_same(path: Path, group: zarr.Group, wanted: tuple[Any, ...], described: dict[str, Any]) -> None:
    """Refuse to go on with labels of another grid."""
    array: Any = group[FINEST]
    if "image-label" not in group.attrs:
        raise taken(path)
    found, planned = read_pyramid(group.attrs), read_pyramid(described)
    told = [(one.axes, one.voxel_sizes[0]) if one else None for one in (found, planned)]
    if (array.shape, array.chunks, array.dtype) != wanted or told[0] != told[1]:
        raise UserError(
            f"'{path}' holds labels of the shape {array.shape} in chunks of {array.chunks} as {array.dtype}; "
            f"{wanted[0]} in chunks of {wanted[1]} as {wanted[2]} are wanted, with their axes and voxel size.",
            "Delete them, or choose another folder.",
        )


def _grid(group: zarr.Group) -> tuple[str, tuple[float, ...] | None]:
    """Give the axes and the voxel size of labels."""
    pyramid = read_pyramid(group.attrs)
    if pyramid is None:
        raise ValueError("they have no OME-Zarr metadata")
    size = pyramid.voxel_sizes[0]
    return pyramid.axes, tuple(size[a] for a in pyramid.axes if a in "ZYX") if size else None


def blocks(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[Box]:
    """List the boxes of all chunks."""
    edges = [[slice(i, min(i + c, n)) for i in range(0, n, c)] for n, c in zip(shape, chunks, strict=True)]
    return product(*edges)


def _every_second(level: Any, box: Box) -> NDArray[np.integer]:
    doubled = tuple(slice(2 * s.start, 2 * s.stop) for s in box[-2:])
    block: NDArray[np.integer] = level[(*box[:-2], *doubled)]
    return block[..., ::2, ::2]


def taken(path: Path) -> UserError:
    """Say that something else is where labels should go."""
    return UserError(f"'{path}' is there already and holds no labels.", "Choose another name, or delete it.")
