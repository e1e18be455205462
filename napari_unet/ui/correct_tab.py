"""The Correct tab: the objects in a table, and tools beside napari's own brush."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.core.edits import EDITS
from napari_unet.ui import messages, shortcuts, view
from napari_unet.ui.corrector import Corrector
from napari_unet.ui.draw_mode import DrawMode
from napari_unet.ui.forms import push_button
from napari_unet.ui.magic import MagicKey
from napari_unet.ui.review import Review
from napari_unet.ui.review_region import Suggesting
from napari_unet.ui.tool_box import ROWS, ToolBox, in_rows
from napari_unet.ui.workspace import labels_layers

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Labels, Layer
    from numpy.typing import NDArray
    from qtpy.QtGui import QShowEvent

    from napari_unet.app.session import Session
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

HOW = "Paint with napari's own brush; the tools change the selected objects. Each step is one Ctrl+Z."


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
        self.review = Review(results, session)
        counting = self.review.counting
        self.corrector = Corrector(workspace, results, session, counting)
        pen = self.corrector.pen
        self.magic = MagicKey(pen, partial(self._told, self.corrector.take_pen), partial(self._use, "magic"))
        self.drawing = DrawMode(
            workspace.viewer,
            self.corrector.outline_pen,
            self._take_outline_pen,
            self._use_by_hand,
        )
        self._is_picking_silently = False
        self._ends: list[Callable[[], None]] = []
        self.counts, self.table = self.review.counts, self.review.table
        self.table.picked.connect(self._on_picked)
        self.suggesting = Suggesting(workspace.viewer, results, session, counting, self.corrector.drawings)
        self.tools = ToolBox()
        self.tools.used.connect(self.use)
        self.calls: dict[str, Callable[[], None]] = {
            "previous": self._on_previous,
            "next": self._on_next,
            "accept": self._on_accept,
            "unsure": self._on_unsure,
            "pick": self._on_pick,
            "cut": partial(self._told, self.corrector.draw_cut),
            "outline": partial(self._told, self.corrector.draw_outline),
            "seeds": partial(self._told, self.corrector.place_seeds),
            "suggest": partial(self._told, self.suggesting.suggest),
            "region": partial(self._told, self.corrector.draw_region),
            "done": partial(self._told, self.corrector.finish_regions),
            "background": partial(self._told, self.corrector.mark_background),
            "undo": self._on_undo,
            "redo": self._on_redo,
            "own": self._on_own,
        }
        self.buttons: dict[str, QPushButton] = dict(self.tools.buttons)
        self._lay_out()
        shortcuts.bind_in(self, self._keyed(at_pointer=False))
        self.corrector.drawings.on_start = self._on_drawing
        results.changed.connect(self._on_changed)
        results.opened.connect(self._on_opened)
        session.history.changed.connect(self._on_history)
        session.jobs.changed.connect(self._on_history)
        self.refresh()

    def _lay_out(self) -> None:
        review, drawing, regions, steps = (self._row(row) for row in ROWS)
        how = QLabel(HOW)
        how.setWordWrap(True)
        how.setToolTip("napari's brush, eraser, fill and polygon are in the layer controls on the left.")
        self.buttons["pick"].setCheckable(True)
        self.buttons["magic"].setCheckable(True)  # it is down while strokes are drawn
        self.magic.on_change = self._on_magic
        self.buttons["draw"].setCheckable(True)  # it is down while outlines are drawn
        self.drawing.on_change = self.buttons["draw"].setChecked
        layout = QVBoxLayout(self)
        layout.addWidget(self.review, 1)
        layout.addLayout(review)
        layout.addWidget(how)
        layout.addLayout(drawing)
        layout.addWidget(self.tools)
        layout.addLayout(regions)
        layout.addLayout(steps)

    def _row(self, row: tuple[tuple[str, str, str], ...]) -> QGridLayout:
        made = []
        for name, text, tip in row:
            tip = shortcuts.with_key(tip, name) if name in shortcuts.KEYS else tip
            made.append(push_button(text, tip, self.calls[name]))
            self.buttons[name] = made[-1]
        return in_rows(made, len(row))

    # ------------------------------------------------------------ showing

    def showEvent(self, event: QShowEvent | None) -> None:
        """Catch up with what changed while another tab was shown."""
        super().showEvent(event)
        self._catch_up()

    def _on_changed(self) -> None:
        if self.isVisible():
            self._catch_up()

    def _catch_up(self) -> None:
        self._on_history()
        self._show_scope()
        self.review.catch_up()

    def refresh(self) -> None:
        """Look at the current result at once, and show it."""
        self._on_history()
        self._show_scope()
        self.review.refresh()

    def _on_history(self) -> None:
        history = self._session.history
        for name, can, what in (
            ("undo", history.can_undo or self.corrector.whole.is_busy, history.undo_name),
            ("redo", history.can_redo, history.redo_name),
        ):
            self.buttons[name].setEnabled(can)
            self.buttons[name].setToolTip(shortcuts.with_key(f"{name.title()}: {what}" if what else name.title(), name))

    def _show_scope(self) -> None:
        link = self._results.current
        self.tools.show_scope(link is not None and link.image.dims == 3)

    def close_links(self) -> None:
        """Leave the labels layers alone: the dock is closed, they stay."""
        self.review.colours.end()
        self.corrector.pen.stop()
        self.drawing.stop()
        self.corrector.drawings.end()
        while self._ends:
            self._ends.pop()()

    # ------------------------------------------------------------ slots

    def _on_opened(self, link: Link) -> None:
        self._ends.append(view.on_click(link.labels, self._on_clicked))
        self._bind(link.labels, at_pointer=True)

    def _on_drawing(self, layer: Layer) -> None:
        self._bind(layer, at_pointer=False)

    def _bind(self, layer: Layer, *, at_pointer: bool) -> None:
        shortcuts.bind(layer, self._keyed(at_pointer=at_pointer))
        shortcuts.bind_held(layer, "magic", self.magic.press, self.magic.let_go)

    def _keyed(self, *, at_pointer: bool) -> dict[str, Callable[[], object]]:
        tools = {name: partial(self.use, name, at_pointer=at_pointer) for name in EDITS if name in shortcuts.KEYS}
        keyed = {name: call for name, call in self.calls.items() if name in shortcuts.KEYS}
        return {**tools, **keyed, "pick": self.buttons["pick"].click}

    def use(self, name: str, *, at_pointer: bool = False) -> None:
        """Use a correction tool on the selected objects; what is missing is told.

        Parameters
        ----------
        name : str
            A key of `EDITS`.
        at_pointer : bool
            Without a selection, take the object under the mouse pointer.
        """
        if name == "magic":
            self.magic.toggle()
        elif name == "draw" and (self.drawing.is_on or not self.corrector.drawings.has_any()):
            self.drawing.toggle()
        else:
            self._use(name, at_pointer=at_pointer)

    def _use(self, name: str, *, at_pointer: bool = False) -> None:
        with messages.told():
            self.corrector.use(
                name,
                self.table.selected(),
                self.tools.parameters(name),
                in_slice=self.tools.is_in_slice,
                at_pointer=at_pointer,
            )

    def _take_outline_pen(self) -> Labels | None:
        with messages.told():
            return self.corrector.take_outline_pen()
        return None

    def _use_by_hand(self, name: str, drawn: NDArray[np.float64], more: dict[str, Any]) -> None:
        """Use a tool on what is drawn by hand."""
        with messages.told():
            parameters = {**self.tools.parameters(name), **more}
            self.corrector.use(name, [], parameters, in_slice=self.tools.is_in_slice, drawn=drawn)

    def _on_magic(self, is_on: bool) -> None:
        self.buttons["magic"].setChecked(is_on)
        self.drawing.rest(is_on)

    @staticmethod
    def _told(call: Callable[[], object]) -> None:
        with messages.told():
            call()

    def _on_clicked(self, label: int) -> None:
        if self.buttons["pick"].isChecked() and label > 0 and not (self.corrector.pen.is_on or self.drawing.is_on):
            self._is_picking_silently = True  # the picture must not jump while the user clicks in it
            try:
                self.table.toggle(label)
            finally:
                self._is_picking_silently = False

    def _on_picked(self) -> None:
        chosen = self.table.selected()
        if len(chosen) == 1 and not self._is_picking_silently:
            with messages.told():
                if self.review.shows_stored and self.review.stored is not None:
                    self.review.stored.go_to(chosen[0])
                else:
                    self.corrector.go_to(chosen[0])

    def _on_next(self) -> None:
        self.table.step(+1)

    def _on_previous(self) -> None:
        self.table.step(-1)

    def _on_accept(self) -> None:
        with messages.told():
            self.corrector.accept(self.table.selected())
            following = self.review.after()
            self.review.catch_up()
            if following is not None:
                self.table.select([following])

    def _on_unsure(self) -> None:
        with messages.told():
            self.corrector.doubt(self.table.selected())

    def _on_pick(self) -> None:
        link = self._results.current
        if link is not None and self.buttons["pick"].isChecked():
            self._workspace.viewer.layers.selection.active = link.labels
            link.labels.mode = "pan_zoom"

    def _on_undo(self) -> None:
        if not self.corrector.whole.give_up():  # what is not written yet is the last step
            self._session.history.undo()

    def _on_redo(self) -> None:
        self._session.history.redo()

    def _on_own(self) -> None:
        with messages.told():
            active = self._workspace.viewer.layers.selection.active
            known = self._results.current
            if active in labels_layers(self._workspace.viewer) and (known is None or active is not known.labels):
                link = self._results.adopt(active)
                self._workspace.viewer.layers.selection.active = link.labels
                messages.show_info(
                    f"'{link.labels.name}' is reviewed now.",
                    "Accept what is right: only what you accept or change teaches.",
                )
            else:
                link = self._results.new_labels()
                link.labels.mode = "paint"
