"""The Correct tab: the objects in a table, and tools beside napari's own brush."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.core.base.errors import UserError
from napari_unet.ui import layers, messages, shortcuts, view
from napari_unet.ui.corrector import Corrector
from napari_unet.ui.object_table import ObjectTable, rows_of
from napari_unet.ui.workspace import labels_layers

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_unet.app.session import Session
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

TOOLS = (
    ("previous", "Previous", "Go to the object before in the table."),
    ("next", "Next", "Go to the next object in the table."),
    ("accept", "Accept", "These objects are right: they teach, and no prediction changes them. Goes on to the next."),
    ("merge", "Merge", "Make one object of the selected ones."),
    ("split", "Split", "Split the selected object by its shape, or along the line drawn last."),
    ("delete", "Delete", "Delete the selected objects: what is there is background."),
    ("pick", "Pick", "While it is down, clicks on objects select them, one by one (in pan/zoom mode)."),
    ("cut", "Draw cut", "Draw a line through an object, then press Split."),
    ("unsure", "Unsure", "The selected objects shall not teach; once more takes it back."),
    ("region", "Draw region", "Draw rectangles for the two buttons beside; without any, the view counts."),
    ("done", "All done here", "In the rectangles, or in the view, every object is right and the rest is background."),
    ("background", "Background", "In the rectangles, or in the view, what carries no label is background."),
    ("undo", "Undo", "Take the last step back."),
    ("redo", "Redo", "Do it once more."),
    ("own", "Own labels", "Correct the selected labels layer, or an empty new one; what is drawn there teaches."),
)
"""Name, text and tooltip of each button, three in a row."""

HOW = "Paint with napari's own brush; these tools help. Each is one Ctrl+Z."
NOTHING = "No labels yet. Segment the image first, or draw on your own labels."


class CorrectTab(QWidget):
    """Correct the current result.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    """

    def __init__(self, workspace: Workspace, results: Results, session: Session) -> None:
        super().__init__()
        self._workspace, self._results, self._session = workspace, results, session
        self.corrector = Corrector(workspace, results, session)
        self._is_picking_silently = False
        self._ends: list[Callable[[], None]] = []
        self.counts = QLabel(NOTHING)
        self.counts.setWordWrap(True)
        self.counts.setToolTip(
            "The labels of the current image; predicted objects teach nothing until you accept them."
        )
        self.table = ObjectTable()
        self.table.picked.connect(self._on_picked)
        self.calls: dict[str, Callable[[], None]] = {
            "previous": self._on_previous,
            "next": self._on_next,
            "accept": self._on_accept,
            "merge": self._on_merge,
            "split": self._on_split,
            "delete": self._on_delete,
            "pick": self._on_pick,
            "cut": self._on_draw_cut,
            "unsure": self._on_unsure,
            "region": self._on_draw_region,
            "done": self._on_done,
            "background": self._on_background,
            "undo": self._on_undo,
            "redo": self._on_redo,
            "own": self._on_own,
        }
        self.buttons: dict[str, QPushButton] = {}
        layout = QVBoxLayout(self)
        layout.addWidget(self.counts)
        layout.addWidget(self.table, 1)
        layout.addLayout(self._tools())
        how = QLabel(HOW)
        how.setWordWrap(True)
        how.setToolTip("napari's brush, eraser, fill and polygon are in the layer controls on the left.")
        layout.addWidget(how)
        shortcuts.bind_in(self, self._keyed())
        results.changed.connect(self._on_changed)
        results.opened.connect(self._on_opened)
        session.history.changed.connect(self._on_history)
        self.refresh()

    def _tools(self) -> QGridLayout:
        grid = QGridLayout()
        for place, (name, text, tip) in enumerate(TOOLS):
            button = QPushButton(text)
            button.setToolTip(shortcuts.with_key(tip, name) if name in shortcuts.KEYS else tip)
            button.clicked.connect(self.calls[name])
            self.buttons[name] = button
            grid.addWidget(button, place // 3, place % 3)
        self.buttons["pick"].setCheckable(True)
        return grid

    # ------------------------------------------------------------ showing

    def showEvent(self, event: QShowEvent | None) -> None:
        """Catch up with what changed while another tab was shown."""
        super().showEvent(event)
        self.refresh()

    def _on_changed(self) -> None:
        if self.isVisible():
            started = time.perf_counter()
            self.refresh()
            self._results.pause_for(time.perf_counter() - started)

    def refresh(self) -> None:
        """Show the current result anew."""
        self._on_history()
        self._show_objects()

    def _on_history(self) -> None:
        history = self._session.history
        for name, can, what in (
            ("undo", history.can_undo, history.undo_name),
            ("redo", history.can_redo, history.redo_name),
        ):
            self.buttons[name].setEnabled(can)
            self.buttons[name].setToolTip(shortcuts.with_key(f"{name.title()}: {what}" if what else name.title(), name))

    def _show_objects(self) -> None:
        link = self._results.current
        if link is None:
            self.table.show_rows([])
            self.counts.setText(NOTHING)
            return
        labels = layers.labels_array(link.labels)
        try:
            states = self._session.states(link.key, labels)
        except UserError as error:
            self.counts.setText(str(error))
            return
        rows = rows_of(labels, states, self._session.confidences(link.key), dict(enumerate(link.classes, start=1)))
        self.table.show_rows(rows)
        self.counts.setText(self._describe(link, Counter(row.state for row in rows)))

    def _describe(self, link: Link, found: Counter[str]) -> str:
        parts = [f"{n} {state}" for state, n in sorted(found.items())]
        n_done = len(self._session.result(link.key).corrections.done)
        regions = f"; {n_done} region{'s' * (n_done != 1)} done" if n_done else ""
        total = sum(found.values())
        return f"{link.labels.name}: {total} object{'s' * (total != 1)} ({', '.join(parts) or 'none'}){regions}"

    def close_links(self) -> None:
        """Leave the labels layers alone: the dock is closed, they stay."""
        while self._ends:
            self._ends.pop()()

    # ------------------------------------------------------------ slots

    def _on_opened(self, link: Link) -> None:
        self._ends.append(view.on_click(link.labels, self._on_clicked))
        shortcuts.bind(link.labels, self._keyed())

    def _keyed(self) -> dict[str, Callable[[], object]]:
        keyed = {name: call for name, call in self.calls.items() if name in shortcuts.KEYS}
        return {**keyed, "pick": self.buttons["pick"].click}

    def _on_clicked(self, label: int) -> None:
        if self.buttons["pick"].isChecked() and label > 0:
            self._is_picking_silently = True  # the picture must not jump while the user clicks in it
            try:
                self.table.toggle(label)
            finally:
                self._is_picking_silently = False

    def _on_picked(self) -> None:
        chosen = self.table.selected()
        if len(chosen) == 1 and not self._is_picking_silently:
            with messages.told():
                self.corrector.go_to(chosen[0])

    def _on_next(self) -> None:
        self.table.step(+1)

    def _on_previous(self) -> None:
        self.table.step(-1)

    def _on_accept(self) -> None:
        with messages.told():
            self.corrector.accept(self.table.selected())
            self.refresh()
            self.table.step(+1, only="predicted")

    def _on_unsure(self) -> None:
        with messages.told():
            self.corrector.doubt(self.table.selected())

    def _on_merge(self) -> None:
        with messages.told():
            self.corrector.merge(self.table.selected())

    def _on_split(self) -> None:
        with messages.told():
            self.corrector.split(self.table.selected())

    def _on_delete(self) -> None:
        with messages.told():
            self.corrector.delete(self.table.selected())

    def _on_pick(self) -> None:
        link = self._results.current
        if link is not None and self.buttons["pick"].isChecked():
            self._workspace.viewer.layers.selection.active = link.labels
            link.labels.mode = "pan_zoom"

    def _on_draw_cut(self) -> None:
        with messages.told():
            self.corrector.draw_cut()

    def _on_draw_region(self) -> None:
        with messages.told():
            self.corrector.draw_region()

    def _on_done(self) -> None:
        with messages.told():
            self.corrector.finish_regions()

    def _on_background(self) -> None:
        with messages.told():
            self.corrector.mark_background()

    def _on_undo(self) -> None:
        self._session.history.undo()

    def _on_redo(self) -> None:
        self._session.history.redo()

    def _on_own(self) -> None:
        with messages.told():
            active = self._workspace.viewer.layers.selection.active
            known = self._results.current
            if active in labels_layers(self._workspace.viewer) and (known is None or active is not known.labels):
                self._results.adopt(active)
            else:
                link = self._results.new_labels()
                link.labels.mode = "paint"
