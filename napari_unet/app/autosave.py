"""Save every labels layer a moment after it changed: copied here, compressed and written in one thread beside."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.app.autosave_place import OwnFolder
from napari_unet.app.autosave_work import Outcome, Status, Work, status_of
from napari_unet.app.autosave_write import in_thread, make_room, renew, write
from napari_unet.app.copies import LARGE_BYTES
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.autosave import Saved, discard, find_saved

if TYPE_CHECKING:
    from napari_unet.app.annotations import Labels
    from napari_unet.app.autosave_place import SavePlace
    from napari_unet.app.autosave_work import Take
    from napari_unet.core.store.autosave import ImageId
    from napari_unet.core.store.autosave_lock import Holder

logger = logging.getLogger(__name__)

SETTLE_S = 2.0
"""A save begins so long after the last change ..."""

LONGEST_S = 8.0
"""... and so long after the first one at the latest, so that with the writing at most 10 s of work are missing."""

RETRY_S = 5.0
BEAT_S = 300.0
"""So often a lock is renewed while nothing changes."""

COPY_SHARE = 20
"""A copy that held the window up waits so many times its own length before the next."""

NOT_TAKEN = (UserError, MemoryError, LookupError, ValueError)
"""What a layer may raise whose labels were replaced by something else, or for which the memory is too small."""


class Autosaver:
    """Keep what is on the disk at most ten seconds behind what is shown.

    Everything but the writing happens in the caller's thread. Something must call `tick` twice a second.

    Parameters
    ----------
    root : Path
        Folder of all autosaved work.
    clock : callable
        Gives seconds that only grow.
    now : callable
        Gives the seconds since 1970.
    run : callable
        Runs the writing; tests run it at once.
    settle, longest : float, seconds
        See `SETTLE_S` and `LONGEST_S`.
    """

    status_changed = Signal(Status)
    saved = Signal(str, int)
    """A layer's key and the number of the revision that is safe on the disk."""

    def __init__(
        self,
        root: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        run: Callable[[Callable[[], None]], None] = in_thread,
        settle: float = SETTLE_S,
        longest: float = LONGEST_S,
    ) -> None:
        self._place: SavePlace = OwnFolder(root, now)
        self._clock, self._now, self._run = clock, now, run
        self._settle, self._longest = settle, longest
        self._works: dict[str, Work] = {}
        self._leaving: list[Work] = []
        self._mail: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._is_writing = False
        self._beat_at = clock() + BEAT_S
        self._status = Status()

    # ------------------------------------------------------------ what is watched

    @property
    def status(self) -> Status:
        """Say how safe the work is."""
        return self._status

    @property
    def is_leaving(self) -> bool:
        """Tell whether the last state of a removed layer is not on the disk yet."""
        return bool(self._leaving)

    def watch(self, key: str, image: ImageId, take: Take, slot: Path | None = None, like: Labels | None = None) -> None:
        """Save a labels layer from now on.

        Parameters
        ----------
        key : str
            Of the layer.
        image : ImageId
            That it belongs to.
        take : callable
            Copies what is to be saved, into the array that it gets where that fits.
        slot : Path or None
            Where it was saved before; None begins a new place.
        like : integer array or None
            Has the shape and the dtype of the labels: for a large one room is made beside the window.
        """
        self._works[key] = Work(key, image, take, slot, like)
        self.touch(key)

    def touch(self, key: str) -> None:
        """Say that something may have changed; the truth is found by comparison."""
        work = self._works.get(key)
        if work is None:
            return
        work.last = self._clock()
        if work.first is None:
            work.first = work.last
        self._tell()

    def leave(self, key: str) -> None:
        """Save a layer that is being removed for the last time; the copy is made now."""
        work = self._works.pop(key, None)
        if work is not None:
            try:
                work.final, work.first = work.take(None if self._is_writing else work.room), self._clock()
            except NOT_TAKEN:
                logger.exception("the last state of the labels could not be copied")
                return
            self._leaving.append(work)
            self.tick()

    # ------------------------------------------------------------ saving

    def tick(self) -> None:
        """Take in what was written, and begin the save that is due, if any."""
        self._collect()
        if self._is_writing:
            return
        now = self._clock()
        due = [w for w in self._leaving if now >= w.not_before]
        due += [w for w in self._works.values() if self._is_due(w, now)]
        if due:
            work = min(due, key=lambda w: (w.not_before, w.first or now))
            if work.room is None and work.final is None and work.like is not None and work.like.nbytes > LARGE_BYTES:
                self._is_writing = True
                self._run(lambda: self._make_room(work))
            else:
                self._begin(work)
        elif now >= self._beat_at and self._place.locks:
            self._beat_at = now + BEAT_S
            self._is_writing = True
            self._run(self._beat)

    def _is_due(self, work: Work, now: float) -> bool:
        if work.first is None or now < work.not_before:
            return False
        return now - work.last >= self._settle or now - work.first >= self._longest

    def _begin(self, work: Work) -> None:
        began = self._clock()
        first = began if work.first is None else work.first
        self._is_writing = True
        try:
            draft = work.take(work.room) if work.final is None else work.final
        except NOT_TAKEN as error:
            self._mail.put(Outcome(work, None, first, error=error))
            return
        work.room = draft.arrays["labels"]
        work.first = None
        work.not_before = began + min(COPY_SHARE * (self._clock() - began), self._longest)
        self._beat_at = began + BEAT_S
        stamp = self._now()
        place, answered = self._place, tuple(work.answered)
        lock = place.lock(work.image)
        self._run(lambda: self._mail.put(write(work, place, lock, draft, answered, first, stamp)))

    def _make_room(self, work: Work) -> None:
        try:
            make_room(work)
        finally:
            self._mail.put(None)

    def _beat(self) -> None:
        try:
            renew(self._place.locks)
        finally:
            self._mail.put(None)

    def _collect(self, wait: float = 0.0) -> None:
        """Take in the outcome of a save, if there is one within so many seconds."""
        try:
            outcome = self._mail.get(timeout=wait) if wait > 0 else self._mail.get_nowait()
        except queue.Empty:
            return
        self._is_writing = False
        if outcome is None:
            return
        work, work.error = outcome.work, outcome.error
        if outcome.error is not None:
            work.first = min(outcome.first, work.first or outcome.first)
            work.not_before = self._clock() + RETRY_S
        else:
            work.saved_at = self._now() if outcome.number is not None else work.saved_at
            work.answered = [slot for slot in work.answered if slot not in outcome.answered]
            if outcome.draft is work.final and work in self._leaving:
                self._leaving.remove(work)
        self._tell()
        if outcome.number is not None:
            self.saved.emit(work.key, outcome.number)

    def flush(self, seconds: float) -> bool:
        """Save everything now, changed or not, and wait for it at most so many seconds.

        Returns
        -------
        bool
            Everything is safe.
        """
        until = self._clock() + seconds
        is_safe = self._wait(until)
        for work in [*self._leaving, *self._works.values()]:
            if not self._is_writing:
                self._begin(work)
            is_safe = self._wait(until) and work.error is None and is_safe
        return is_safe

    def _wait(self, until: float) -> bool:
        self._collect()
        while self._is_writing and (left := until - self._clock()) > 0:
            self._collect(left)
        return not self._is_writing

    def close(self, seconds: float) -> bool:
        """Save everything for the last time and let other windows have the images; tells whether all is safe."""
        is_safe = self.flush(seconds)
        if not self._is_writing:  # else the end of the process frees them
            try:
                self._place.finish()
            except (OSError, UserError):
                logger.exception("not all that belongs to the labels could be saved")
                is_safe = False
            for lock in self._place.locks:
                lock.release()
        self._works.clear()
        self._leaving.clear()
        return is_safe

    def move(self, place: SavePlace, seconds: float) -> bool:
        """Save everything in another place from now on, and wait for it at most so many seconds.

        What was saved in the program's own folder goes once it is safe there; a project that is left stays as it is.

        Returns
        -------
        bool
            Everything is safe there. What is not is tried again, as ever.

        Raises
        ------
        UserError
            When a save that has begun does not end: nothing has changed then.
        """
        until = self._clock() + seconds
        self.flush(seconds)
        if self._is_writing:
            raise UserError("Labels are being saved, which takes long.", "Try again when the line below says saved.")
        old, self._place = self._place, place
        for work in self._works.values():
            if work.slot is not None and old.is_own:
                work.answered.append(work.slot)
            work.slot = work.writer = None
        is_safe = self.flush(max(until - self._clock(), 0.0))
        for lock in old.locks:
            lock.release()
        return is_safe

    # ------------------------------------------------------------ what was saved before

    def found(self, image: ImageId) -> list[Saved]:
        """List what was saved for an image in windows that are gone, the newest first."""
        if self.holder(image) is not None:
            return []
        works = (*self._works.values(), *self._leaving)
        own = {work.slot for work in works} | {slot for work in works for slot in work.answered}
        return [one for one in find_saved(self._place.folder(image), image) if one.folder not in own]

    def left_behind(self) -> list[Saved]:
        """List the newest of each image whose window ended without closing, the newest first."""
        newest = [found[0] for found in map(find_saved, self._place.left_behind) if found]
        return sorted(newest, key=lambda saved: saved.revision.time, reverse=True)

    def holder(self, image: ImageId) -> Holder | None:
        """Give the other window that holds an image; None without one."""
        return self._place.holder(image)

    def discard(self, saved: Saved) -> None:
        """Delete what was saved.

        Raises
        ------
        UserError
            When the disk refuses.
        """
        try:
            discard(saved.folder)
        except OSError as error:
            raise UserError(f"The saved labels could not be deleted: {error.strerror or error}.") from error

    def discard_when_saved(self, key: str, saved: Saved) -> None:
        """Delete what was saved as soon as the layer that took it in is saved itself."""
        self._works[key].answered.append(saved.folder)
        self.touch(key)

    # ------------------------------------------------------------ status

    def _tell(self) -> None:
        status = status_of([*self._works.values(), *self._leaving], is_writing=self._is_writing)
        if status != self._status:
            self._status = status
            self.status_changed.emit(status)
