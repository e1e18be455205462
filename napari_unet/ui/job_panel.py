"""The running job: what it does, how far it is, the time left, and Cancel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

from napari_unet.app.asking import Question
from napari_unet.ui.forms import push_button

if TYPE_CHECKING:
    from napari_unet.app.jobs import Job, Jobs
    from napari_unet.core.base.progress import Progress


CANCEL = "Stop this job within one tile or step: {}."


class JobPanel(QWidget):
    """Show the job that has the device; hidden while there is none.

    Parameters
    ----------
    jobs : Jobs
        Followed; the panel holds no state of its own.
    """

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._job: Job[object] | None = None
        self.what = QLabel()
        self.what.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setToolTip("Share of the work that is done, counted in tiles or steps.")
        self.left = QLabel()
        self.left.setToolTip("Estimated from the share done so far.")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip(CANCEL.format("nothing of it is kept"))
        self.cancel.clicked.connect(self._on_cancel)
        self.question = QLabel()
        self.question.setWordWrap(True)
        self.question.setToolTip("The job waits for your answer; everything else goes on.")
        self.yes = push_button("Yes", "Go on like that.", partial(self._answer, True))
        self.no = push_button("No", "Try without; the job may not be able to go on.", partial(self._answer, False))
        self._asked: Question | None = None
        rows = QGridLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.what, 0, 0, 1, 3)
        rows.addWidget(self.bar, 1, 0)
        rows.addWidget(self.left, 1, 1)
        rows.addWidget(self.cancel, 1, 2)
        rows.addWidget(self.question, 2, 0, 1, 3)
        rows.addWidget(self.yes, 3, 1)
        rows.addWidget(self.no, 3, 2)
        rows.setColumnStretch(0, 1)
        self._show_question(None)
        jobs.changed.connect(self._on_jobs)
        self._on_jobs()

    def _on_jobs(self) -> None:
        job = self._jobs.running
        if job is not self._job:
            if self._job is not None:
                self._job.progressed.disconnect(self._on_progress)
                self._job.produced.disconnect(self._on_produced)
            self._job = job
            self._show_question(None)
            if job is not None:
                job.progressed.connect(self._on_progress)
                job.produced.connect(self._on_produced)
                goes_on = "what is done is kept, and the same job goes on from there"
                self.cancel.setToolTip(CANCEL.format(goes_on if job.goes_on else "nothing of it is kept"))
                self._on_progress(job.progress)
        self.setVisible(job is not None)

    def _on_progress(self, progress: Progress) -> None:
        job = self._job
        if job is None:
            return
        self.what.setText(f"{job.title}: {progress.message}" if progress.message else job.title)
        self.bar.setVisible(progress.total > 0)  # the end of a live training is up to the user
        self.bar.setValue(round(1000 * progress.fraction))
        self.bar.setFormat(f"{100 * progress.fraction:.0f} %")
        self.left.setText(time_left(job.seconds_left))
        self.cancel.setEnabled(not job.is_cancel_requested)

    def _on_produced(self, payload: object) -> None:
        if isinstance(payload, Question) and payload.is_open:
            self._show_question(payload)

    def _show_question(self, question: Question | None) -> None:
        self._asked = question
        self.question.setText("" if question is None else question.text)
        for widget in (self.question, self.yes, self.no):
            widget.setVisible(question is not None)

    def _answer(self, yes: bool) -> None:
        asked = self._asked
        self._show_question(None)
        if asked is not None:
            asked.answer(yes)

    def _on_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self.cancel.setEnabled(False)
            self.what.setText(f"{self._job.title}: stopping...")


def time_left(seconds: float | None) -> str:
    """Say a time left in words: ``about 20 s left``, ``about 3 min left``; empty while it is not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"
