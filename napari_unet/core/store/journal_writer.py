"""Write revisions into a folder: what changed is appended, and now and then a new generation begins with everything."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.files import write_atomic
from napari_unet.core.store.journal import (
    Arrays,
    Chunks,
    Revision,
    chunk_boxes,
    encode,
    pack_chunk,
    pack_state,
)
from napari_unet.core.store.journal_read import Journal, read_journal

SUFFIX = ".journal"
GENERATIONS = 3
COMPACT_BYTES = 4_000_000
"""A file may grow to this beyond twice its first record; then a new generation begins."""

Digests = dict[int, bytes]
Mark = tuple[int, int, int]


class JournalWriter:
    """Save the revisions of one work, one after the other; not to be shared by threads.

    Nothing is kept of the arrays but a digest of each chunk.

    Parameters
    ----------
    folder : Path
        Made when it is missing; a writer that was there before is continued with a new generation.
    keep : int
        Generations that stay.
    compact_bytes : int
        See `COMPACT_BYTES`.
    """

    def __init__(self, folder: Path, *, keep: int = GENERATIONS, compact_bytes: int = COMPACT_BYTES) -> None:
        self.folder = folder
        self._keep, self._compact_bytes = keep, compact_bytes
        self._number = -1
        self._path: Path | None = None
        self._mark: Mark | None = None
        self._first_size = 0
        self._state = b""
        self._digests: dict[str, Digests] = {}
        self._saved: Arrays = {}

    def write(self, time: float, about: Mapping[str, Any], state: Mapping[str, Any], arrays: Arrays) -> int:
        """Save a revision if anything differs from the last one.

        Parameters
        ----------
        time : float
            Seconds since 1970 (UTC).
        about, state : mappings of str to JSON
            See `Revision`.
        arrays : dict of str to array
            Must not change meanwhile; those that are read-only are not compared again while they stay the same object.

        Returns
        -------
        int
            The number of the revision that is safe on the disk now.

        Raises
        ------
        OSError
            When the disk refuses. What was saved before is still whole, and the next call tries again.
        """
        if self._number < 0:
            newest = newest_revision(self.folder).revision
            self._number = 0 if newest is None else newest.number
        packed = pack_state(state)
        can_append = self._is_as_left()
        chunks, digests = self._changed(arrays, all_of_it=not can_append)
        same_arrays = _specs(arrays) == _specs(self._saved) and not any(chunks.values())
        if can_append and same_arrays and packed == self._state:
            return self._number
        revision = Revision(self._number + 1, time, about, state, arrays)
        if can_append:
            self._append(encode(revision, chunks, None if packed == self._state else packed))
        else:
            self._begin(encode(revision, chunks, packed))
        self._number, self._state, self._digests = revision.number, packed, digests
        self._saved = {name: _remembered(array) for name, array in arrays.items()}
        return self._number

    def _changed(self, arrays: Arrays, *, all_of_it: bool) -> tuple[Chunks, dict[str, Digests]]:
        """Find and pack the chunks that differ from what is in the file."""
        chunks: Chunks = {}
        digests: dict[str, Digests] = {}
        for name, array in arrays.items():
            saved = self._saved.get(name)
            if not all_of_it and array is saved:
                digests[name] = self._digests[name]
                continue
            is_new = all_of_it or saved is None or _spec(saved) != _spec(array)
            old = {} if is_new else self._digests[name]
            digests[name] = {}
            chunks[name] = {}
            for index, box in enumerate(chunk_boxes(array.shape)):
                chunk = np.ascontiguousarray(array[box])
                digest = hashlib.blake2b(chunk.data, digest_size=16).digest() if chunk.any() else b""
                if digest:
                    digests[name][index] = digest
                if digest != old.get(index, b""):
                    chunks[name][index] = pack_chunk(chunk)
        return chunks, digests

    # ------------------------------------------------------------ files

    def _is_as_left(self) -> bool:
        """Tell whether the file is there as this writer left it, and not grown too long."""
        if self._path is None or self._mark is None:
            return False
        try:
            mark = _mark_of(os.stat(self._path))
        except OSError:
            return False
        return mark == self._mark and mark[1] <= 2 * self._first_size + self._compact_bytes

    def _append(self, record: bytes) -> None:
        assert self._path is not None
        with self._path.open("r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                _write_all(file, record)
                os.fsync(file.fileno())
            except OSError:
                # Half a record is no harm to a reader, but nothing could be appended behind it.
                with suppress(OSError):
                    file.truncate(size)
                    self._mark = _mark_of(os.fstat(file.fileno()))
                raise
            self._mark = _mark_of(os.fstat(file.fileno()))

    def _begin(self, record: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        files = generations(self.folder)
        number = 1 + max((int(path.stem) for path in files), default=0)
        path = self.folder / f"{number:06d}{SUFFIX}"
        write_atomic(path, record)
        self._path, self._mark, self._first_size = path, _mark_of(os.stat(path)), len(record)
        for old in files[self._keep - 1 :]:
            with suppress(OSError):
                old.unlink()


def generations(folder: Path) -> list[Path]:
    """List the files of a folder, the newest first."""
    try:
        found = [path for path in folder.glob(f"*{SUFFIX}") if path.stem.isascii() and path.stem.isdigit()]
    except OSError:
        return []
    return sorted(found, key=lambda path: int(path.stem), reverse=True)


def newest_revision(folder: Path, *, arrays: bool = False) -> Journal:
    """Read the newest whole revision of a folder; damage is told, never raised.

    Parameters
    ----------
    folder : Path
        May be missing.
    arrays : bool
        Read them too.
    """
    damages = []
    for path in generations(folder):
        found = read_journal(path, arrays=arrays)
        if found.damage:
            damages.append(f"{path.name}: {found.damage}")
        if found.revision is not None:  # an older generation holds nothing newer
            return Journal(found.revision, "; ".join(damages))
    return Journal(None, "; ".join(damages) or "nothing was saved")


def _spec(array: NDArray[Any]) -> tuple[tuple[int, ...], str]:
    return array.shape, array.dtype.str


def _specs(arrays: Arrays) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: _spec(array) for name, array in arrays.items()}


def _remembered(array: NDArray[Any]) -> NDArray[Any]:
    """Keep a read-only array, to know it again; of the others only shape and dtype."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape) if array.flags.writeable else array


def _mark_of(stat: os.stat_result) -> Mark:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _write_all(file: Any, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
