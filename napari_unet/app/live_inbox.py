"""What the window tells a running live training: newest labels, and where the user looks. Any thread may ask."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_unet.app.copies import LARGE_BYTES, room_like
from napari_unet.core.base.options import SegmentOptions

if TYPE_CHECKING:
    from napari_unet.app.annotations import Box, Labels
    from napari_unet.app.teaching import Snapshot


@dataclass(frozen=True)
class Look:
    """Say which part of which labels is looked at.

    Parameters
    ----------
    key : str
        Of the labels layer.
    box : Box
        One slice for each axis of the labels.
    options : SegmentOptions
        How it was segmented the last time.
    """

    key: str
    box: Box
    options: SegmentOptions = field(default_factory=SegmentOptions)


class Inbox:
    """Hold the newest news, for the thread of the job to take; older ones are replaced, not queued."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._snapshots: dict[str, Snapshot] = {}
        self._rooms: dict[str, Labels] = {}
        self._look: Look | None = None
        self._revision = self._taken = 0

    def put(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Hand in labels that have changed."""
        if snapshots:
            with self._news:
                self._snapshots |= snapshots
                self._revision += 1
                self._news.notify_all()

    def drop(self, key: str) -> None:
        """Forget labels whose layer was removed."""
        with self._news:
            self._rooms.pop(key, None)
            if self._snapshots.pop(key, None) is not None:
                self._revision += 1
                self._news.notify_all()

    def room(self, key: str) -> Labels | None:
        """Give the memory that is ready for the next copy of some labels, to be used once."""
        with self._news:
            return self._rooms.pop(key, None)

    def make_room(self) -> None:
        """Have memory ready for the next copy of large labels; for the thread of the job, since it takes its time."""
        for key, snapshot in list(self._snapshots.items()):
            if snapshot.labels.nbytes > LARGE_BYTES and key not in self._rooms:
                room = room_like(snapshot.labels)
                with self._news:
                    if room is not None and key in self._snapshots:
                        self._rooms[key] = room

    def look_at(self, look: Look | None) -> None:
        """Say where the user looks."""
        with self._news:
            if look != self._look:
                self._look = look
                self._news.notify_all()

    @property
    def look(self) -> Look | None:
        """Give where the user looks."""
        return self._look

    def latest(self, key: str) -> Snapshot | None:
        """Give the newest labels of a layer; None where it was removed or never handed in."""
        return self._snapshots.get(key)

    def take(self, seconds: float) -> dict[str, Snapshot] | None:
        """Give the newest labels of all layers if any have changed since the last time; wait so long at most.

        A change of the view ends the waiting, too.
        """
        with self._news:
            if self._revision == self._taken and seconds > 0:
                self._news.wait(seconds)
            if self._revision == self._taken:
                return None
            self._taken = self._revision
            return dict(self._snapshots)
