"""The Models tab: a list with cards; choose, rename, delete, open the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices, QShowEvent
from qtpy.QtWidgets import (
    QGridLayout,
    QInputDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet.app import library, lineage
from napari_unet.app.lineage import KEPT_VERSIONS
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.spec import check_can_segment
from napari_unet.ui import messages
from napari_unet.ui.cards import card, size_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.app.library import ModelEntry
    from napari_unet.app.session import Session

NAME = int(Qt.ItemDataRole.UserRole)
NONE = "No models yet: train one, or copy a model's folder into the folder that opens below."
GONE = "This model is not there any more. Open this tab again for those that are."


class ModelsTab(QWidget):
    """List the models.

    Parameters
    ----------
    session : Session
        Keeps which one is used.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._entries: dict[str, ModelEntry] = {}
        self.list = QListWidget()
        self.list.setToolTip("All models; the one in use is marked. Enter uses the selected one.")
        self.list.setAccessibleName("Models")
        self.list.setMaximumHeight(150)
        self.list.currentItemChanged.connect(self._on_current)
        self.list.itemActivated.connect(self._on_use)
        self.card = QLabel()
        self.card.setWordWrap(True)
        self.card.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.card.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.card.setToolTip("The card of the selected model.")
        self.card.setAccessibleName("Card of the model")
        self.broken, self.disk = QLabel(), QLabel()
        self.broken.setToolTip("Folders beside your models that cannot be used.")
        self.disk.setToolTip(
            f"Of each lineage the last {KEPT_VERSIONS} versions stay, and those that you renamed or chose with Use. "
            "Older ones go when a newer one has learnt from all their samples."
        )
        for label in (self.broken, self.disk):
            label.setWordWrap(True)
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout()
        tools: tuple[tuple[str, str, str, Callable[[], None]], ...] = (
            ("use", "Use", "Segment with this model from now on.", self._on_use),
            ("rename", "Rename...", "Give this model another name.", self._on_rename),
            ("delete", "Delete...", "Delete this model for good; you are asked first.", self._on_delete),
            ("folder", "Open folder", "Show where this model is kept, to copy or share it.", self._on_folder),
        )
        for column, (name, text, tip, call) in enumerate(tools):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(call)
            self.buttons[name] = button
            grid.addWidget(button, column // 2, column % 2)
        layout = QVBoxLayout(self)
        layout.addWidget(self.list)
        layout.addLayout(grid)
        layout.addWidget(self.card, 1)
        layout.addWidget(self.disk)
        layout.addWidget(self.broken)
        session.model_changed.connect(self._on_model)
        self.refresh()

    def refresh(self) -> None:
        """List the models anew; the selected one stays selected."""
        before = self._name()
        self._entries = {entry.name: entry for entry in library.list_models()}
        self.list.blockSignals(True)
        self.list.clear()
        for name, entry in self._entries.items():
            used = "  (in use)" if name == self._session.model else ""
            item = QListWidgetItem(f"{name}  -  {entry.spec.dims}D{'' if not entry.bundled else ', bundled'}{used}")
            item.setData(NAME, name)
            self.list.addItem(item)
            if name == (before or self._session.model):
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)
        if self.list.currentItem() is None and self._entries:
            self.list.setCurrentRow(0)
        unreadable = library.unreadable_models()
        self.broken.setText("\n".join(message for _, message in unreadable))
        self.broken.setVisible(bool(unreadable))
        self._on_current()
        self.disk.setText(f"Your models and training sets take {size_words(lineage.total_size())} on the disk.")

    def select(self, name: str) -> None:
        """Select a model and show its card."""
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item is not None and item.data(NAME) == name:
                self.list.setCurrentItem(item)

    def showEvent(self, event: QShowEvent | None) -> None:
        """List the models again whenever the tab is opened: folders may have been copied there."""
        super().showEvent(event)
        self.refresh()

    def _name(self) -> str | None:
        item = self.list.currentItem()
        return None if item is None else str(item.data(NAME))

    def _entry(self) -> ModelEntry | None:
        return self._entries.get(self._name() or "")

    def _on_current(self, *_: object) -> None:
        entry = self._entry()
        try:
            versions = () if entry is None else lineage.versions(lineage.trace(entry.folder))
            self.card.setText(f"<p>{NONE}</p>" if entry is None else card(entry, versions))
        except (UserError, OSError):  # another window has deleted or renamed it
            self.card.setText(f"<p>{GONE}</p>")
        self.buttons["folder"].setEnabled(entry is not None)
        self.buttons["use"].setEnabled(entry is not None and entry.can_segment)
        for name in ("rename", "delete"):
            self.buttons[name].setEnabled(entry is not None and not entry.bundled)

    def _on_model(self, name: str) -> None:
        self.refresh()

    def _on_use(self, *_: object) -> None:
        name = self._name()
        if name is not None:
            with messages.told():
                check_can_segment(self._entries[name].spec)
                self._session.choose_model(name)

    def _on_rename(self) -> None:
        name = self._name()
        if name is None:
            return
        new, is_ok = QInputDialog.getText(self, "Rename the model", f"New name of '{name}':", text=name)
        if is_ok and new.strip() != name:
            with messages.told():
                self.rename(name, new.strip())

    def rename(self, name: str, new: str) -> None:
        """Rename a model; the session goes on with it if it was in use."""
        lineage.rename(name, new)
        if self._session.model == name:
            self._session.choose_model(new)
        self.refresh()

    def _on_delete(self) -> None:
        name = self._name()
        if name is None or not self._asked(f"Delete the model '{name}' for good?"):
            return
        with messages.told():
            lineage.delete(name)
            self.refresh()

    def _asked(self, question: str) -> bool:
        answer = QMessageBox.question(self, "Models", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _on_folder(self) -> None:
        entry = self._entry()
        if entry is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(entry.folder)))
