"""How much memory is free, and whether an error means that there was too little of it."""

from __future__ import annotations

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
