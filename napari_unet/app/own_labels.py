"""Take labels that another tool made, to be reviewed like a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.app.streaming import is_too_large
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.lazy import is_lazy, read

if TYPE_CHECKING:
    from napari_unet.app.annotations import Labels

WORKED_ON: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(bool): np.dtype(np.uint8),
    np.dtype(np.uint64): np.dtype(np.int64),
}
"""What numbers are taken as: numpy compares unsigned ones of 64 bit with others as fractions, which are not exact."""


def own_labels(data: Any, shape: tuple[int, ...], name: str) -> Any:
    """Check labels that another tool made.

    Parameters
    ----------
    data : array (numpy, zarr, dask, memory map) of whole numbers, one for each object
        Numbers may be large and have gaps.
    shape : tuple of int, voxels
        That labels of the image have.
    name : str
        What the user calls them.

    Returns
    -------
    integer array
        `data` itself where it can be painted: in memory, or stored and open for writing, in this machine's byte order.
        Else a copy in memory.

    Raises
    ------
    UserError
        When they have another shape, do not fit the memory, or are no labels: fractions, or numbers below zero.
    """
    if tuple(data.shape) != shape:
        raise UserError(
            f"The labels '{name}' are {tuple(data.shape)} voxels; the image needs {shape}.",
            "Select the image that they belong to, or check how its axes are read.",
        )
    kind = np.dtype(data.dtype)
    if kind.kind not in "biu":
        raise UserError(
            f"'{name}' is {kind}: labels are whole numbers, one for each object.",
            "Convert it to labels: right-click the layer, then Convert to Labels.",
        )
    if is_lazy(data) and is_too_large(shape):
        raise UserError(f"The labels '{name}' do not fit into memory.", "Cut out a part of the image and its labels.")
    array: Labels = read(data, (slice(None),) * len(shape), name) if is_lazy(data) else data
    low, high = (int(array.min(initial=0)), int(array.max(initial=0)))
    if low < 0:
        raise UserError(
            f"'{name}' has numbers below zero, down to {low}: no object has such a number.",
            "Give the background 0 and each object a number above it.",
        )
    if high > np.iinfo(np.int64).max:
        raise UserError(f"'{name}' has an object {high}: the number is too large.", "Number the objects anew.")
    wanted = WORKED_ON.get(kind.newbyteorder("="), kind.newbyteorder("="))
    return data if _can_paint(data) and kind == wanted else np.array(array, wanted)


def _can_paint(data: Any) -> bool:
    if isinstance(data, np.ndarray):
        return bool(data.flags.writeable)
    is_dask = hasattr(data, "__dask_graph__")  # it can be written into, but nobody sees it
    return hasattr(data, "__setitem__") and not is_dask and not getattr(data, "read_only", False)
