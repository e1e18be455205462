"""Turn whatever a broken file makes a reader do into one error, and refuse files that the memory cannot hold."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # published without types

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.io.paths import is_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY_SHARE = 0.8
"""A file may claim this share of the free memory: the work on the image needs some too."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise every failure inside as one `ReadError` that names the file.

    Raises
    ------
    ReadError
        With the reason, whatever the reader raised.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise ReadError(f"'{path.name}' does not fit into the memory.", "Close other programs, or crop it.") from error
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise ReadError(
            f"'{path.name}' cannot be read: {reason[0][:200] if reason else type(error).__name__}.",
            "Check its address and the network."
            if is_url(path)
            else "It is damaged, cut short or of another format: copy or export it once more.",
        ) from error


def check_chunk(path: Path, n_bytes: int) -> None:
    """Refuse a lazy image of which not even one block fits into the free memory: one byte needs the whole block.

    Raises
    ------
    ReadError
        Names both sizes.
    """
    hint = "Save it in smaller chunks or tiles, if it is not damaged."
    _check_fits(f"'{path.name}' lies in blocks of", n_bytes, hint)


def free_memory() -> int:
    """Give the memory that a new array can take without swapping, in bytes."""
    return int(psutil.virtual_memory().available)


def check_memory(path: Path, n_bytes: int) -> None:
    """Refuse a file before it is read when what it claims to hold does not fit into the free memory.

    Raises
    ------
    ReadError
        Names both sizes.
    """
    hint = "Crop it or save it in parts, if it is not damaged."
    _check_fits(f"'{path.name}' claims to hold", n_bytes, hint)


def _check_fits(claim: str, n_bytes: int, hint: str) -> None:
    free = free_memory()
    if n_bytes > MEMORY_SHARE * free:
        raise ReadError(f"{claim} {n_bytes / 2**30:.1f} GiB; {free / 2**30:.1f} GiB of memory are free.", hint)
