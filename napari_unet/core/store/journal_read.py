"""Read a file of revisions up to any damage."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil  # type: ignore[import-untyped]  # published without types
from numpy.typing import NDArray

from napari_unet.core.store.journal import HEAD_SIZE, LENGTHS, MAGIC, SUMS, Arrays, Revision, chunk_box

MAX_STATE = 2**30  # bytes, of the state when unpacked
MAX_AXES = 8


@dataclass(frozen=True, eq=False)
class Journal:
    """What was found in a file.

    Parameters
    ----------
    revision : Revision or None
        The newest one that is whole; None where there is none.
    damage : str
        What ended the reading; empty where every byte was right.
    """

    revision: Revision | None
    damage: str = ""


class _Damage(Exception):
    """Raised inside where a record is not what it should be."""


def read_journal(path: Path, *, arrays: bool = True) -> Journal:
    """Read the newest whole revision of a file; damage is told, never raised.

    Parameters
    ----------
    path : Path
        May be missing, cut short, changed at any byte, or something else.
    arrays : bool
        False checks every record, and leaves the arrays packed and the state empty.
    """
    try:
        with path.open("rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size, arrays, math.inf)
    except FileNotFoundError:
        return Journal(None, "the file is not there")
    except OSError as error:
        return Journal(None, f"the file cannot be read: {error.strerror or error}")


def _read(file: BinaryIO, size: int, arrays: bool, limit: float) -> Journal:
    revision: Revision | None = None
    known: Arrays = {}
    state: Mapping[str, Any] = {}
    damage, n = "", 0
    while n < limit and file.tell() < size:
        try:
            header, body = _record(file, size)
            latest = _revision_of(header)
        except _Damage as error:
            damage = f"record {n + 1}: {error}"
            break
        if arrays:
            try:
                known, state = _apply(header, memoryview(body), known, state)
            except _Damage as error:
                # The arrays are half changed now: read them again, up to the record before.
                file.seek(0)
                before = _read(file, size, arrays, n)
                return Journal(before.revision, f"record {n + 1}: {error}")
        revision = Revision(latest.number, latest.time, latest.about, state, known)
        n += 1
    return Journal(revision, damage or ("" if revision else "the file is empty"))


def _record(file: BinaryIO, size: int) -> tuple[dict[str, Any], bytes]:
    """Read the next record and check its sums; needs the memory of the packed record."""
    head = file.read(HEAD_SIZE)
    if len(head) < HEAD_SIZE:
        raise _Damage("it is cut short")
    if head[: len(MAGIC)] != MAGIC:
        same = head.startswith(MAGIC[:6])
        raise _Damage("it was written by another version" if same else "it is not of this format")
    lengths = head[len(MAGIC) : len(MAGIC) + LENGTHS.size]
    sum_of_lengths, sum_of_content = SUMS.unpack(head[-SUMS.size :])
    if zlib.crc32(lengths) != sum_of_lengths:
        raise _Damage("its lengths are damaged")
    n_header, n_body = LENGTHS.unpack(lengths)
    if n_header + n_body > size - file.tell():
        raise _Damage("it is cut short")
    content = file.read(n_header + n_body)
    if len(content) < n_header + n_body:
        raise _Damage("it is cut short")
    if zlib.crc32(content) != sum_of_content:
        raise _Damage("its checksum is wrong")
    try:
        header = json.loads(content[:n_header])
    except (ValueError, RecursionError) as error:
        raise _Damage("its header cannot be read") from error
    if not isinstance(header, dict):
        raise _Damage("its header cannot be read")
    return header, content[n_header:]


def _revision_of(header: dict[str, Any]) -> Revision:
    number, time, about = header.get("revision"), header.get("time"), header.get("about")
    if type(number) is not int or not isinstance(time, (int, float)) or not isinstance(about, dict):
        raise _Damage("its header lacks the revision, the time or what it is about")
    return Revision(number, float(time), about)


def _apply(
    header: dict[str, Any], body: memoryview, known: Arrays, state: Mapping[str, Any]
) -> tuple[Arrays, Mapping[str, Any]]:
    """Carry out the changes of a record; the arrays that stay are changed in place."""
    try:
        at = header["state"] or 0
        if header["state"] is not None:
            state = json.loads(_unpack(body[:at], MAX_STATE))
        arrays = {name: _same_or_new(known.get(name), spec) for name, spec in header["arrays"].items()}
        for name, entries in header["chunks"].items():
            array = arrays[name]
            for index, length in entries:
                _put(array, chunk_box(array.shape, index), body[at : at + length])
                at += length
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise _Damage(f"its content does not fit together ({error})") from error
    except zlib.error as error:
        raise _Damage("its content cannot be unpacked") from error
    except MemoryError as error:
        raise _Damage("its content does not fit into the memory") from error
    if at != len(body) or not isinstance(state, dict):
        raise _Damage("its content does not fit together")
    return arrays, state


def _same_or_new(array: NDArray[Any] | None, spec: dict[str, Any]) -> NDArray[Any]:
    shape, dtype = tuple(spec["shape"]), np.dtype(str(spec["dtype"]))
    if dtype.kind not in "biu" or len(shape) > MAX_AXES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array is not of whole numbers")
    if array is not None and array.shape == shape and array.dtype == dtype:
        return array
    if math.prod(shape) * dtype.itemsize > psutil.virtual_memory().available:
        raise MemoryError
    return np.zeros(shape, dtype)


def _put(array: NDArray[Any], box: tuple[slice, ...], packed: memoryview) -> None:
    part = array[box]
    if part.size == 0:
        raise ValueError("a chunk is empty")
    if not packed:
        part[...] = 0
        return
    part[...] = np.frombuffer(_unpack(packed, part.nbytes), array.dtype).reshape(part.shape)


def _unpack(packed: memoryview, limit: int) -> bytes:
    """Unpack at most so many bytes: damage must not be able to fill the memory."""
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, limit)
    if not unpacker.eof and unpacker.decompress(unpacker.unconsumed_tail, 1):
        raise ValueError("it is larger than it says")
    return data
