"""A file of revisions: each record says what changed since the one before, with a checksum; read up to any damage.

The first record of a file holds everything, so a file with one record is a snapshot. A record is::

    8 bytes  magic, with the version of the format
    4 + 8    lengths of the header and of the body, little-endian
    4 + 4    CRC-32 of these lengths, CRC-32 of header and body
    header   JSON: revision, time, what it is about, shapes and dtypes of the arrays, which chunks follow
    body     the state as JSON and the changed chunks of the arrays, each compressed with zlib

Nothing in a file is ever run or imported.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"nUnetJ1\n"
LENGTHS = struct.Struct("<IQ")
SUMS = struct.Struct("<II")
HEAD_SIZE = len(MAGIC) + LENGTHS.size + SUMS.size

CHUNK = (8, 128, 128)
"""Edges of a chunk in voxels: a stroke of the brush changes one or a few of them."""

FLAT_CHUNK = (256, 256)
COMPRESSION = 1

Arrays = dict[str, NDArray[Any]]
Chunks = dict[str, dict[int, bytes]]


@dataclass(frozen=True, eq=False)
class Revision:
    """One state of a work, whole.

    Parameters
    ----------
    number : int
        Counts up with each save.
    time : float
        When it was taken, seconds since 1970 (UTC).
    about : mapping of str to JSON
        What it belongs to; small, and read without the rest.
    state : mapping of str to JSON
        What the arrays do not say.
    arrays : dict of str to array
        Of integers or bools. Empty when only looked at.
    """

    number: int
    time: float
    about: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict, repr=False)
    arrays: Arrays = field(default_factory=dict, repr=False)


def encode(revision: Revision, chunks: Chunks, state: bytes | None) -> bytes:
    """Make one record.

    Parameters
    ----------
    revision : Revision
        Of which the number, the time, `about` and the arrays' shapes and dtypes are written.
    chunks : dict of str to dict of int to bytes
        The changed chunks of each array by index, packed; empty bytes stand for a chunk of zeros.
    state : bytes or None
        The packed state; None where it is as in the record before.
    """
    header = {
        "revision": revision.number,
        "time": revision.time,
        "about": revision.about,
        "state": None if state is None else len(state),
        "arrays": {k: {"shape": a.shape, "dtype": a.dtype.str} for k, a in revision.arrays.items()},
        "chunks": {k: [[i, len(packed)] for i, packed in these.items()] for k, these in chunks.items()},
    }
    packed_header = json.dumps(header, separators=(",", ":")).encode()
    parts = [packed_header, state or b"", *(packed for these in chunks.values() for packed in these.values())]
    content = b"".join(parts)
    lengths = LENGTHS.pack(len(packed_header), len(content) - len(packed_header))
    return MAGIC + lengths + SUMS.pack(zlib.crc32(lengths), zlib.crc32(content)) + content


def pack_state(state: Mapping[str, Any]) -> bytes:
    """Make bytes of a state; equal states give equal bytes."""
    return zlib.compress(json.dumps(state, sort_keys=True, separators=(",", ":")).encode(), COMPRESSION)


def pack_chunk(chunk: NDArray[Any]) -> bytes:
    """Make bytes of a chunk: none at all where it is zero everywhere."""
    return zlib.compress(np.ascontiguousarray(chunk).tobytes(), COMPRESSION) if chunk.any() else b""


def chunk_boxes(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """List the boxes of all chunks of an array, in the order of their index."""
    return (chunk_box(shape, index) for index in range(math.prod(_grid(shape))))


def chunk_box(shape: tuple[int, ...], index: int) -> tuple[slice, ...]:
    """Give the box of one chunk; ValueError where there is none of that index."""
    at = np.unravel_index(index, _grid(shape))
    return tuple(slice(int(i) * e, min((int(i) + 1) * e, n)) for i, e, n in zip(at, _edges(shape), shape, strict=True))


def _edges(shape: tuple[int, ...]) -> tuple[int, ...]:
    inner = FLAT_CHUNK if len(shape) == 2 else CHUNK
    return ((1,) * len(shape) + inner)[-len(shape) :] if shape else ()


def _grid(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-size // edge) for size, edge in zip(shape, _edges(shape), strict=True))
