"""Choose the current model: one box, shown where a model is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QWidget

from napari_unet.app import library
from napari_unet.core.base.errors import UserError
from napari_unet.ui import messages
from napari_unet.ui.forms import guard_wheel, shrink

if TYPE_CHECKING:
    from napari_unet.app.session import Session
    from napari_unet.ui.workspace import Workspace

NO_MODEL = "no model"


class ModelPicker(QComboBox):
    """Show all models that segment; the session's one is the chosen one.

    Parameters
    ----------
    workspace : Workspace
        Its image gets the model that fits best, until the user chooses one.
    session : Session
        Keeps the choice.
    """

    def __init__(self, workspace: Workspace, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace, self._session = workspace, session
        self._is_chosen = False
        self._proposed: str | None = None
        shrink(self)
        guard_wheel(self)
        self.setToolTip("The network that segments. The Models tab says what each was trained on.")
        self.activated.connect(self._on_activated)
        session.model_changed.connect(self._on_model)
        workspace.image_changed.connect(self._on_image)
        self.refresh()
        self._on_image()

    def refresh(self) -> None:
        """List the models anew."""
        self.clear()
        for entry in [one for one in library.list_models() if one.can_segment]:
            what = entry.spec.target if entry.spec.target == "instances" else "classes"
            self.addItem(f"{entry.name} ({entry.spec.dims}D, {what})", entry.name)
        if self._session.model is None or self.findData(self._session.model) < 0:
            self.insertItem(0, NO_MODEL, None)
        self.setCurrentIndex(max(0, self.findData(self._session.model)))

    def _on_model(self, name: str) -> None:
        self._is_chosen = self._is_chosen or name != self._proposed  # by the user here or in a list, or by a training
        self.refresh()

    def _on_activated(self, index: int) -> None:
        name = self.itemData(index)
        if name is not None:
            self._is_chosen = True
            with messages.told():
                self._session.choose_model(name)

    def _on_image(self) -> None:
        """Propose the model that was used last or fits best; one that was chosen stays as long as it fits."""
        if self._workspace.layer is None:
            return
        try:
            image = self._workspace.image()
        except UserError:
            return  # the Segment tab says what is not clear
        chosen = (self._session.model if self._is_chosen else library.last_used(image),)
        name = library.best_model(image, prefer=chosen)
        if name is not None and name != self._session.model:
            self._proposed = name
            self._session.set_model(name)
