"""Arrays that lie on a disk or far away: seen with other axes, read only where they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import ReadError, UserError

Key = tuple[int | slice, ...]


def is_lazy(data: Any) -> bool:
    """Tell whether an array is read only when it is indexed: a memory map, zarr, dask and the like."""
    return not isinstance(data, np.ndarray) or isinstance(data, np.memmap)


def read(data: Any, key: Key, name: str) -> NDArray[Any]:
    """Read a part of an array; a view of one in memory.

    Raises
    ------
    ReadError
        When what is stored there cannot be read, whatever zarr, dask, a codec or the network raised; it names `name`.
    """
    if not is_lazy(data):
        array: NDArray[Any] = data[key]
        return array
    try:
        return np.asarray(data[key])
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise ReadError(
            f"A part of '{name}' cannot be read: {reason[0][:200] if reason else type(error).__name__}.",
            "It is damaged, cut short or out of reach: copy or export it once more.",
        ) from error


def rearrange(data: Any, key: Key, order: Sequence[int] | None = None) -> Any:
    """Index an array and reorder its axes without reading it.

    Parameters
    ----------
    data : array (numpy, dask, zarr, a `View`)
        Stays as it is.
    key : tuple of int and slice
        One for each axis; slices of step 1.
    order : sequence of int or None
        Which of the axes that `key` keeps each new axis is; None keeps their order.

    Returns
    -------
    array
        A view of numpy's and dask's own kind; a `View` of what cannot do that by itself; `data` where nothing changes.
    """
    if isinstance(data, np.ndarray) or hasattr(data, "__dask_graph__"):
        part = data[key]
        return part if order is None else part.transpose(order)
    full = tuple(k if isinstance(k, int) else slice(*k.indices(n)) for k, n in zip(key, data.shape, strict=True))
    kept = sum(isinstance(k, slice) for k in full)
    order = tuple(range(kept)) if order is None else tuple(order)
    same = full == tuple(slice(0, n, 1) for n in data.shape) and order == tuple(range(kept))
    return data if same and np.dtype(data.dtype).isnative else View(data, full, order)


def native(data: Any) -> Any:
    """Give the values in the byte order of this machine, lazily where the array is lazy: torch takes no other."""
    dtype = np.dtype(data.dtype)
    if dtype.isnative:
        return data
    if is_lazy(data):
        return View(data, tuple(slice(0, n) for n in data.shape), tuple(range(len(data.shape))))
    return data.astype(dtype.newbyteorder("="))


@dataclass(frozen=True, eq=False)
class View:
    """See a part of a lazy array with its axes in another order; indexing reads.

    Parameters
    ----------
    source : array
        Anything with shape, dtype and basic indexing.
    key : tuple of int and slice
        The part: one for each axis of `source`, slices with bounds and step 1.
    order : tuple of int
        Which of the axes that `key` keeps each axis here is.
    """

    source: Any
    key: Key
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the lengths of the axes."""
        return tuple(part.stop - part.start for _, part in self._kept())

    @property
    def ndim(self) -> int:
        """Give the number of axes."""
        return len(self.order)

    @property
    def size(self) -> int:
        """Give the number of values."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Give the type, in the byte order of this machine."""
        dtype: np.dtype[Any] = np.dtype(self.source.dtype)
        return dtype.newbyteorder("=")

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Give the edges of a stored block along each axis; None where the source has none."""
        chunks = getattr(self.source, "chunks", None)
        return None if chunks is None else tuple(chunks[at] for at, _ in self._kept())

    def transpose(self, order: Sequence[int]) -> View:
        """See the axes in another order; nothing is read."""
        return View(self.source, self.key, tuple(self.order[i] for i in order))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read what an int, a slice, an ellipsis, or a tuple of them names."""
        inside = list(self.key)
        left = []
        for (at, part), one, axis in zip(self._kept(), _basic(key, self.shape), self.order, strict=True):
            if isinstance(one, slice):
                inside[at] = slice(one.start + part.start, one.stop + part.start, one.step)
                left.append(axis)
            else:
                inside[at] = one + part.start
        block = np.asarray(self.source[tuple(inside)])
        rank = sorted(left)
        return block.transpose([rank.index(axis) for axis in left]).astype(self.dtype, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read everything."""
        return self[...] if dtype is None else self[...].astype(dtype, copy=False)

    def _kept(self) -> list[tuple[int, slice]]:
        """Give the axis of the source and the part of it behind each axis here."""
        kept = [(at, part) for at, part in enumerate(self.key) if isinstance(part, slice)]
        return [kept[i] for i in self.order]


def _basic(key: Any, shape: tuple[int, ...]) -> list[int | slice]:
    """Write a basic index out: one non-negative int or bounded slice for each axis."""
    parts = list(key) if isinstance(key, tuple) else [key]
    gap = [i for i, part in enumerate(parts) if part is Ellipsis] or [len(parts)]
    n_missing = len(shape) - (len(parts) - (gap[0] < len(parts)))
    if len(gap) > 1 or n_missing < 0:
        raise IndexError(f"the index {key} does not fit the shape {shape}")
    parts[gap[0] : gap[0] + 1] = [slice(None)] * n_missing
    return [_bounded(part, n) for part, n in zip(parts, shape, strict=True)]


def _bounded(part: Any, n: int) -> int | slice:
    if isinstance(part, slice):
        start, stop, step = part.indices(n)
        if step < 1:
            raise IndexError("a lazy image cannot be read backwards")
        return slice(start, max(start, stop), step)
    index = int(part)
    if not -n <= index < n:
        raise IndexError(f"index {index} is out of an axis of length {n}")
    return index % n
