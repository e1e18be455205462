"""The table of objects: number, size, confidence where the model gives one, class where there are some, state."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_unet.app.object_rows import CLASS, CONFIDENCE, LABEL, SIZE, STATE, no_rows
from napari_unet.ui.qt import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_unet.app.object_rows import ObjectRow, ObjectRows

COLUMNS = {LABEL: "Object", SIZE: "Size", CONFIDENCE: "Confidence", CLASS: "Class", STATE: "State"}
TIPS = {
    LABEL: "The number that the object has in the labels.",
    SIZE: "How large it is; in µm where the voxel size of the image is known.",
    CONFIDENCE: "How certain the model was of it.",
    CLASS: "The name of the class.",
    STATE: "Predicted, or what a person said or changed.",
}
WORDS = (CLASS, STATE)  # the other columns are numbers


def count_labels(labels: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the voxels of each object that is there.

    Returns
    -------
    ids, sizes : (N,) int64
    """
    top = int(labels.max(initial=0))
    if top > 50_000_000:  # ids may be hashes; a count for each possible id would not fit
        ids, sizes = np.unique(labels[labels > 0], return_counts=True)
        return ids.astype(np.int64), sizes.astype(np.int64)
    counts = np.bincount(labels.ravel(), minlength=1)
    counts[0] = 0
    ids = np.flatnonzero(counts)
    return ids.astype(np.int64), counts[ids].astype(np.int64)


class ObjectModel(QAbstractTableModel):
    """Give the rows to a view, which asks only for those it shows; sorted and filtered."""

    def __init__(self) -> None:
        super().__init__()
        self.all_rows: ObjectRows = no_rows()
        self.state = ""
        self.sorted_by, self.is_descending = CONFIDENCE, False
        self._shown = np.zeros(0, np.intp)
        self._place: dict[int, int] = {}

    @property
    def rows(self) -> list[ObjectRow]:
        """Give the shown rows, one by one; slow where there are many."""
        return [self.all_rows[at] for at in self._shown.tolist()]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Give the numbers of the shown objects, in their order."""
        return self.all_rows.ids[self._shown]

    def set_rows(self, rows: ObjectRows) -> None:
        """Replace all rows; they are sorted and filtered as those before."""
        with self._reset():
            self.all_rows = rows

    def show_only(self, state: str) -> None:
        """Show the objects of one state; all where it is empty."""
        with self._reset():
            self.state = state

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column, as the header asks for."""
        with self._reset():
            self.sorted_by, self.is_descending = column, order == Qt.SortOrder.DescendingOrder

    @contextmanager
    def _reset(self) -> Iterator[None]:
        self.beginResetModel()
        yield
        order = self.all_rows.order(self.sorted_by, descending=self.is_descending)
        self._shown = self.all_rows.only(self.state, order)
        self._place = {label: at for at, label in enumerate(self.labels.tolist())}
        self.endResetModel()

    def row_of(self, label: int) -> int | None:
        """Find the shown row of an object."""
        return self._place.get(label)

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """Tell of each shown object whether a person has judged it."""
        return self.all_rows.reviewed[self._shown]

    def row(self, at: int) -> ObjectRow:
        """Give one shown row."""
        return self.all_rows[int(self._shown[at])]

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Give the number of shown objects."""
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Give the number of columns."""
        return len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Give one cell."""
        if not index.isValid() or role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.TextAlignmentRole):
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if index.column() in WORDS else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        row = self.row(index.row())
        sure = "" if row.confidence is None else f"{100 * row.confidence:.0f} %"
        size = f"{row.size:.0f}" if row.size >= 100 else f"{row.size:.3g}"
        return (f"{row.label}", size, sure, row.name, row.state)[index.column()]

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> object:
        """Give the title of a column, with its unit, and what it means."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{TIPS[section]} Click to sort."
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section] if section != SIZE else f"{COLUMNS[SIZE]} ({self.all_rows.unit})"
        return None


class ObjectTable(QTableView):
    """Select objects; the first selected one is the current one."""

    picked = Signal()
    """The selection changed by the user or by `select`."""

    def __init__(self) -> None:
        super().__init__()
        self.objects = ObjectModel()
        self.setModel(self.objects)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setToolTip("Objects, the least certain first (else the smallest). Click on a title to sort by it.")
        self.setAccessibleName("Objects")
        self.setMinimumHeight(150)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)  # Tab leaves the table: the dock is used by keyboard
        across, down = QHeaderView(Qt.Orientation.Horizontal), QHeaderView(Qt.Orientation.Vertical)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        across.setSectionsClickable(True)
        across.setSortIndicator(CONFIDENCE, Qt.SortOrder.AscendingOrder)
        across.setHighlightSections(False)
        down.setDefaultSectionSize(22)
        across.setResizeContentsPrecision(0)  # looks at the visible rows only
        self.setHorizontalHeader(across)
        across.setSectionResizeMode(CONFIDENCE, QHeaderView.ResizeMode.ResizeToContents)  # with its arrow
        self.setVerticalHeader(down)
        down.hide()
        self.setSortingEnabled(True)
        self._chosen = QItemSelectionModel(self.objects, self)
        self.setSelectionModel(self._chosen)
        self._chosen.selectionChanged.connect(self._on_selection)
        self._kept: list[int] = []
        self._at = 0  # where to go on once the selected objects are gone
        self._told: list[int] = []
        self.objects.modelAboutToBeReset.connect(self._on_reset)
        self.objects.modelReset.connect(self._select_again)

    def show_rows(self, rows: ObjectRows) -> None:
        """Show other rows; objects that are still there stay selected."""
        if rows.is_same(self.objects.all_rows):
            return
        self.objects.set_rows(rows)
        self.setColumnHidden(CONFIDENCE, bool(np.isnan(rows.confidences).all()))
        self.setColumnHidden(CLASS, not rows.classes)

    def show_only(self, state: str) -> None:
        """Show the objects of one state; all where it is empty."""
        self.objects.show_only(state)

    def selected(self) -> list[int]:
        """Give the selected objects, in the order of the rows."""
        labels: list[int] = self.objects.labels[self._selected_rows()].tolist()
        return labels

    def _selected_rows(self) -> list[int]:
        # By ranges: an index for each of thousands of rows takes long.
        parts: Iterable[Any] = self._chosen.selection()  # type: ignore[assignment]  # both bindings make it a list
        return sorted({row for part in parts for row in range(part.top(), part.bottom() + 1)})

    def select(self, labels: Iterable[int]) -> None:
        """Select objects, and scroll to the first."""
        rows = [r for r in map(self.objects.row_of, labels) if r is not None]
        wanted = QItemSelection()
        for first, last in _runs(sorted(rows)):
            wanted.select(self.objects.index(first, 0), self.objects.index(last, len(COLUMNS) - 1))
        flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self._chosen.select(wanted, flag)
        if rows:
            self.scrollTo(self.objects.index(rows[0], 0))

    def toggle(self, label: int) -> None:
        """Add an object to the selection, or take it out."""
        chosen = self.selected()
        self.select([i for i in chosen if i != label] if label in chosen else [*chosen, label])

    def neighbour(self, by: int, *, unreviewed: bool = False) -> int | None:
        """Find the next (+1) or previous (-1) shown object, if wanted of those nobody has judged; none of the selected.

        After the last comes the first.
        """
        n, chosen = self.objects.rowCount(), self._selected_rows()
        start = chosen[-1 if by > 0 else 0] if chosen else self._at - (by > 0)
        places = (start + by * np.arange(1, n + 1)) % max(n, 1)
        fits = ~np.isin(places, chosen)
        if unreviewed:
            fits &= ~self.objects.reviewed[places]
        return int(self.objects.labels[places[fits.argmax()]]) if fits.any() else None

    def step(self, by: int) -> int | None:
        """Select the next (+1) or previous (-1) object of those shown; gives it."""
        found = self.neighbour(by)
        if found is not None:
            self.select([found])
        return found

    def _on_selection(self, *_: object) -> None:
        chosen = self.selected()
        if chosen != self._told:  # the same objects in other rows are no news: the picture must not jump
            self._told = chosen
            self.picked.emit()

    def _on_reset(self) -> None:
        self._kept = self.selected()
        if self._kept:
            self._at = self._selected_rows()[0]

    def _select_again(self, *_: object) -> None:
        if self._kept:
            self.select(self._kept)
        self._told = self.selected()


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """Give the first and last of each run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and runs[-1][1] == row - 1:
            runs[-1] = (runs[-1][0], row)
        else:
            runs.append((row, row))
    return runs
