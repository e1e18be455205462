"""The work of the autosaver's thread: the only place of the program that writes labels by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.app.autosave_work import Outcome
from napari_unet.app.copies import room_like
from napari_unet.app.priority import lower_priority
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.autosave import discard, new_slot
from napari_unet.core.store.autosave_lock import Held, Lock
from napari_unet.core.store.journal_writer import JournalWriter

if TYPE_CHECKING:
    from napari_unet.app.autosave_draft import Draft
    from napari_unet.app.autosave_place import SavePlace
    from napari_unet.app.autosave_work import Work

logger = logging.getLogger(__name__)

THREAD = "napari-unet-autosave"


def in_thread(call: Callable[[], None]) -> None:
    """Run a call beside the window, which goes first; the program's end does not wait for it."""

    def run() -> None:
        lower_priority()
        call()

    threading.Thread(target=run, name=THREAD, daemon=True).start()


def write(
    work: Work, place: SavePlace, lock: Lock, draft: Draft, answered: tuple[Path, ...], first: float, stamp: float
) -> Outcome:
    """Write a draft, if there is anything to lose; whatever goes wrong is in the outcome.

    Parameters
    ----------
    work : Work
        Of which only this thread touches the writer, and gives it a folder.
    place : SavePlace
        Where the image has its folder.
    lock : Lock
        Of the image.
    draft : Draft
        What is written.
    answered : tuple of Path
        What the draft has taken in; deleted once it is safe.
    first, stamp : float
        When the first of its changes was made, on the autosaver's clock, and when it was taken, seconds since 1970.
    """
    try:
        if work.writer is None and work.slot is None and draft.is_blank:
            return Outcome(work, draft, first)
        place.check()
        lock.take()
        if work.writer is None:
            work.slot = work.slot or new_slot(place.folder(work.image))
            work.writer = JournalWriter(work.slot)
        number = work.writer.write(stamp, draft.about, draft.state, draft.arrays)
        place.finish()
        for old in answered:
            with suppress(OSError):
                discard(old)
    except Exception as error:  # the end of the thread: whatever it is, the work is not saved
        if not isinstance(error, (OSError, Held, UserError)):
            logger.exception("labels could not be saved")
        _give_back_empty(work)
        return Outcome(work, draft, first, error=error)
    return Outcome(work, draft, first, number, answered)


def make_room(work: Work) -> None:
    """Make room for the copy of large labels."""
    if work.like is not None:
        work.room = room_like(work.like)
        if work.room is None:
            work.like = None  # not tried again


def renew(locks: Iterable[Lock]) -> None:
    """Renew locks, so that they go on counting on other computers."""
    for lock in locks:
        with suppress(OSError, Held):
            lock.take()


def _give_back_empty(work: Work) -> None:
    """Remove the folder of a work whose first save failed, so that it is not left behind."""
    if work.slot is not None:
        with suppress(OSError):  # it is not empty: something was saved before
            work.slot.rmdir()
            work.slot = work.writer = None
