"""The switch "Learn while I correct", and what the user is told while it is on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.lazy import is_lazy
from napari_unet.core.base.options import SegmentOptions
from napari_unet.ui import layers, messages, view

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.app.jobs import Job
    from napari_unet.app.live_inbox import Look
    from napari_unet.app.live_session import LiveLearning
    from napari_unet.app.requests import Training
    from napari_unet.app.session import Session
    from napari_unet.ui.new_model import TrainingHooks
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

POLL_MS = 250  # until an end of a stroke or another view is noticed
AGE_S = 5  # a text that changes makes Qt put the whole window together anew

TIP = (
    "Learn from each correction as you make it, and show in the picture what was learnt. What you accepted, edited or "
    "deleted is never touched. Press again to stop and keep it."
)
FIRST = "correct or accept objects: it learns from them at once."
STROKE = "the next one waits for the end of your stroke"
REDO = "the next one waits: you have just taken a step back"


class LiveBox(QWidget):
    """Teach the current model while the user corrects.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    hooks : TrainingHooks
        Of the Train tab.
    """

    def __init__(self, workspace: Workspace, results: Results, session: Session, hooks: TrainingHooks) -> None:
        super().__init__()
        self._workspace, self._results, self._session, self._hooks = workspace, results, session, hooks
        self._learning: LiveLearning | None = None
        self._job: Job[Training] | None = None
        self._shown_at = 0.0
        self.toggle = QPushButton("Learn while I correct")
        self.toggle.setCheckable(True)
        self.toggle.setToolTip(TIP)
        self.toggle.clicked.connect(self._on_toggled)
        self.said, self.line = QLabel(), QLabel()
        for label in (self.said, self.line):
            label.setWordWrap(True)
            label.setToolTip("What the model has learnt from, and how old what you see is.")
            label.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.toggle)
        layout.addWidget(self.said)
        self._poll = QTimer(self)
        self._poll.setInterval(POLL_MS)
        self._poll.timeout.connect(self.look)
        results.changed.connect(self._on_changed)
        results.closing.connect(self._on_closing)
        session.jobs.changed.connect(self._on_jobs)

    @property
    def is_learning(self) -> bool:
        """Tell whether it is on."""
        return self._job is not None and self._job.is_running

    # ------------------------------------------------------------ on and off

    def start(self, folder: Path | None = None) -> None:
        """Begin to learn, or go on with what was interrupted.

        Parameters
        ----------
        folder : Path, optional
            The training set of what was interrupted.

        Raises
        ------
        UserError
            When there is no model, or another job has the device.
        """
        from napari_unet.app.live_session import Canvas, LiveLearning  # the dock opens without it

        options = self._hooks.options()
        learning = LiveLearning(self._session, Canvas(self._read, self._write, self._is_free))
        learning.hand_in(self._results.keys)
        learning.look_at(self._look())
        job = learning.start(options, self._on_payload, folder)
        self._learning, self._job = learning, job
        self._hooks.begin()
        self._hooks.started(job)
        self._poll.start()
        self._on_jobs()

    def _on_toggled(self, is_on: bool) -> None:
        if not is_on:
            if self._job is not None:
                self._job.request_stop()
            self._on_jobs()
            return
        with messages.told():
            self.start()
        self.toggle.setChecked(self.is_learning)

    def _on_jobs(self) -> None:
        job = self._job if self.is_learning else None
        self.toggle.setEnabled(not self._session.jobs.is_busy if job is None else not job.is_stop_requested)
        self.toggle.setChecked(job is not None and not job.is_stop_requested)
        if job is None:
            self._poll.stop()
            self._learning = self._job = None
        self._tell()

    # ------------------------------------------------------------ what goes in

    def _on_changed(self) -> None:
        if self._learning is not None:
            self._learning.hand_in(self._results.keys)

    def _on_closing(self, link: Link) -> None:
        if self._learning is not None:
            self._learning.forget(link.key)

    def look(self) -> None:
        """See where the user looks, and write what waits for the end of a stroke."""
        if self._learning is None:
            return
        self._learning.look_at(self._look())
        if self._learning.is_waiting:
            self._learning.write()
        self._tell()

    def _look(self) -> Look | None:
        from napari_unet.app.live_inbox import Look

        link = self._results.current
        if link is None or is_lazy(link.labels.data):
            return None
        axes = layers.labels_axes(link.labels, link.image.label_axes)
        box = view.view_box(self._workspace.viewer, link.labels, axes)
        return Look(link.key, box, self._options(link))

    def _options(self, link: Link) -> SegmentOptions:
        """Segment as the labels were segmented, with the same size, thresholds and channel."""
        known = self._session.result(link.key).made_by.get("options", {})
        try:
            return SegmentOptions(**known)
        except (TypeError, UserError):  # written by another version
            return SegmentOptions(channel=self._workspace.reading.channel)

    # ------------------------------------------------------------ what comes out

    def _on_payload(self, payload: Any) -> None:
        from napari_unet.app.live import Shown

        if isinstance(payload, Shown):
            self._shown_at = time.monotonic()
            self._tell()
        else:
            self._hooks.on_row(payload)

    def _read(self, key: str) -> NDArray[np.integer[Any]] | None:
        link = self._results.link(key)
        return None if link is None or is_lazy(link.labels.data) else layers.labels_array(link.labels)

    def _write(self, key: str, where: tuple[NDArray[np.intp], ...], values: NDArray[np.integer[Any]]) -> None:
        link = self._results.link(key)
        if link is not None:
            layers.write_unrecorded(link.labels, where, values)

    def _is_free(self, key: str) -> bool:
        link = self._results.link(key)
        # napari shows a hidden layer when it is written to.
        return link is not None and link.labels.visible and QApplication.mouseButtons() == Qt.MouseButton.NoButton

    def _tell(self) -> None:
        text = self._words()
        line = f"Learning: {text}" if text else ""
        for label, shown in ((self.said, text[:1].upper() + text[1:]), (self.line, line)):
            if label.text() != shown:
                label.setText(shown)
                label.setVisible(bool(shown))

    def _words(self) -> str:
        learning = self._learning
        if learning is None or self._job is None:
            return ""
        if self._job.is_stop_requested:
            return "stopped; what was learnt is compared with the model before."
        shown = learning.shown
        if shown is None:
            return FIRST
        if shown.problem:
            return f"nothing is shown: {shown.problem}"
        age = int((time.monotonic() - self._shown_at) // AGE_S) * AGE_S
        cells = f"learnt from {shown.n_cells} cell{'s' * (shown.n_cells != 1)}"
        text = f"{cells}, model {shown.number} shown {f'{age} s ago' if age else 'just now'}"
        if learning.is_waiting:
            text += f"; {REDO if self._session.history.can_redo else STROKE}"
        return f"{text}."
