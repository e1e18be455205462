"""A new model on the same corrections: what network, from what weights, with a plan in words and a pre-training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from napari_unet.app import large, library
from napari_unet.app.jobs import Job
from napari_unet.core.base.options import TrainOptions
from napari_unet.ui import messages
from napari_unet.ui.forms import OptionsForm, folding, guard_wheel, push_button, shrink
from napari_unet.ui.outcome import describe_pretraining
from napari_unet.ui.words import Words

if TYPE_CHECKING:
    from napari_unet.app.commands import Training
    from napari_unet.app.planning import PlanReport
    from napari_unet.app.session import Session
    from napari_unet.ui.results import Results
    from napari_unet.ui.workspace import Workspace

SIMPLE, ADVANCED = ("net", "target"), ("norm", "deep_supervision", "dims")
SCRATCH = (*SIMPLE, *ADVANCED)
"""The options of a new model; those of any training are the tab's."""

RANDOM = "random weights"
PLAN = "plan a network"


@dataclass(frozen=True)
class TrainingHooks:
    """What the Train tab does with a training, whoever starts it.

    Parameters
    ----------
    options : callable
        Gives the options of any training; may raise a UserError.
    begin : callable
        Called before the start: clears the plot.
    on_row : callable
        Takes each row of the plot.
    started : callable
        Takes the job, for Stop and Discard.
    say : callable
        Takes how it ended, in words.
    """

    options: Callable[[], TrainOptions]
    begin: Callable[[], None]
    on_row: Callable[[Any], None]
    started: Callable[[Job[Training]], None]
    say: Callable[[str], None]


class NewModel(QWidget):
    """Train a new network on the corrections.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    hooks : TrainingHooks
        Of the tab.
    """

    def __init__(self, workspace: Workspace, results: Results, session: Session, hooks: TrainingHooks) -> None:
        super().__init__()
        self._workspace, self._results, self._session, self._hooks = workspace, results, session, hooks
        self.form: OptionsForm[TrainOptions] = OptionsForm(TrainOptions, only=SIMPLE)
        self.more: OptionsForm[TrainOptions] = OptionsForm(TrainOptions, only=ADVANCED)
        self.name = QLineEdit("my-model")
        self.name.setToolTip("The name of the new model; a number is added if there is one of that name.")
        self.start = QComboBox()
        self.start.setToolTip(
            "What the network knows before it learns: nothing, or what another model, such as a pre-trained one, knows."
        )
        shrink(self.start)
        guard_wheel(self.start)
        self.train = push_button(
            "Train new model",
            "Train a new network on the same corrections; from random weights it needs many more of them.",
            self._on_train,
        )
        self.plan = push_button(
            "Show plan",
            "Say which network, patch and batch suit your corrections and this computer, and why: Network 'plan'.",
            self.show_plan,
        )
        self.pretrain = push_button(
            "Pre-train on this stack",
            "Let a network learn from the whole image without labels. A new model can then start from it.",
            self._on_pretrain,
        )
        self.words = Words("What a training with the network 'plan' would use, and why.")
        self._lay_out()
        session.model_changed.connect(self._on_model)
        self.refresh()

    def _lay_out(self) -> None:
        self.form.put_first("Start from", self.start)
        self.form.put_first("Name", self.name)
        others = QHBoxLayout()
        others.addWidget(self.plan)
        others.addWidget(self.pretrain)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.form)
        rows.addWidget(folding("Advanced", self.more))
        rows.addWidget(self.train)
        rows.addLayout(others)
        rows.addWidget(self.words)

    def refresh(self) -> None:
        """List anew what a training can start from; the choice stays."""
        chosen = self.start.currentData()
        self.start.clear()
        self.start.addItem(RANDOM, None)
        for entry in library.list_models():
            kind = "" if entry.can_segment else ", pre-trained"
            self.start.addItem(f"{entry.name} ({entry.spec.dims}D{kind})", entry.name)
        self.start.setCurrentIndex(max(0, self.start.findData(chosen)))

    def set_free(self, is_free: bool) -> None:
        """Offer what needs the device, or not."""
        for button in (self.train, self.pretrain):
            button.setEnabled(is_free)

    def value(self) -> TrainOptions:
        """Give the options of the new model.

        Raises
        ------
        UserError
            When a text cannot be read.
        """
        simple, more = self.form.value(), self.more.value()
        chosen = {name: getattr(simple, name) for name in SIMPLE} | {name: getattr(more, name) for name in ADVANCED}
        return replace(self._hooks.options(), **chosen)

    def _on_model(self, name: str) -> None:
        self.refresh()

    def _start(self) -> Path | None:
        name = self.start.currentData()
        return None if name is None else library.find_model(name)

    def _title(self) -> str:
        return self.name.text().strip() or "my-model"

    def _on_train(self) -> None:
        with messages.told():
            options, start = self.value(), self._start()
            self._hooks.begin()
            labels = self._results.all_labels()
            job = self._session.trainer.train(
                labels, options, self._title(), start=start, on_payload=self._hooks.on_row
            )
            self._hooks.started(job)

    # ------------------------------------------------------------ plan

    def show_plan(self) -> None:
        """Say in words what would be trained, as soon as that has been found out."""
        with messages.told():
            from napari_unet.app import planning  # loads much, and the dock opens without it

            request = planning.PlanRequest(
                self._session.trainer.teachers(self._results.all_labels()), options=self.value()
            )
            job: Job[PlanReport] = Job("Plan a network", PLAN, exclusive=False)
            self._session.jobs.start(planning.plan, request, job, on_done=self._on_planned)

    def _on_planned(self, report: PlanReport) -> None:
        self.words.say("\n".join(f"\u2022 {line}" for line in report.words))

    # ------------------------------------------------------------ pre-training

    def _on_pretrain(self) -> None:
        with messages.told():
            from napari_unet.app import commands
            from napari_unet.app.requests import PretrainRequest

            image, options = self._workspace.image(), self.value()
            large.check_small(image, "pre-training reads all of it", "Open a part of it as an image of its own.")
            request = PretrainRequest((image,), options, f"{image.name} pre-trained")
            self._hooks.begin()
            job: Job[Training] = Job(f"Pre-train on '{image.name}'", background=True)
            job.produced.connect(self._hooks.on_row)
            self._session.jobs.start(commands.pretrain, request, job, on_done=self._on_pretrained)
            self._hooks.started(job)

    def _on_pretrained(self, training: Training) -> None:
        self.refresh()
        self.start.setCurrentIndex(max(0, self.start.findData(training.name)))
        self._hooks.say(describe_pretraining(training))
