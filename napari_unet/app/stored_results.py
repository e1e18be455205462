"""What segmented large images take of the disk: listed, and deleted when the user says so."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.app import library
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import REMOVED, disk_size, remove_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

LABELS, MAPS, WORK = ".zarr", ".zarr.maps", ".zarr.work"
"""Ends of the names of the labels, of the network's output that was kept, and of what is not finished."""


@dataclass(frozen=True)
class StoredResult:
    """All that lies in the folder of results under one name.

    Parameters
    ----------
    name : str
        Of the image, the model and a key.
    parts : dict
        Bytes of the labels, of the kept output and of unfinished work, by the ends of their names; what is not there
        is left out.
    changed : float
        When it was written last, in seconds since 1970.
    """

    name: str
    parts: dict[str, int]
    changed: float

    @property
    def size(self) -> int:
        """Give the bytes of all parts; files that are shared with another result count in both."""
        return sum(self.parts.values())

    @property
    def is_finished(self) -> bool:
        """Tell whether there are labels."""
        return LABELS in self.parts


def list_results(folder: Path | None = None) -> list[StoredResult]:
    """List what lies in the folder of results, the newest first."""
    found: dict[str, dict[str, Path]] = {}
    for path in _inside(folder):
        end = next((end for end in (MAPS, WORK, LABELS) if path.name.endswith(end)), None)
        if end is not None and not path.name.startswith("."):
            found.setdefault(path.name.removesuffix(end), {})[end] = path
    results = [
        StoredResult(name, {end: disk_size([path]) for end, path in parts.items()}, max(map(_changed, parts.values())))
        for name, parts in found.items()
    ]
    return sorted(results, key=lambda one: (-one.changed, one.name))


def total_size(folder: Path | None = None) -> int:
    """Give the bytes of all results."""
    return disk_size(_inside(folder))


def delete_result(name: str, ends: Iterable[str] = (LABELS, MAPS, WORK), folder: Path | None = None) -> None:
    """Delete a result, or parts of it, for good; ask before.

    Raises
    ------
    UserError
        When nothing of that name is there, or the disk refuses.
    """
    root = folder or library.results_folder()
    paths = [path for end in ends if (path := root / f"{name}{end}").is_dir()]
    if not paths or Path(name).name != name:
        raise UserError(f"There is no result '{name}' of which something could be deleted.", "Choose one of the list.")
    for path in paths:
        try:
            remove_folder(path)
        except OSError as error:
            raise UserError(
                f"'{path}' cannot be deleted: {error.strerror or error}.", "Close what has it open, and try again."
            ) from error
    for left in root.glob(f".*{REMOVED}"):  # also of an earlier time, when it was broken off
        shutil.rmtree(left, ignore_errors=True)


def _inside(folder: Path | None) -> list[Path]:
    root = folder or library.results_folder()
    return [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []


def _changed(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
