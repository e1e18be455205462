"""How much memory is free, whether an error means that there was too little of it, and how to use it again at once."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import psutil  # type: ignore[import-untyped]  # published without types
import torch

WORDS = ("out of memory", "can't allocate memory", "not enough memory")
"""How torch words it on the CPU, where it is a plain RuntimeError."""


def free_bytes(device: str = "cpu") -> int:
    """Give the bytes that are free on a device."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in WORDS)


TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""What glibc's mallopt calls M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_MMAP_MAX."""

USUAL = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 * 2**20, TRIM_THRESHOLD: 64 * 2**20}
"""Where glibc arrives by itself in a program that has used large arrays."""

_lock = Lock()
_n_users = 0


@contextmanager
def reused_memory() -> Iterator[None]:
    """Use large arrays that are freed for the next ones, instead of giving them back to the system each time.

    A network frees and asks for hundreds of MB in each tile. The system hands them out page by page, filled with zeros,
    which takes up to half of the time of the whole tile. On Linux with glibc only, elsewhere nothing changes; at the
    end what is free goes back to the system. May be nested, and used by several threads.
    """
    global _n_users
    libc = _glibc()
    if libc is None:
        yield
        return
    with _lock:
        _n_users += 1
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        with _lock:
            _n_users -= 1
            if _n_users == 0:
                for option, value in USUAL.items():
                    libc.mallopt(option, value)
                libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if all(hasattr(libc, name) for name in ("gnu_get_libc_version", "mallopt", "malloc_trim")) else None
