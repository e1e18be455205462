"""The line that offers to go on with a training which a crash or a closed window has interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QMessageBox

from napari_unet.app import library, unfinished
from napari_unet.ui import messages
from napari_unet.ui.forms import push_button

if TYPE_CHECKING:
    from napari_unet.app.session import Session
    from napari_unet.app.unfinished import Unfinished
    from napari_unet.ui.live_box import LiveBox
    from napari_unet.ui.new_model import TrainingHooks

LIVE = "Learning while you corrected was interrupted, from the model '{}'. It can go on where you left off."
TUNED = "A fine-tuning of '{}' was interrupted. It can go on with what it learns from."
NEW = "The training of '{}' was interrupted. It can go on with what it learns from."
STEPS = " It has a checkpoint."


class ResumeBar(QFrame):
    """Offer to go on with the training that was interrupted last; hidden while there is none.

    Parameters
    ----------
    session : Session
        Runs it.
    hooks : TrainingHooks
        Of the Train tab.
    live : LiveBox
        Goes on with a live training.
    """

    def __init__(self, session: Session, hooks: TrainingHooks, live: LiveBox) -> None:
        super().__init__()
        self._session, self._hooks, self._live = session, hooks, live
        self._one: Unfinished | None = None
        self._has_looked = False
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.go_on = push_button("Resume training", "Go on with it in the background.", self._on_go_on)
        self.later = push_button("Later", "Ask again when the dock is opened the next time.", self.hide)
        self.forget = push_button(
            "Forget...",
            "Delete it with its copy of the corrections; you are asked first.",
            self._on_forget,
        )
        rows = QGridLayout(self)
        rows.addWidget(self.said, 0, 0, 1, 3)
        for column, button in enumerate((self.go_on, self.later, self.forget)):
            rows.addWidget(button, 1, column)
        self.hide()
        session.jobs.changed.connect(self._on_jobs)

    def look_once(self) -> None:
        """See whether there is a training to go on with, when the dock is shown first."""
        if not self._has_looked:
            self._has_looked = True
            self.look()

    def look(self) -> None:
        """See whether there is a training to go on with."""
        found = unfinished.find()
        self._one = found[0] if found else None
        if self._one is not None:
            self.said.setText(words(self._one))
        self.setVisible(self._one is not None)
        self._on_jobs()

    def _on_jobs(self) -> None:
        self.go_on.setEnabled(not self._session.jobs.is_busy)

    def _on_go_on(self) -> None:
        one = self._one
        if one is None:
            return
        with messages.told():
            if one.kind == "live":
                self._session.set_model(library.find_model(one.model).name)
                self._live.start(one.folder)
            else:
                job = self._session.trainer.resume(one, on_payload=self._hooks.on_row)
                self._hooks.begin()
                self._hooks.started(job)
            self.hide()

    def _on_forget(self) -> None:
        question = "Delete what this training has learnt, and its copy of the corrections? They cannot be brought back."
        if self._one is not None and QMessageBox.question(self, "Forget", question) == QMessageBox.StandardButton.Yes:
            unfinished.forget(self._one)
            self.look()


def words(one: Unfinished) -> str:
    """Say which training was interrupted."""
    name = one.title or one.folder.name
    model = _last_of(one.model)
    text = {"live": LIVE.format(model), "fine-tune": TUNED.format(model), "new": NEW.format(name)}[one.kind]
    return text + STEPS * one.has_steps


def _last_of(model: str) -> str:
    """Give the name of a model by its folder, whichever system wrote it."""
    return model.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
