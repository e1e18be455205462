"""`project.json`: the images of a project by path and checksum; plain values, checked when read."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_unet.core.base.errors import ReadError
from napari_unet.core.base.files import write_atomic
from napari_unet.core.store.autosave import ImageId
from napari_unet.core.store.fingerprint import fingerprint

FORMAT = 1
PROJECT_FILE, LOG_FILE = "project.json", "log.jsonl"
LABELS, IMAGES, MODELS = "labels", "images", "models"
MAX_BYTES = 50_000_000
FOLDER = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class ImageRef:
    """Find an image again that a project is about.

    Parameters
    ----------
    folder : str
        Of its labels, inside ``labels/``.
    image : ImageId
        As it was when it was used last; `source` is its absolute path, or an address.
    relative : str
        The path from the project's folder, with ``/``; empty for an address, or where there is no such path.
    fingerprint : str
        Of the file, from `core.store.fingerprint`; empty where it could not be read.
    axes : str
        How the layer's axes are read, in the layer's order.
    voxel_size : tuple of float, µm, or None
        What the user typed.
    reader : str
        The plugin that opened it; empty where that is not known.
    """

    folder: str
    image: ImageId
    relative: str = ""
    fingerprint: str = ""
    axes: str = ""
    voxel_size: tuple[float, ...] | None = None
    reader: str = ""

    @property
    def is_address(self) -> bool:
        """Tell whether it lies on another computer, such as ``https://...``."""
        return "://" in self.image.source

    @property
    def file_name(self) -> str:
        """Give the name of its file, without the folders."""
        return re.split(r"[\\/]", self.image.source.rstrip("\\/"))[-1]


@dataclass(frozen=True)
class ProjectFile:
    """Say what a project holds, besides the labels and models in its folder.

    Parameters
    ----------
    images : tuple of ImageRef
        In the order in which they were added.
    model : str
        The one in use last; empty without.
    """

    images: tuple[ImageRef, ...] = ()
    model: str = ""


def read_project(folder: Path) -> ProjectFile:
    """Read what a project holds.

    Raises
    ------
    ReadError
        When the folder holds no readable project.
    """
    path = folder / PROJECT_FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReadError(f"{path} is too large for a project.", "Is it one?")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(
            f"There is no project in {folder}: {error}.", f"Choose the folder that holds {PROJECT_FILE}."
        ) from error
    try:
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise ReadError(
                f"The project is of the format {values['format']}; {FORMAT} can be read.",
                "Open it with the version of napari-unet that saved it.",
            )
        return ProjectFile(tuple(_ref(one) for one in values["images"]), str(values["model"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ReadError(f"{path} does not describe a project: {error}.", "Copy the folder once more.") from error


def write_project(folder: Path, project: ProjectFile) -> None:
    """Write what a project holds; the file is the old one or the new one, never half of one.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    images = [{**asdict(one), "image": one.image.to_json()} for one in project.images]
    text = json.dumps({"format": FORMAT, "model": project.model, "images": images}, indent=1)
    write_atomic(folder / PROJECT_FILE, text.encode())


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append lines to a file: all of them or none.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        data = "".join(f"{one}\n" for one in lines).encode()
        try:
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


def refer(folder: Path, ref: ImageRef, path: str) -> ImageRef:
    """Write down where the file of an image lies now; reads some of it.

    Parameters
    ----------
    folder : Path
        Of the project.
    ref : ImageRef
        What else is known.
    path : str
        A path or an address.
    """
    image = replace(ref.image, source=path)
    if "://" in path:
        return replace(ref, image=image, relative="", fingerprint="")
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        relative = ""
    return replace(ref, image=image, relative=relative, fingerprint=fingerprint(Path(path)))


def find_image(folder: Path, ref: ImageRef, elsewhere: Sequence[Path] = ()) -> str | None:
    """Find the file of an image: from the project's folder, then at its absolute path, then in other folders.

    Parameters
    ----------
    folder : Path
        Of the project.
    ref : ImageRef
        Of the image.
    elsewhere : sequence of Path
        Folders in which a file of the same name is looked for.

    Returns
    -------
    str or None
        An address, or the first path whose fingerprint is right, else the first that is there; None where none is.
    """
    if ref.is_address:
        return ref.image.source
    asked = [folder / ref.relative] if ref.relative else []
    asked += [Path(ref.image.source), *(one / ref.file_name for one in elsewhere)]
    there = [path for path in asked if ref.file_name and path.exists()]
    for path in there:
        if is_same_file(path, ref):
            return os.path.normpath(path)
    return os.path.normpath(there[0]) if there else None


def is_same_file(path: Path, ref: ImageRef) -> bool:
    """Tell whether a file is the one that a project refers to; reads some of it. An address is not asked."""
    return not ref.fingerprint or fingerprint(path) == ref.fingerprint


def _ref(values: dict[str, Any]) -> ImageRef:
    known = values["image"]
    shape = tuple(int(n) for n in known["shape"])
    image = ImageId(shape=shape, **{name: str(known[name]) for name in ("name", "source", "axes", "dtype", "checksum")})
    folder, size = str(values["folder"]), values["voxel_size"]
    if FOLDER.fullmatch(folder) is None:  # it must not lead out of the project
        raise ValueError(f"'{folder}' is no folder of labels")
    texts = {name: str(values[name]) for name in ("relative", "fingerprint", "axes", "reader")}
    return ImageRef(folder, image, voxel_size=None if size is None else tuple(float(v) for v in size), **texts)
