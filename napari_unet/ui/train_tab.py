"""The Train tab: what it will learn from, one large button, the live plot, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import TrainOptions
from napari_unet.ui import messages
from napari_unet.ui.forms import OptionsForm, enlarge, folding, push_button
from napari_unet.ui.gained import GainedBox
from napari_unet.ui.live_box import LiveBox
from napari_unet.ui.new_model import SCRATCH, NewModel, TrainingHooks
from napari_unet.ui.outcome import describe_outcome
from napari_unet.ui.patch_preview import PatchPreview
from napari_unet.ui.resume_bar import ResumeBar
from napari_unet.ui.training_set_box import TrainingSetBox
from napari_unet.ui.words import Words

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_unet.app.commands import Training
    from napari_unet.app.jobs import Job
    from napari_unet.app.preflight import Review
    from napari_unet.app.session import Session
    from napari_unet.ui.device_line import DeviceLine
    from napari_unet.ui.loss_plot import LossPlot, Row
    from napari_unet.ui.results import Results
    from napari_unet.ui.workspace import Workspace

LOOK_AFTER_MS = 1500  # looking at all corrections takes a moment; not while the user still paints


class TrainTab(QWidget):
    """Fine-tune the current model on the corrections, or train a new one on them.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    device : DeviceLine
        Knows whether torch is being loaded; the plot's package is not loaded meanwhile.
    """

    def __init__(self, workspace: Workspace, results: Results, session: Session, device: DeviceLine) -> None:
        super().__init__()
        self._workspace, self._results, self._session, self._device = workspace, results, session, device
        self._rows: list[Row] = []
        self._job: Job[Training] | None = None
        self._was_training = False
        self.plot: LossPlot | None = None
        self.sources = Words(
            "Accepted and edited objects, deletions, background and finished regions. Never predictions."
        )
        self.warnings = Words("What is likely to spoil the training, and what to do about it.")
        self.outcome = Words("How the new model compares with the old one on what it did not learn from.")
        self.button = push_button(
            "Fine-tune", "Teach the current model from your corrections, in the background.", self.fine_tune
        )
        enlarge(self.button)
        self.stop = push_button("Stop and keep", "End the training now and keep the best so far.", self._on_stop)
        self.discard = push_button("Discard", "End the training now and keep nothing of it.", self._on_discard)
        self.back = push_button("Take back", "Use the model from before the last training again.", self._on_back)
        self.options: OptionsForm[TrainOptions] = OptionsForm(TrainOptions, without=SCRATCH, folded="Advanced")
        self.gained, self.samples = GainedBox(workspace, results), TrainingSetBox(workspace, session)
        self.preview = PatchPreview(workspace, results, session, self.options.value)
        hooks = TrainingHooks(self.options.value, self._begin, self._on_row, self._started, self._say)
        self.new = NewModel(workspace, results, session, hooks)
        self.live = LiveBox(workspace, results, session, hooks)
        self.resume = ResumeBar(session, hooks, self.live)
        self._look = QTimer(self)
        self._look.setSingleShot(True)
        self._look.setInterval(LOOK_AFTER_MS)
        self._look.timeout.connect(self.refresh)
        self._lay_out()
        results.changed.connect(self._on_changed)
        session.jobs.changed.connect(self._on_jobs)
        session.trainer.ended.connect(self._on_training_ended)
        session.model_changed.connect(self._on_model)
        workspace.viewer.events.theme.connect(self._on_theme)
        device.loaded.connect(self._on_loaded)
        self._on_jobs()
        self.refresh()

    def _lay_out(self) -> None:
        self._plot_place = QVBoxLayout()
        ends = QHBoxLayout()
        for button in (self.stop, self.discard, self.back):
            ends.addWidget(button)
        settings = QWidget()
        rows = QVBoxLayout(settings)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.options)
        rows.addWidget(self.preview)
        self.how = folding("Budget, augmentation, device", settings)
        layout = QVBoxLayout(self)
        for widget in (self.sources, self.warnings, self.button, self.live):
            layout.addWidget(widget)
        self.sources.show()
        layout.addLayout(self._plot_place)
        layout.addLayout(ends)
        layout.addWidget(self.outcome)
        layout.addWidget(self.gained)
        self.taught = folding("Training set", self.samples)
        layout.addWidget(self.taught)
        layout.addWidget(self.how)
        layout.addWidget(folding("New model", self.new))
        layout.addStretch(1)

    # ------------------------------------------------------------ showing

    def refresh(self) -> None:
        """Look anew at what would be learnt from; said when that has been found out."""
        try:
            self._session.trainer.review(self._results.all_labels(), self._on_looked)
        except UserError as error:
            self.sources.setText(str(error))

    def _on_looked(self, found: Review) -> None:
        self.sources.setText(f"Learns from: {found.summary.text}. {self.samples.said}".rstrip())
        self.warnings.setText("\n".join(f"\u2022 {p.text} {p.hint}" for p in found.problems))
        self._show_found()

    def _show_found(self) -> None:
        """Show what was found; while it learns from each correction that grows old at once."""
        self.sources.setVisible(not self.live.is_learning)
        self.warnings.setVisible(bool(self.warnings.text()) and not self.live.is_learning)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look at the corrections again whenever the tab is opened."""
        super().showEvent(event)
        self.refresh()
        self.samples.refresh()
        self.new.refresh()
        # Soon, so that nothing is left to load when Fine-tune is pressed.
        QTimer.singleShot(0, self._make_plot)

    def _on_changed(self) -> None:
        if self.isVisible() and not self._is_training:  # looking costs time that the brush and the training need
            self._look.start()

    @property
    def _is_training(self) -> bool:
        return self._job is not None and self._job.is_running

    def _on_jobs(self) -> None:
        jobs = self._session.jobs
        is_training = self._is_training
        self.button.setEnabled(not jobs.is_busy)
        self.new.set_free(not jobs.is_busy)
        job = self._job
        self.stop.setEnabled(is_training and job is not None and not job.is_stop_requested)
        self.discard.setEnabled(is_training and job is not None and not job.is_cancel_requested)
        self._on_model(self._session.model or "")
        if is_training:
            self._look.stop()
        if self._was_training and not is_training:
            self._on_changed()
        self._show_found()
        self._was_training = is_training

    def _on_model(self, name: str) -> None:
        self.back.setEnabled(self._session.previous_model is not None and not self._session.jobs.is_busy)

    def _on_theme(self, event: object) -> None:
        if self.plot is not None:
            self.plot.set_theme(self._workspace.viewer.theme)

    # ------------------------------------------------------------ training

    def fine_tune(self) -> None:
        """Start the training on a snapshot of the corrections."""
        with messages.told():
            options = self.options.value()
            self._begin()
            self._started(self._session.trainer.fine_tune(self._results.all_labels(), options, on_payload=self._on_row))

    def _begin(self) -> None:
        self.outcome.hide()
        self.gained.clear()
        self._rows.clear()
        self._make_plot()
        if self.plot is not None:
            self.plot.clear_rows()

    def _started(self, job: Job[Training]) -> None:
        self._job = job
        if self.plot is not None:
            self.plot.show()
        self._on_jobs()

    def _make_plot(self) -> None:
        if self.plot is not None or self._device.is_loading:
            return
        from napari_unet.ui.loss_plot import LossPlot  # pyqtgraph would slow the opening of the dock

        self.plot = LossPlot(self._workspace.viewer.theme)
        self._plot_place.addWidget(self.plot)
        for row in self._rows:
            self.plot.add_row(row)
        self.plot.setVisible(self._is_training)

    def _on_loaded(self) -> None:
        if self.isVisible() or self._rows:
            self._make_plot()

    def _on_row(self, row: Any) -> None:
        self._rows.append(row)
        if self.plot is not None:
            self.plot.add_row(row)

    def _on_stop(self) -> None:
        if self._job is not None:
            self._job.request_stop()
            self._on_jobs()

    def _on_discard(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._on_jobs()

    def _on_training_ended(self, training: Training) -> None:
        self._say(describe_outcome(training, self._session.model or training.name))
        self.gained.tell(training)
        self.samples.refresh()

    def _say(self, text: str) -> None:
        self.outcome.setText(text)
        self.outcome.show()

    def _on_back(self) -> None:
        with messages.told():
            self._session.take_back_model()
            self._say(f"'{self._session.model}' is used again.")
