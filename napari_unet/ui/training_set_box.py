"""What the current model's lineage has learnt from: a list; each sample can be looked at, left out and removed."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QHeaderView, QMessageBox, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_unet.app import lineage, training_set
from napari_unet.app.jobs import Job
from napari_unet.core.base.errors import UserError
from napari_unet.ui import layers, messages
from napari_unet.ui.cards import date_words
from napari_unet.ui.forms import push_button
from napari_unet.ui.readers import image_layer
from napari_unet.ui.words import Words

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.app.session import Session
    from napari_unet.app.training_set import Entry
    from napari_unet.core.store.training_set import Sample
    from napari_unet.ui.workspace import Workspace

COLUMNS = ("Image", "Cells", "Date", "From")
LEAVE_OUT, USE_AGAIN = "Leave out", "Use again"
NONE = "No samples yet: they come with the first fine-tuning."
HEIGHT = 150  # px
TOPIC = "sample"


class TrainingSetBox(QWidget):
    """List the samples of the current model's lineage.

    Parameters
    ----------
    workspace, session
        What the tabs share.
    """

    def __init__(self, workspace: Workspace, session: Session) -> None:
        super().__init__()
        self._workspace, self._session = workspace, session
        self._entries: dict[str, Entry] = {}
        self._sets: list[Path] = []
        self.words = Words("How much the next training learns from besides the open labels, and what cannot be used.")
        self.list = QTreeWidget()
        self.list.setHeaderLabels(list(COLUMNS))
        self.list.setRootIsDecorated(False)
        self.list.setMaximumHeight(HEIGHT)
        self.list.setToolTip("Samples that the next training learns from, one for each image. Enter looks at one.")
        self.list.setAccessibleName("Samples of the training set")
        header = self.list.header()
        if header is not None:
            header.setStretchLastSection(True)
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.list.currentItemChanged.connect(self._on_current)
        self.list.itemActivated.connect(self._on_look)
        self.look = push_button("Look at", "Open the image of this sample and its labels as layers.", self._on_look)
        self.leave = push_button(LEAVE_OUT, "Keep this sample, but learn from it no longer.", self._on_leave)
        self.remove = push_button("Remove...", "Delete this sample for good; you are asked first.", self._on_remove)
        row = QHBoxLayout()
        for button in (self.look, self.leave, self.remove):
            row.addWidget(button)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.words)
        rows.addWidget(self.list)
        rows.addLayout(row)
        session.model_changed.connect(self._on_model)
        session.jobs.changed.connect(self._on_current)
        self.refresh()

    def refresh(self) -> None:
        """List the samples anew; the selected one stays selected."""
        before = self._key()
        self._read()
        self.list.clear()
        for key, entry in self._entries.items():
            item = _item(entry)
            item.setData(0, Qt.ItemDataRole.UserRole, key)
            self.list.addTopLevelItem(item)
            if key == before:
                self.list.setCurrentItem(item)
        self.words.say(self._summary())
        self._on_current()

    def _read(self) -> None:
        self._entries, self._sets = {}, []
        if self._session.model is None:
            return
        try:
            chain = lineage.trace(self._session.model_folder())
        except UserError:
            return  # told where the model is used
        self._sets = lineage.sets_of(chain)
        found = training_set.newest(lineage.entries_of(chain))
        self._entries = {one.key: one for one in sorted(found, key=lambda one: one.record.name)}

    @property
    def said(self) -> str:
        """Say in a line what the next training learns from besides the open labels; empty where there is nothing."""
        return f"From before: {self._counted()}." if self._entries else ""

    def _counted(self) -> str:
        used = [one for one in self._entries.values() if not one.record.left_out and not one.problem]
        n_cells = sum(max(0, one.record.cells) for one in used)
        return f"{len(used)} image{'s' * (len(used) != 1)} with {n_cells} cells"

    def _summary(self) -> str:
        if not self._entries:
            return NONE
        n_out = sum(one.record.left_out for one in self._entries.values())
        text = f"{self._counted()}, {n_out} left out." if n_out else f"{self._counted()}."
        problems = [f"'{one.record.name}': {one.problem}" for one in self._entries.values() if one.problem]
        return "\n".join([text, *(f"\u2022 {problem} The others are used." for problem in problems)])

    def _key(self) -> str:
        item = self.list.currentItem()
        return "" if item is None else str(item.data(0, Qt.ItemDataRole.UserRole))

    def _on_current(self, *_: object) -> None:
        entry, is_free = self._entries.get(self._key()), not self._session.jobs.is_busy
        self.look.setEnabled(entry is not None and not entry.problem)
        self.leave.setEnabled(entry is not None and is_free)
        self.remove.setEnabled(entry is not None and is_free)
        self.leave.setText(USE_AGAIN if entry is not None and entry.record.left_out else LEAVE_OUT)

    def _on_model(self, name: str) -> None:
        self.refresh()

    def _on_leave(self) -> None:
        entry = self._entries.get(self._key())
        if entry is not None:
            with messages.told():
                training_set.leave_out(self._sets, entry.key, not entry.record.left_out)
            self.refresh()

    def _on_remove(self) -> None:
        entry = self._entries.get(self._key())
        if entry is None or not self._asked(f"Delete the sample '{entry.record.name}' for good, in all versions?"):
            return
        with messages.told():
            training_set.remove(self._sets, entry.key)
        self.refresh()

    def _asked(self, question: str) -> bool:
        answer = QMessageBox.question(self, "Training set", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _on_look(self, *_: object) -> None:
        entry = self._entries.get(self._key())
        if entry is None or entry.problem:
            return
        with messages.told():
            job: Job[Sample] = Job(f"Open the sample '{entry.record.name}'", TOPIC, exclusive=False)
            self._session.jobs.start(training_set.load_entry, entry, job, on_done=self._show)

    def _show(self, sample: Sample) -> None:
        """Show a sample on layers of its own: it is looked at, not worked on."""
        viewer = self._workspace.viewer
        metadata = {layers.KEY: {"preview": True}}
        data, options, _ = image_layer(sample.image)
        viewer.add_image(data, **{**options, "name": f"{sample.name} (sample)", "metadata": metadata})
        made = viewer.add_labels(
            sample.labels.astype("int32"),
            name=f"{sample.name} (sample labels)",
            metadata=metadata,
            **layers.layer_options(sample.image, ""),
        )
        made.editable = False


def _item(entry: Entry) -> QTreeWidgetItem:
    record = entry.record
    name = f"{record.name} (left out)" if record.left_out else record.name
    cells = str(record.cells) if record.cells >= 0 else "?"
    source = PurePath(record.source).name or "napari"
    item = QTreeWidgetItem([f"{name} (damaged)" if entry.problem else name, cells, date_words(record.date), source])
    where = f"Its labels are in {entry.folder}."
    tip = "\n".join(line for line in (entry.problem, record.source and f"Image: {record.source}", where) if line)
    for column in range(len(COLUMNS)):
        item.setToolTip(column, tip)
    return item
