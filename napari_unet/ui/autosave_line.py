"""The line that says how safe the labels are."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel

if TYPE_CHECKING:
    from napari_unet.app.autosave import Autosaver
    from napari_unet.app.autosave_work import Status
    from napari_unet.core.store.autosave_lock import Holder

RED = "color: #e5484d; font-weight: bold"
TIP = "Labels and what you said about them save themselves in a folder of the program; your own files are not touched."


class AutosaveLine(QLabel):
    """Say when the labels were saved; red while they cannot be.

    Parameters
    ----------
    saver : Autosaver
        Followed; the line holds no state of its own.
    """

    def __init__(self, saver: Autosaver) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setToolTip(TIP)
        saver.status_changed.connect(self._on_status)
        self._on_status(saver.status)

    def _on_status(self, status: Status) -> None:
        self.setText(words(status))
        self.setStyleSheet(RED if status.kind in ("failed", "held") else "")
        self.setVisible(status.kind != "nothing")


def words(status: Status) -> str:
    """Say how safe the work is."""
    at = None if status.saved_at is None else clock_time(status.saved_at)
    since = "" if at is None else f" since {at}"
    if status.kind == "failed":
        return f"Labels not saved{since}: {status.message} {status.hint} It is tried again by itself."
    if status.kind == "held":
        return f"Labels not saved{since}: {held_words(status.holder)} Close it there to save them here."
    if status.kind == "waiting":
        return "Labels: saving..." if at is None else f"Labels saved {at}, newer changes follow."
    return "" if at is None else f"Labels saved {at}."


def held_words(holder: Holder | None) -> str:
    """Say which other window holds an image."""
    if holder is None:
        return "another window works on this image."
    return (
        f"another window works on this image since {clock_time(holder.since)} (process {holder.pid} on {holder.host})."
    )


def clock_time(seconds: float) -> str:
    """Say a time: 14:02, with the day where it is not today."""
    moment = datetime.fromtimestamp(seconds)
    return f"{moment:%H:%M}" if moment.date() == datetime.now().date() else f"{moment:%d %b %Y, %H:%M}"
