"""Write files so that a crash leaves either the old one or the new one, never half of one."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

REPLACE_TRIES = 8
"""Windows refuses a replace while a virus scanner holds the file; a little patience (2.5 s in all) helps."""

REMOVED = ".deleted"
"""End of the name of a folder that is being removed; what a crash leaves of it may go at any time."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write to a temporary name, flush to the disk, then rename, and flush the folder where the system can.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    data : bytes
        The whole content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def link_file(source: Path, path: Path) -> None:
    """Let a second name stand for a file that is never changed in place; a copy where the disk knows no links.

    Raises
    ------
    OSError
        When the file cannot be read, or the folder not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        _replace(temporary, path)
    finally:
        # Where both names stand for one file already, a rename does nothing and leaves this one.
        temporary.unlink(missing_ok=True)


def _replace(source: Path, path: Path) -> None:
    for attempt in range(REPLACE_TRIES):
        try:
            source.replace(path)
        except PermissionError:
            if attempt == REPLACE_TRIES - 1:
                raise
            time.sleep(0.01 * 2**attempt)
        else:
            return


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows and some network disks refuse; there the rename is as safe as it gets
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256(*parts: bytes | memoryview) -> str:
    """Give the SHA-256 of some bytes, as hexadecimal text; large parts are read where they lie, and other threads run.

    Parameters
    ----------
    parts : bytes or contiguous memoryview
        Read one after the other.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def check_writable(folder: Path) -> None:
    """Make a folder where it is missing, and refuse one that cannot be written: before the work, not after it.

    Raises
    ------
    UserError
        Names the folder and what the disk says.
    """
    probe = folder / f".{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Nothing can be written to '{folder}': {reason}.", "Choose another folder.") from error


def disk_size(folders: Iterable[Path]) -> int:
    """Give the bytes that folders take on the disk; files with several names count once."""
    sizes: dict[tuple[int, int], int] = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(OSError):  # removed meanwhile
                    told = os.stat(os.path.join(parent, name))
                    sizes[told.st_dev, told.st_ino] = told.st_size
    return sum(sizes.values())


def remove_folder(folder: Path) -> None:
    """Remove a folder, if there is one; first out of the way in one step, so that a crash leaves no half of it.

    Raises
    ------
    OSError
        When the disk refuses that step.
    """
    gone = folder.with_name(f".{folder.name}{REMOVED}")
    shutil.rmtree(gone, ignore_errors=True)
    if folder.is_dir():
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
