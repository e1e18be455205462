"""Names of files: suffixes that have two parts, folders and patterns."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

DOUBLE_SUFFIXES = (".ome.tif", ".ome.tiff", ".nii.gz")


def suffix(path: str | Path) -> str:
    """Give the suffix in small letters; ``.ome.tif`` and ``.nii.gz`` are one."""
    name = Path(path).name.lower()
    return next((s for s in DOUBLE_SUFFIXES if name.endswith(s)), Path(name).suffix)


def stem(path: str | Path) -> str:
    """Give the name without its suffix; ``.ome.tif`` and ``.nii.gz`` are one."""
    name = Path(path).name
    end = suffix(path)
    return name[: len(name) - len(end)] if end else name


def find_files(inputs: Sequence[str | Path], suffixes: Sequence[str]) -> list[Path]:
    """List the files that files, folders and patterns name.

    Parameters
    ----------
    inputs : sequence of str or Path
        A folder stands for the files right inside it that have one of the suffixes.
    suffixes : sequence of str
        What can be read.

    Returns
    -------
    list of Path
        Sorted, each once.

    Raises
    ------
    UserError
        When an input matches nothing, or names a file of another format.
    """
    found: set[Path] = set()
    for one in inputs:
        files = _matches(one, suffixes)
        if not files:
            raise UserError(f"'{one}' matches no image.", f"Give files, folders or patterns of {', '.join(suffixes)}.")
        found.update(files)
    if not found:
        raise UserError("No image was named.", "Give files, folders or patterns.")
    return sorted(found)


def _matches(one: str | Path, suffixes: Sequence[str]) -> list[Path]:
    path = Path(one).expanduser()
    if path.is_dir():
        return [p for p in path.iterdir() if p.is_file() and suffix(p) in suffixes and not p.name.startswith(".")]
    # A file whose name holds brackets is no pattern.
    if path.is_file():
        if suffix(path) not in suffixes:
            raise UserError(f"The format of '{path.name}' is not known.", f"Use one of {', '.join(suffixes)}.")
        return [path]
    matched = (Path(p) for p in glob.glob(str(path), recursive=True))
    return [p for p in matched if p.is_file() and suffix(p) in suffixes]
