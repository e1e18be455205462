"""Labels on a disk as napari's layers want them: read and written by parts, never as a whole by accident."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.app import streaming
from napari_unet.core.base.errors import UserError


class DiskLabels:
    """Give a stored array to a labels layer.

    What is painted is on the disk at once. A part that would fill the memory is refused, whoever asks for it: the
    three-dimensional view, another plugin, a menu.

    Parameters
    ----------
    array : zarr array
        The labels.
    channel : int or None
        Where an axis of length 1 is shown that the array does not have, for the image's channels.
    """

    def __init__(self, array: Any, channel: int | None = None) -> None:
        self._array, self._channel = array, channel
        shape = list(array.shape)
        if channel is not None:
            shape.insert(channel, 1)
        self.shape: tuple[int, ...] = tuple(shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)

    @property
    def ndim(self) -> int:
        """Give the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Give the number of voxels."""
        return prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part: of ints and slices, or of one array of indices for each axis.

        Raises
        ------
        UserError
            When it would fill the memory.
        """
        full = self._full(key)
        if any(isinstance(one, np.ndarray) for one in full):
            return np.asarray(self._array.vindex[self._without(full)])
        cut = zip(full, self.shape, strict=True)
        n_bytes = self.dtype.itemsize * prod(len(range(*one.indices(n))) for one, n in cut if _is_slice(one))
        if n_bytes > streaming.fair_bytes():
            raise UserError(
                f"{n_bytes / 2**30:.1f} GiB of labels do not fit the memory.",
                "Look at one slice at a time; labels this large stay on the disk.",
            )
        found = np.asarray(self._array[self._without(full)])
        if self._channel is not None and _is_slice(full[self._channel]):
            found = np.expand_dims(found, sum(_is_slice(one) for one in full[: self._channel]))
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write a part; it is on the disk when this returns."""
        full = self._full(key)
        if any(isinstance(one, np.ndarray) for one in full):
            self._array.vindex[self._without(full)] = value
            return
        if self._channel is not None and _is_slice(full[self._channel]) and np.ndim(value):
            value = np.squeeze(value, sum(_is_slice(one) for one in full[: self._channel]))
        self._array[self._without(full)] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read everything, where that does not fill the memory."""
        return self[...] if dtype is None else self[...].astype(dtype, copy=False)

    def _full(self, key: Any) -> list[Any]:
        """Write an index out: one part for each axis."""
        parts = list(key) if isinstance(key, tuple) else [key]
        gap = next((at for at, part in enumerate(parts) if part is Ellipsis), None)
        if gap is None:
            gap = len(parts)
            parts.append(Ellipsis)
        parts[gap : gap + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        return [part if _is_slice(part) or isinstance(part, np.ndarray) else int(part) for part in parts]

    def _without(self, full: list[Any]) -> tuple[Any, ...]:
        """Leave the shown axis out."""
        return tuple(part for at, part in enumerate(full) if at != self._channel)


def _is_slice(part: Any) -> bool:
    return isinstance(part, slice)
