"""What makes an array labels, and the smallest type that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import AXES
from napari_unet.core.base.lazy import is_lazy, read
from napari_unet.core.io.axes import squeeze
from napari_unet.core.io.guard import check_memory
from napari_unet.core.io.stored import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.core.io.stored import Stored


def as_labels(stored: Stored, path: Path) -> NDArray[np.signedinteger]:
    """Make labels of what a file holds.

    Parameters
    ----------
    stored : Stored
        The array as it lies in the file.
    path : Path
        For the words of an error.

    Returns
    -------
    array, ([T,] [Z,] Y, X), int32 (int64 where a label needs it)
        0 is background.

    Raises
    ------
    UserError
        When it holds colours, channels, fractions or negative numbers, or does not fit into the memory.
    """
    data, names = squeeze(stored.data, stored.axes)
    data = _in_memory(data, path)
    if SAMPLES in names or "C" in names:
        raise UserError(
            f"'{path.name}' has channels (shape {data.shape}); labels have none.",
            "Save the labels as one channel of whole numbers.",
        )
    if data.dtype.kind not in "buif":
        raise UserError(f"'{path.name}' holds {data.dtype} values; labels are whole numbers.", "Export them again.")
    low, high = (float(data.min()), float(data.max())) if data.size else (0.0, 0.0)
    if not (low >= 0 and high < 2**63):
        raise UserError(f"'{path.name}' holds values from {low:g} to {high:g}.", "Labels are 0 and above.")
    whole: NDArray[np.signedinteger] = data.astype(np.int32 if high < 2**31 else np.int64)
    if data.dtype.kind == "f" and not np.array_equal(whole, data):
        raise UserError(f"'{path.name}' holds fractions; labels are whole numbers.", "Is this a probability map?")
    order = sorted(range(len(names)), key=lambda i: AXES.find(names[i]))
    return whole.transpose(order) if set(names) <= set(AXES) else whole


def _in_memory(data: Any, path: Path) -> NDArray[Any]:
    if is_lazy(data):
        check_memory(path, int(np.prod(data.shape, dtype=object)) * np.dtype(data.dtype).itemsize)
    return read(data, (slice(None),) * len(data.shape), path.name)


def smallest(labels: NDArray[Any]) -> NDArray[np.integer]:
    """Convert labels to the smallest of uint8, uint16 and uint32 that holds them.

    Raises
    ------
    UserError
        When they are no labels.
    """
    if labels.dtype.kind not in "bui":
        raise UserError(f"The labels hold {labels.dtype} values.", "Labels are whole numbers.")
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high >= 2**32:
        raise UserError(f"The labels go from {low} to {high}.", "Labels are 0 and above, below 2^32.")
    dtype = np.uint8 if high < 2**8 else np.uint16 if high < 2**16 else np.uint32
    return labels.astype(dtype)
