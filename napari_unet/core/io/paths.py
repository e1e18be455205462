"""Names of images: suffixes that have two parts, folders that are one image, addresses, patterns."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

DOUBLE_SUFFIXES = (".ome.tif", ".ome.tiff", ".nii.gz", ".ome.zarr")

STORES = (".zarr", ".ome.zarr")
"""Folders that are one image; what lies inside one is of its kind."""

URL = re.compile(r"([a-z][a-z0-9+.-]+):/+")
"""A scheme has two letters or more (one is a drive); `Path` leaves one slash of those behind it."""


def suffix(path: str | Path) -> str:
    """Give the suffix in small letters; ``.ome.tif`` is one, and a part of a store, or an address, is of its kind."""
    store = _store(Path(path))
    if store is not None:
        return _suffix(store)
    return _suffix(path) or (STORES[0] if is_url(path) else "")


def stem(path: str | Path) -> str:
    """Give the name without its suffix; a part of a store is named with it: ``plate.zarr/A/1`` is ``plate_A_1``."""
    store = _store(Path(path))
    if store is None:
        return _bare(Path(path))
    return "_".join((_bare(store), *Path(path).relative_to(store).parts))


def _suffix(path: str | Path) -> str:
    name = Path(path).name.lower()
    return next((s for s in DOUBLE_SUFFIXES if name.endswith(s)), Path(name).suffix)


def _store(path: Path) -> Path | None:
    """Give the outermost store that a path is or lies in."""
    return next((one for one in (*reversed(path.parents), path) if _suffix(one) in STORES), None)


def _bare(path: Path) -> str:
    end = _suffix(path)
    return path.name[: len(path.name) - len(end)] if end else path.name


def is_url(path: str | Path) -> bool:
    """Tell whether this is the address of something outside of the file system, such as ``s3://...``."""
    return URL.match(Path(path).as_posix()) is not None


def location(path: str | Path) -> str:
    """Give the address as it was before `Path` took its slashes; that of a file is its path."""
    text = Path(path).as_posix()
    found = URL.match(text)
    if found is None:
        return str(path)
    slashes = ":///" if found[1] == "file" else "://"
    return found[1] + slashes + text[found.end() :]


def find_files(inputs: Sequence[str | Path], suffixes: Sequence[str]) -> list[Path]:
    """List the images that files, stores, addresses, folders and patterns name.

    Parameters
    ----------
    inputs : sequence of str or Path
        A folder stands for what lies right inside it and has one of the suffixes; a store is one image.
    suffixes : sequence of str
        What can be read.

    Returns
    -------
    list of Path
        Sorted, each once; see `location` for those that are addresses.

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
    if is_url(one):
        _check_remote(one)
        return [Path(one)]
    path = Path(one).expanduser()
    if path.is_dir() and suffix(path) not in STORES:
        return [p for p in path.iterdir() if _is_image(p, suffixes) and not p.name.startswith(".")]
    # A file whose name holds brackets is no pattern.
    if path.exists():
        if suffix(path) not in suffixes:
            raise UserError(f"The format of '{path.name}' is not known.", f"Use one of {', '.join(suffixes)}.")
        return [path]
    matched = (Path(p) for p in glob.glob(str(path), recursive=True))
    return [p for p in matched if _is_image(p, suffixes)]


def _is_image(path: Path, suffixes: Sequence[str]) -> bool:
    kind = _suffix(path)
    return kind in suffixes and (path.is_dir() if kind in STORES else path.is_file())


def _check_remote(one: str | Path) -> None:
    if suffix(one) not in STORES:
        raise UserError(
            f"'{one}' lies on another machine; only zarr is read from there.", "Download it, or convert it to OME-Zarr."
        )
