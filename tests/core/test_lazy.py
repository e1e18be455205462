"""Lazy arrays seen with other axes: the same values as numpy, read only where they are asked."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.core.base.errors import ReadError
from napari_unet.core.base.lazy import View, is_lazy, native, read, rearrange

DATA = np.arange(4 * 5 * 6 * 7, dtype=np.int32).reshape(4, 5, 6, 7)


class Noted:
    """An array that notes how many values of it were read."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.n_read = data, data.shape, data.dtype, 0

    def __getitem__(self, key: Any) -> np.ndarray:
        part = self.data[key]
        self.n_read += part.size
        return part


def _part(draw: st.DrawFn, n: int) -> int | slice:
    start = draw(st.integers(0, n - 1))
    return draw(st.just(start) | st.integers(start + 1, n).map(lambda stop: slice(start, stop)))


@st.composite
def rearrangements(draw: st.DrawFn) -> tuple[tuple[int | slice, ...], list[int]]:
    key = tuple(_part(draw, n) for n in DATA.shape)
    return key, draw(st.permutations(range(sum(isinstance(k, slice) for k in key))))


@settings(deadline=None)
@given(rearrangements(), st.data())
def test_view_when_indexed_then_gives_what_numpy_gives_and_reads_no_more(
    how: tuple[tuple[int | slice, ...], list[int]], data: st.DataObject
) -> None:
    key, order = how
    source = Noted(DATA)
    view, expected = rearrange(source, key, order), rearrange(DATA, key, order)
    assert (view.shape, source.n_read) == (expected.shape, 0)
    if not expected.ndim:
        return

    index = tuple(data.draw(st.just(slice(None)) | st.just(-1) | st.just(slice(0, None, 2))) for _ in expected.shape)
    index = data.draw(st.just(index) | st.just((index[0], ...)) | st.just(index[0]))

    part = view[index]

    np.testing.assert_array_equal(part, expected[index])
    assert source.n_read == part.size


@given(st.permutations(range(4)), st.permutations(range(4)))
def test_view_when_transposed_twice_then_both_count(first: list[int], second: list[int]) -> None:
    view = View(DATA, tuple(slice(0, n) for n in DATA.shape), tuple(first)).transpose(second)
    np.testing.assert_array_equal(np.asarray(view), DATA.transpose(first).transpose(second))


def test_view_when_the_source_has_chunks_then_they_follow_its_axes() -> None:
    array = zarr.array(DATA, chunks=(1, 2, 3, 4))
    view = rearrange(array, (0, slice(None), slice(None), slice(None)), (2, 0, 1))
    assert view.chunks == (4, 2, 3)
    assert len(view) == 7


@pytest.mark.parametrize("index", [7, (0, 0, 0, 0, 0), (..., ...), slice(None, None, -1)])
def test_view_when_an_index_does_not_fit_then_is_an_index_error(index: Any) -> None:
    with pytest.raises(IndexError):
        View(DATA, (slice(0, 4), slice(0, 5), slice(0, 6), 0), (0, 1, 2))[index]


def test_rearrange_when_nothing_changes_then_gives_the_array_itself() -> None:
    array = zarr.array(DATA)
    assert rearrange(array, (slice(None),) * 4) is array


def test_rearrange_when_dask_or_numpy_then_they_stay_what_they_are() -> None:
    key = (slice(None), 0, slice(None), slice(None))
    assert isinstance(rearrange(da.from_array(DATA), key, (2, 1, 0)), da.Array)
    assert np.shares_memory(rearrange(DATA, key, (2, 1, 0)), DATA)


@pytest.mark.parametrize("make", [np.asarray, zarr.array, da.from_array], ids=["numpy", "zarr", "dask"])
def test_native_when_bytes_are_swapped_then_values_stay(make: Any) -> None:
    swapped = make(DATA.astype(">i4"))
    found = native(swapped)
    assert found.dtype.isnative
    np.testing.assert_array_equal(np.asarray(found), DATA)


def test_is_lazy_when_in_memory_then_not(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", DATA)
    assert not is_lazy(DATA)
    assert all(map(is_lazy, (np.load(tmp_path / "x.npy", mmap_mode="r"), zarr.array(DATA), da.from_array(DATA))))


def test_read_when_the_source_fails_then_names_the_image() -> None:
    def fail(_: Any) -> np.ndarray:
        raise RuntimeError("bad block\nmore")

    broken = da.map_blocks(fail, da.from_array(DATA), dtype=int, meta=DATA)
    with pytest.raises(ReadError, match=r"'mine'.*bad block\."):
        read(broken, (slice(None),) * 4, "mine")
