"""Where the autosaver writes: the program's own folder, or a project (`app.project`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_unet.core.store.autosave_lock import Lock

if TYPE_CHECKING:
    from napari_unet.core.store.autosave import ImageId
    from napari_unet.core.store.autosave_lock import Holder


class SavePlace(Protocol):
    """Say where labels are saved, and who may write there."""

    @property
    def is_own(self) -> bool:
        """Tell whether it is the program's own folder: what was saved there goes once it is safe elsewhere."""
        ...

    @property
    def locks(self) -> Collection[Lock]:
        """Give the locks that are or may be held."""
        ...

    @property
    def left_behind(self) -> list[Path]:
        """List the folders of images whose window ended without closing, to be offered."""
        ...

    def folder(self, image: ImageId) -> Path:
        """Give the folder of an image; it may not exist yet."""
        ...

    def lock(self, image: ImageId) -> Lock:
        """Give the lock to be held while an image is written."""
        ...

    def holder(self, image: ImageId) -> Holder | None:
        """Give the other window that holds an image; None without one."""
        ...

    def check(self) -> None:
        """Make sure that it is there, before anything is written; called in the writer's thread.

        Raises
        ------
        UserError
            When it is not: nothing must be written to where a disk was.
        """
        ...

    def finish(self) -> None:
        """Write what else belongs to what has just been saved; called in the writer's thread.

        Raises
        ------
        OSError
            When the disk refuses.
        """
        ...


class OwnFolder:
    """Save in a folder of the program, with a lock for each image.

    Parameters
    ----------
    root : Path
        Has a folder for each image.
    now : callable
        Gives the seconds since 1970.
    """

    is_own = True

    def __init__(self, root: Path, now: Callable[[], float] = time.time) -> None:
        self._root, self._now = root, now
        self._locks: dict[str, Lock] = {}

    @property
    def locks(self) -> Collection[Lock]:
        """Give the locks of all images that were written."""
        return self._locks.values()

    @property
    def left_behind(self) -> list[Path]:
        """List the folders of images whose window ended without closing."""
        try:
            return [path for path in self._root.iterdir() if Lock(path, self._now).is_left()]
        except OSError:
            return []

    def folder(self, image: ImageId) -> Path:
        """Give the folder of an image."""
        return self._root / image.key

    def lock(self, image: ImageId) -> Lock:
        """Give the lock of an image."""
        return self._locks.setdefault(image.key, Lock(self.folder(image), self._now))

    def holder(self, image: ImageId) -> Holder | None:
        """Give the other window that holds an image."""
        lock = self._locks.get(image.key) or Lock(self.folder(image), self._now)
        return lock.is_held_by_another()

    def check(self) -> None:
        """Do nothing: it is made where it is missing."""

    def finish(self) -> None:
        """Do nothing: all is written."""
