"""A project: a folder with the labels, the models, the log and the paths of the images of one work.

It is a place for the autosaver, so labels lie in it as they lie in the program's own folder: the same journals, saved
by the same thread. What else belongs to them is written after each save.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.app.errors import describe_error
from napari_unet.app.project_models import copy_model
from napari_unet.app.teaching import file_name
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.autosave import find_saved
from napari_unet.core.store.autosave_lock import Held, Holder, Lock
from napari_unet.core.store.project import (
    IMAGES,
    LABELS,
    LOG_FILE,
    MODELS,
    PROJECT_FILE,
    ImageRef,
    ProjectFile,
    append_lines,
    find_image,
    read_project,
    refer,
    write_project,
)

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image
    from napari_unet.core.store.autosave import ImageId, Saved

IMAGE_SUFFIX = ".ome.tif"


@dataclass(frozen=True)
class ReadOnly:
    """Say why a project cannot be written.

    Parameters
    ----------
    holder : Holder or None
        The other window that has it open, where that is known.
    reason : str
        What the disk said; empty where another window has it open.
    """

    holder: Holder | None = None
    reason: str = ""


class Project:
    """Know what a project holds; a `SavePlace`. Made by `new_project` and `open_project`.

    Parameters
    ----------
    folder : Path
        Of the project.
    file : ProjectFile
        What was in it.
    lock : Lock
        Of the whole folder; taken, unless it is read-only.
    read_only : ReadOnly or None
        Why it cannot be written; None where it can.
    """

    is_own = False

    def __init__(self, folder: Path, file: ProjectFile, lock: Lock, read_only: ReadOnly | None = None) -> None:
        self.root, self.read_only = folder, read_only
        self._file, self._lock = file, lock
        self._folders: dict[str, str] = {}
        self._is_changed = False
        self._new: list[ImageRef] = []
        self._images: list[tuple[Path, Image]] = []
        self._models: dict[str, Path] = {}
        self._lines: list[str] = []
        self._mutex = threading.Lock()

    @property
    def name(self) -> str:
        """Give the name of its folder."""
        return self.root.name

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """List its images, in the order in which they were added."""
        return self._file.images

    @property
    def model(self) -> str:
        """Give the name of the model in use last; empty without."""
        return self._file.model

    # ------------------------------------------------------------ images

    def find(self, ref: ImageRef, elsewhere: Sequence[Path] = ()) -> str | None:
        """Find the file of an image: beside the project, at its absolute path, or in other folders."""
        return find_image(self.root, ref, elsewhere)

    def saved(self, ref: ImageRef) -> list[Saved]:
        """List the labels of an image, the newest first."""
        return [one for one in find_saved(self.root / LABELS / ref.folder) if _is_of(one, ref)]

    def bind(self, ref: ImageRef, image: ImageId) -> None:
        """Say as what an image of the project was opened: its labels lie where they lay.

        Its checksums stay those of the image that the labels were drawn on.
        """
        with self._mutex:
            self._folders[image.key] = ref.folder
            if image.source and image.source != ref.image.source:
                moved = replace(refer(self.root, ref, image.source), fingerprint=ref.fingerprint)
                self._file = replace(self._file, images=tuple(moved if one == ref else one for one in self.images))
                self._is_changed = True

    def add(self, image: Image, known: ImageId, axes: str, voxel_size: tuple[float, ...] | None, reader: str) -> None:
        """Take in an image; one that came from no file is written into the project with the next save.

        Parameters
        ----------
        image : Image
            The whole one.
        known : ImageId
            From `identify`.
        axes, voxel_size, reader
            As in `ImageRef`.
        """
        with self._mutex:
            folder = self._folders.setdefault(known.key, known.key)
            if any((one.folder, one.image.name) == (folder, known.name) for one in self.images):
                return
            if not known.source:
                path = self._free_path(image.name)
                self._images.append((path, image))
                known, reader = replace(known, source=str(path)), ""
            ref = ImageRef(folder, known, "", "", axes, voxel_size, reader)
            self._file = replace(self._file, images=(*self.images, ref))
            self._is_changed = True

    def set_voxel_size(self, known: ImageId, axes: str, voxel_size: tuple[float, ...] | None) -> None:
        """Keep with the next save what the user typed later, where the axes are the same; None: what the layer says."""
        with self._mutex:
            here = self._folders.get(known.key), known.name, axes
            images = tuple(
                replace(one, voxel_size=voxel_size) if (one.folder, one.image.name, one.axes) == here else one
                for one in self.images
            )
            if images != self.images:
                self._file = replace(self._file, images=images)
                self._is_changed = True

    def _free_path(self, name: str) -> Path:
        stem, n = file_name(name)[:80], 1
        taken = {path for path, _ in self._images}
        while (
            path := self.root / IMAGES / f"{stem}{'' if n == 1 else f'-{n}'}{IMAGE_SUFFIX}"
        ).exists() or path in taken:
            n += 1
        return path

    # ------------------------------------------------------------ what else belongs to it

    def use_model(self, name: str, folder: Path, *, is_current: bool = False) -> None:
        """Keep a copy of a model with the next save."""
        with self._mutex:
            self._models[name] = folder
            if is_current and self._file.model != name:
                self._file = replace(self._file, model=name)
                self._is_changed = True

    def note(self, lines: Sequence[str]) -> None:
        """Add lines to the log with the next save."""
        with self._mutex:
            self._lines.extend(lines)

    # ------------------------------------------------------------ where the autosaver writes

    @property
    def locks(self) -> Collection[Lock]:
        """Give the one lock of the project."""
        return (self._lock,)

    @property
    def left_behind(self) -> list[Path]:
        """Give nothing: a project shows its labels when it is opened."""
        return []

    def folder(self, image: ImageId) -> Path:
        """Give the folder of an image's labels."""
        return self.root / LABELS / self._folders.get(image.key, image.key)

    def lock(self, image: ImageId) -> Lock:
        """Give the one lock of the project."""
        return self._lock

    def holder(self, image: ImageId) -> Holder | None:
        """Give the other window that has taken the project away, if any."""
        return self._lock.is_held_by_another()

    def check(self) -> None:
        """Make sure that the folder is still this project.

        Raises
        ------
        UserError
            When a disk was unplugged, or the folder moved or deleted.
        """
        if not (self.root / PROJECT_FILE).is_file():
            raise UserError(
                f"The project's folder {self.root} is not there any more.",
                "Plug its disk in again or put it back, or save the project in another folder.",
            )

    def close(self) -> None:
        """Let another window write the project."""
        self._lock.release()

    def finish(self) -> None:
        """Write what has changed besides the labels: images from no file, models, paths and log.

        Raises
        ------
        OSError, UserError
            When the disk refuses; what is not written is tried again with the next save.
        """
        self.check()
        self._write_images()
        self._copy_models()
        with self._mutex:
            file, is_changed, lines = self._file, self._is_changed, list(self._lines)
        if is_changed:
            self._write_file(file)
        if lines:
            append_lines(self.root / LOG_FILE, lines)
            with self._mutex:
                del self._lines[: len(lines)]

    def _write_images(self) -> None:
        from napari_unet.core.io import write_image  # slow to load, and the dock opens without it

        while self._images:
            path, image = self._images[0]
            path.parent.mkdir(exist_ok=True)
            write_image(path, image)
            del self._images[0]

    def _copy_models(self) -> None:
        while self._models:
            name, source = next(iter(self._models.items()))
            copy_model(source, self.root / MODELS / name)
            with self._mutex:
                del self._models[name]

    def _write_file(self, file: ProjectFile) -> None:
        known = tuple(one if one.fingerprint else refer(self.root, one, one.image.source) for one in file.images)
        write_project(self.root, replace(file, images=known))
        with self._mutex:
            if self._file is file:
                self._file, self._is_changed = replace(file, images=known), False


def new_project(folder: Path) -> Project:
    """Make a project in a folder that is new or empty, and hold its lock.

    Raises
    ------
    UserError
        When the folder has something in it, or the disk refuses.
    """
    folder = folder.absolute()
    if (folder / PROJECT_FILE).exists():
        raise UserError(f"There is a project in {folder} already.", "Open it, or choose another folder.")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"The folder {folder} is not empty.", "Choose a new one: a project fills a folder.")
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
        lock.take()
        write_project(folder, ProjectFile())
    except (OSError, Held) as error:
        raise UserError(
            f"No project can be made in {folder}. {describe_error(error)[0]}", "Choose another folder."
        ) from error
    return Project(folder, ProjectFile(), lock)


def open_project(folder: Path) -> Project:
    """Open a project: to write, if no other window has it and the disk lets it be written.

    Parameters
    ----------
    folder : Path
        Of the project, or its ``project.json``.

    Raises
    ------
    ReadError
        When there is no readable project.
    """
    folder = folder.parent if folder.name == PROJECT_FILE else folder
    folder = folder.expanduser().absolute()
    file, lock = read_project(folder), Lock(folder)
    try:
        lock.take()
    except Held as held:
        return Project(folder, file, lock, ReadOnly(held.holder))
    except OSError as error:
        return Project(folder, file, lock, ReadOnly(reason=describe_error(error)[0]))
    return Project(folder, file, lock)


def _is_of(saved: Saved, ref: ImageRef) -> bool:
    """Tell whether labels belong to an image, not to another channel of its file."""
    was = saved.revision.about.get("image")
    return isinstance(was, dict) and was.get("name") == ref.image.name
