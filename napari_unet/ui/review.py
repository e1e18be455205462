"""Review a result: its objects in a table, how many of them a person has judged, and their states as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_unet.app.object_rows import no_rows, rows_of
from napari_unet.core.base.errors import UserError
from napari_unet.ui import messages
from napari_unet.ui.counting import Counting
from napari_unet.ui.forms import guard_wheel, shrink
from napari_unet.ui.object_table import ObjectTable
from napari_unet.ui.review_colours import COLOURS, StateColours

if TYPE_CHECKING:
    from napari_unet.app.object_rows import ObjectRows
    from napari_unet.app.session import Session
    from napari_unet.ui.large_results import LargeResults
    from napari_unet.ui.results import Link, Results

NOTHING = "No labels yet. Segment the image first, or use your own labels."
FILTERS = (
    ("", "all objects"),
    ("predicted", "predicted"),
    ("edited", "edited"),
    ("accepted", "accepted"),
    ("unsure", "unsure"),
)
TEACHING = "The labels of the current image; predicted objects teach nothing until you accept them."
PROGRESS = "Reviewed: accepted, edited, marked as unsure, or more than half inside a finished region."
COLOUR_TIP = "Colour the objects by their state; once more gives the labels their own colours back."


class Review(QWidget):
    """Show the objects of the current result.

    Parameters
    ----------
    results, session
        What the tabs share.
    """

    def __init__(self, results: Results, session: Session) -> None:
        super().__init__()
        self._results, self._session = results, session
        self.stored: LargeResults | None = None
        self.shows_stored = False
        self.counting = Counting(session, results)
        self.colours = StateColours()
        self.colours.on_replaced = self._on_replaced
        self.counts = QLabel(NOTHING)
        self.counts.setWordWrap(True)
        self.counts.setToolTip(TEACHING)
        self.progress = QProgressBar()
        self.progress.setToolTip(PROGRESS)
        self.progress.setAccessibleName("Reviewed objects")
        self.progress.setFormat("%v of %m reviewed")
        self.filter = QComboBox()
        self.filter.setToolTip("Which objects the table, Next and Previous go through.")
        for state, text in FILTERS:
            self.filter.addItem(text, state)
        shrink(self.filter)
        guard_wheel(self.filter)
        self.colour = QPushButton("Colours by state")
        self.colour.setCheckable(True)
        self.colour.setToolTip(COLOUR_TIP)
        self.legend = QLabel("   ".join(f'<font color="{c}">\u25a0</font>&nbsp;{s}' for s, c in COLOURS.items()))
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setToolTip("What the colours of the objects mean.")
        self.legend.hide()
        self.table = ObjectTable()
        self._lay_out()
        self.filter.currentIndexChanged.connect(self._on_filter)
        self.colour.toggled.connect(self._on_colour)
        results.closing.connect(self._on_closing)

    def _lay_out(self) -> None:
        name = QLabel("Show")
        name.setBuddy(self.filter)
        name.setToolTip(self.filter.toolTip())
        above = QHBoxLayout()
        above.addWidget(name)
        above.addWidget(self.filter, 1)
        above.addWidget(self.colour, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.counts)
        layout.addWidget(self.progress)
        layout.addLayout(above)
        layout.addWidget(self.legend)
        layout.addWidget(self.table, 1)

    # ------------------------------------------------------------ showing

    def refresh(self) -> None:
        """Count at once, and show what there is."""
        self.counting.forget()
        self.show_objects()

    def catch_up(self) -> None:
        """Show what there is; where it has to be counted, beside the window."""
        link = self._results.current
        if link is None or self.counting.is_quick(link):
            self.show_objects()
            return
        try:
            self.counting.beside(link, self.show_objects)
        except UserError as error:
            self.counts.setText(str(error))

    def show_objects(self) -> None:
        """Show what there is; what is not known is counted at once."""
        link = self._results.current
        stored = None if link is not None or self.stored is None else self.stored.objects()
        self.shows_stored = stored is not None
        if stored is not None:
            labels, objects = stored
            self._show(objects.rows, None)
            self.colour.setEnabled(False)
            self.counts.setText(objects.describe(labels.name))
            return
        if link is None:
            self._show(no_rows(), None)
            self.counts.setText(self._results.why_large() or NOTHING)
            return
        try:
            found = self.counting.at_once(link)
        except UserError as error:
            self.counts.setText(str(error))
            return
        c = self._session.result(link.key).corrections
        classes = dict(enumerate(link.classes, start=1))
        rows = rows_of(found, c, self._session.confidences(link.key), classes, link.image.voxel_size)
        self._show(rows, link)
        self.counts.setText(_describe(link, rows, len(c.done)))

    def _show(self, rows: ObjectRows, link: Link | None) -> None:
        self.table.show_rows(rows)
        self.progress.setVisible(link is not None and not link.classes)
        self.progress.setUpdatesEnabled(False)  # Qt would paint the whole window at once for it
        self.progress.setMaximum(max(1, len(rows)))
        self.progress.setValue(rows.n_reviewed)
        self.progress.setUpdatesEnabled(True)
        self.progress.setFormat("%v of %m reviewed" if len(rows) else "no objects yet")
        self.colour.setEnabled(link is None or not link.classes)
        if not self.colour.isChecked():
            return
        if link is None or link.classes:
            self.colours.end()
            return
        with messages.told():
            try:
                self.colours.show(link.labels, rows)
            except UserError:
                self.colour.setChecked(False)
                raise

    # ------------------------------------------------------------ going through them

    def after(self) -> int | None:
        """Find the object to go on to from the selected ones: one that nobody has judged, if those are shown."""
        return self.table.neighbour(+1, unreviewed=self.table.objects.state in ("", "predicted"))

    # ------------------------------------------------------------ slots

    def _on_filter(self, *_: object) -> None:
        self.table.show_only(str(self.filter.currentData()))

    def _on_colour(self, is_on: bool) -> None:
        self.legend.setVisible(is_on)
        if is_on:
            self.show_objects()
        else:
            self.colours.end()

    def _on_replaced(self) -> None:
        self.colour.setChecked(False)

    def _on_closing(self, link: object) -> None:
        self.colours.end()  # the next layer is coloured when it is shown


def _describe(link: Link, rows: ObjectRows, n_done: int) -> str:
    parts = [f"{n} {state}" for state, n in rows.count().items() if n]
    regions = f"; {n_done} region{'s' * (n_done != 1)} done" if n_done else ""
    total = len(rows)
    return f"{link.labels.name}: {total} object{'s' * (total != 1)} ({', '.join(parts) or 'none'}){regions}"
