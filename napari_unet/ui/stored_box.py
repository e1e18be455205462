"""What the labels of large images take of the disk: a list, from which they can be deleted."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unet.app import library, stored_results
from napari_unet.app.stored_results import LABELS, MAPS
from napari_unet.core.base.errors import UserError
from napari_unet.ui import messages
from napari_unet.ui.cards import size_words
from napari_unet.ui.forms import push_button

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_unet.app.session import Session
    from napari_unet.app.stored_results import StoredResult
    from napari_unet.ui.large_results import LargeResults

COLUMNS = ("Labels", "Size", "Written")
HEIGHT = 130  # px
NAME = int(Qt.ItemDataRole.UserRole)
NONE = "No labels of large images lie on the disk."
MANY = "{} of labels of large images lie on the disk. Nothing of it is deleted by itself."


class StoredBox(QWidget):
    """List the labels of large images, and delete what the user does not need.

    Parameters
    ----------
    session : Session
        Its jobs: while one runs nothing is deleted.
    large_results : LargeResults
        Knows what is shown.
    """

    def __init__(self, session: Session, large_results: LargeResults) -> None:
        super().__init__()
        self._session, self._large_results = session, large_results
        self._results: dict[str, StoredResult] = {}
        self.total = QLabel(NONE)
        self.total.setWordWrap(True)
        self.total.setToolTip(f"In {library.results_folder()}")
        self.list = QTreeWidget()
        self.list.setHeaderLabels(list(COLUMNS))
        self.list.setRootIsDecorated(False)
        self.list.setMaximumHeight(HEIGHT)
        self.list.setToolTip("Image, model and a key of each result; 'unfinished' ones go on with Segment.")
        self.list.setAccessibleName("Labels of large images on the disk")
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.list.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.currentItemChanged.connect(self._on_current)
        self.delete = push_button("Delete...", "Delete these labels for good; you are asked first.", self._on_delete)
        self.thin = push_button(
            "Delete output...",
            "Delete only the network's output that was kept: the labels stay, other thresholds run the network again.",
            self._on_thin,
        )
        self.folder = push_button("Open folder", "Show where all of them lie.", self._on_folder)
        row = QHBoxLayout()
        for button in (self.delete, self.thin, self.folder):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.total)
        layout.addWidget(self.list)
        layout.addLayout(row)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look at the disk whenever the list is opened."""
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """List anew; the selected one stays selected."""
        before = self._name()
        self._results = {one.name: one for one in stored_results.list_results()}
        self.list.clear()
        for name, one in self._results.items():
            title = name if one.is_finished else f"{name} (unfinished)"
            when = datetime.fromtimestamp(one.changed).astimezone().strftime("%Y-%m-%d %H:%M")
            item = QTreeWidgetItem([title, size_words(one.size), when])
            item.setData(0, NAME, name)
            item.setToolTip(0, title)
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.list.addTopLevelItem(item)
            if name == before:
                self.list.setCurrentItem(item)
        total = stored_results.total_size()
        self.total.setText(MANY.format(size_words(total)) if self._results else NONE)
        self._on_current()

    def _name(self) -> str | None:
        item = self.list.currentItem()
        return None if item is None else str(item.data(0, NAME))

    def _on_current(self, *_: object) -> None:
        one = self._results.get(self._name() or "")
        self.delete.setEnabled(one is not None)
        self.thin.setEnabled(one is not None and MAPS in one.parts)

    def _on_delete(self) -> None:
        one = self._results.get(self._name() or "")
        if one is not None and self._asked(f"Delete '{one.name}' ({size_words(one.size)}) for good, painted or not?"):
            with messages.told():
                self._check_unused(one.name)
                stored_results.delete_result(one.name)
                self.refresh()

    def _on_thin(self) -> None:
        one = self._results.get(self._name() or "")
        if one is not None and self._asked(f"Delete the network's output of '{one.name}'? Its labels stay."):
            with messages.told():
                self._check_idle()
                stored_results.delete_result(one.name, (MAPS,))
                self.refresh()

    def _check_unused(self, name: str) -> None:
        self._check_idle()
        if any(path.name == f"{name}{LABELS}" for path in self._large_results.paths):
            raise UserError(f"'{name}' is shown in this window.", "Remove its layer first.")

    def _check_idle(self) -> None:
        if self._session.jobs.active:
            raise UserError("A job is running, which may need these files.", "Wait for its end, or cancel it.")

    def _asked(self, question: str) -> bool:
        answer = QMessageBox.question(self, "Labels of large images", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _on_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(library.results_folder())))
