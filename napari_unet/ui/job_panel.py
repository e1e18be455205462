"""The running job: what it does, how far it is, the time left, and Cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

if TYPE_CHECKING:
    from napari_unet.app.jobs import Job, Jobs
    from napari_unet.core.base.progress import Progress


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
        self.cancel.setToolTip("Stop this job and keep nothing of it. It stops within one tile or step.")
        self.cancel.clicked.connect(self._on_cancel)
        rows = QGridLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.what, 0, 0, 1, 3)
        rows.addWidget(self.bar, 1, 0)
        rows.addWidget(self.left, 1, 1)
        rows.addWidget(self.cancel, 1, 2)
        rows.setColumnStretch(0, 1)
        jobs.changed.connect(self._on_jobs)
        self._on_jobs()

    def _on_jobs(self) -> None:
        job = self._jobs.running
        if job is not self._job:
            if self._job is not None:
                self._job.progressed.disconnect(self._on_progress)
            self._job = job
            if job is not None:
                job.progressed.connect(self._on_progress)
                self._on_progress(job.progress)
        self.setVisible(job is not None)

    def _on_progress(self, progress: Progress) -> None:
        job = self._job
        if job is None:
            return
        self.what.setText(f"{job.title}: {progress.message}" if progress.message else job.title)
        self.bar.setValue(round(1000 * progress.fraction))
        self.bar.setFormat(f"{100 * progress.fraction:.0f} %")
        self.left.setText(time_left(job.seconds_left))
        self.cancel.setEnabled(not job.is_cancel_requested)

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
