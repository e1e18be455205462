"""The dock: device, model and running job on top, four tabs below. Opening it imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QTabWidget, QVBoxLayout, QWidget

from napari_unet.app.hand import Hand
from napari_unet.app.session import Session
from napari_unet.ui import layers, messages
from napari_unet.ui.autosave_line import AutosaveLine
from napari_unet.ui.autosaving import Autosaving
from napari_unet.ui.closing import CloseQuestion, ShutDown, UnsavedQuestion
from napari_unet.ui.correct_tab import CorrectTab
from napari_unet.ui.device_line import DeviceLine
from napari_unet.ui.hand_watch import HandWatch
from napari_unet.ui.job_panel import JobPanel
from napari_unet.ui.large_results import LargeResults
from napari_unet.ui.models_tab import ModelsTab
from napari_unet.ui.project_bar import ProjectBar
from napari_unet.ui.projects import Projects
from napari_unet.ui.restore_bar import RestoreBar
from napari_unet.ui.results import Results
from napari_unet.ui.segment_tab import SegmentTab, topic_of
from napari_unet.ui.thread_runner import ThreadRunner
from napari_unet.ui.train_tab import TrainTab
from napari_unet.ui.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Hashable

    import napari
    from qtpy.QtGui import QShowEvent

    from napari_unet.app.jobs import Job, JobState, Runner

WIDTH = 400  # px
DEVICE_AFTER_MS = 200  # the window is drawn first


class UNetWidget(QWidget):
    """Segment, correct, train and keep models, in one dock.

    Parameters
    ----------
    viewer : napari Viewer
        Given by napari.
    runner : Runner, optional
        Where jobs run; threads by default.
    """

    def __init__(self, viewer: napari.viewer.Viewer, runner: Runner | None = None) -> None:
        super().__init__()
        viewer = layers.unwrapped(viewer)
        self._was_docked = False
        self.hand = Hand()
        self._threads = ThreadRunner(self.hand)
        self.session = Session(runner or self._threads)
        self.workspace = Workspace(viewer)
        self.results = Results(self.workspace, self.session)
        self.autosaving = Autosaving(self.workspace, self.results, self.session)
        self.restore_bar, self.autosave = RestoreBar(self.autosaving), AutosaveLine(self.autosaving.saver)
        self.projects = Projects(self.workspace, self.results, self.session, self.autosaving)
        self.project_bar = ProjectBar(self.projects, self.autosave)
        self._told_jobs: list[Job[object]] = []
        self.device, self.model = DeviceLine(), QLabel()
        self.model.setWordWrap(True)
        self.model.setToolTip("The model in use. Choose another one in the Segment or Models tab.")
        self.job = JobPanel(self.session.jobs)
        self.large_results = LargeResults(self.workspace, self.session)
        self.segment = SegmentTab(self.workspace, self.results, self.session, self.large_results)
        self.correct = CorrectTab(self.workspace, self.results, self.session)
        self.correct.review.stored = self.large_results
        self.train = TrainTab(self.workspace, self.results, self.session, self.device)
        self.models = ModelsTab(self.session)
        layout = self.correct.layout()
        if isinstance(layout, QVBoxLayout):
            layout.insertWidget(0, self.train.live.line)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Segment, correct, train, models")
        for tab, title in (
            (self.segment, "Segment"),
            (self.correct, "Correct"),
            (self.train, "Train"),
            (self.models, "Models"),
        ):
            self.tabs.addTab(_scrolled(tab), title)
        layout = QVBoxLayout(self)
        for widget in (self.device, self.model, self.job, self.restore_bar, self.train.resume):
            layout.addWidget(widget)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.project_bar)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._question = CloseQuestion(viewer, self.session)
        self._unsaved = UnsavedQuestion(viewer, self.autosaving.saver)
        self.session.model_changed.connect(self._on_model)
        self.session.jobs.changed.connect(self._on_jobs)
        self.workspace.image_removed.connect(self._on_image_removed)
        self._on_model(self.session.model or "")
        self.shut_down = ShutDown(
            self.session,
            self._threads,
            self.device.wait,
            (
                HandWatch(viewer, self.hand),
                self.projects,
                self.autosaving,
                self.workspace,
                self.results,
                self.large_results,
                self.correct,
            ),
        )
        self.destroyed.connect(self.shut_down)

    def sizeHint(self) -> QSize:
        """Ask for a dock of 400 px."""
        return QSize(WIDTH, 720)

    def event(self, event: QEvent | None) -> bool:
        """End all jobs when napari takes the dock away: it only loses its parent then, and may never be destroyed."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            self._was_docked, was_docked = self.parent() is not None, self._was_docked
            if was_docked and not self._was_docked:
                self.shut_down()
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent | None) -> None:
        """Load torch in the background once the window has been drawn."""
        super().showEvent(event)
        QTimer.singleShot(DEVICE_AFTER_MS, self.device.start)
        QTimer.singleShot(DEVICE_AFTER_MS, self.train.resume.look_once)
        QTimer.singleShot(DEVICE_AFTER_MS, self.project_bar.look_once)

    def _on_model(self, name: str) -> None:
        self.model.setText(f"Model: {name or 'none yet'}")

    def _on_jobs(self) -> None:
        for job in self.session.jobs.active:
            if job not in self._told_jobs:
                self._told_jobs.append(job)
                job.ended.connect(self._on_ended)

    def _on_ended(self, state: JobState) -> None:
        for job in [job for job in self._told_jobs if not job.is_running]:
            self._told_jobs.remove(job)
            if job.failure is not None:
                messages.show_error(f"{job.title}: {job.failure.message}", job.failure.hint)

    def _on_image_removed(self, image_id: Hashable) -> None:
        jobs = self.session.jobs
        topic = topic_of(image_id)
        if any(job.topic == topic for job in jobs.active):
            jobs.supersede(topic)
            messages.show_info("The image was removed while it was being segmented.", "The result is dropped.")


def _scrolled(tab: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(tab)
    return area
