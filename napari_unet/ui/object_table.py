"""The table of objects: number, size, confidence where the model gives one, state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_unet.ui.qt import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

COLUMNS = ("Object", "Size (voxels)", "Confidence", "State")
SIZE, CONFIDENCE, STATE = 1, 2, 3


@dataclass(frozen=True)
class ObjectRow:
    """One object of a labels layer."""

    label: int
    size: int
    state: str
    confidence: float | None = None
    name: str = ""


def rows_of(
    sizes: Mapping[int, int],
    states: Mapping[int, str],
    confidences: Mapping[int, float] | None = None,
    names: Mapping[int, str] | None = None,
) -> list[ObjectRow]:
    """List the objects, the least certain first; by size, the smallest first, where no confidence is known.

    Parameters
    ----------
    sizes : mapping of label to int
        Voxels of each object.
    states : mapping of label to str
        predicted, edited, accepted or unsure.
    confidences : mapping of label to float, 0 to 1
        From the network's output.
    names : mapping of label to str
        Of classes.
    """
    sure, called = confidences or {}, names or {}
    rows = [ObjectRow(i, n, states.get(i, "edited"), sure.get(i), called.get(i, "")) for i, n in sorted(sizes.items())]
    return sorted(rows, key=lambda r: (1.0 if r.confidence is None else r.confidence, r.size))


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
    """Give the rows to a view, which asks only for those it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ObjectRow] = []
        self._place: dict[int, int] = {}

    def set_rows(self, rows: list[ObjectRow]) -> None:
        """Replace all rows."""
        self.beginResetModel()
        self.rows = rows
        self._place = {row.label: i for i, row in enumerate(rows)}
        self.endResetModel()

    def row_of(self, label: int) -> int | None:
        """Find the row of an object."""
        return self._place.get(label)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Give the number of objects."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Give the number of columns."""
        return len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Give one cell."""
        if not index.isValid() or role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.TextAlignmentRole):
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if index.column() == STATE else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        row = self.rows[index.row()]
        sure = "" if row.confidence is None else f"{100 * row.confidence:.0f} %"
        return (f"{row.label} {row.name}".strip(), f"{row.size}", sure, row.state)[index.column()]

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> object:
        """Give the title of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
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
        self.setToolTip("Objects, the least certain first (else the smallest). Select several for Merge.")
        self.setAccessibleName("Objects")
        self.setMinimumHeight(150)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)  # Tab leaves the table: the dock is used by keyboard
        across, down = QHeaderView(Qt.Orientation.Horizontal), QHeaderView(Qt.Orientation.Vertical)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        down.setDefaultSectionSize(22)
        self.setHorizontalHeader(across)
        self.setVerticalHeader(down)
        down.hide()
        self._chosen = QItemSelectionModel(self.objects, self)
        self.setSelectionModel(self._chosen)
        self._chosen.selectionChanged.connect(self._on_selection)

    def show_rows(self, rows: list[ObjectRow]) -> None:
        """Show other rows; objects that are still there stay selected."""
        if rows == self.objects.rows:
            return
        before = self.selected()
        self.objects.set_rows(rows)
        self.setColumnHidden(CONFIDENCE, all(r.confidence is None for r in rows))
        self.select([i for i in before if self.objects.row_of(i) is not None])

    def selected(self) -> list[int]:
        """Give the selected objects, in the order of the rows."""
        return [self.objects.rows[i.row()].label for i in sorted(self._chosen.selectedRows())]

    def select(self, labels: Iterable[int]) -> None:
        """Select objects, and scroll to the first."""
        rows = [r for r in map(self.objects.row_of, labels) if r is not None]
        wanted = QItemSelection()
        for row in rows:
            wanted.select(self.objects.index(row, 0), self.objects.index(row, len(COLUMNS) - 1))
        flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self._chosen.select(wanted, flag)
        if rows:
            self.scrollTo(self.objects.index(rows[0], 0))

    def toggle(self, label: int) -> None:
        """Add an object to the selection, or take it out."""
        chosen = self.selected()
        self.select([i for i in chosen if i != label] if label in chosen else [*chosen, label])

    def step(self, by: int, *, only: str = "") -> int | None:
        """Select the next (+1) or previous (-1) object, of one state if given; gives it.

        After the last comes the first.
        """
        rows = self.objects.rows
        if not rows:
            return None
        chosen = self.selected()
        start = self.objects.row_of(chosen[-1 if by > 0 else 0]) if chosen else None
        start = -1 if start is None and by > 0 else (len(rows) if start is None else start)
        for n in range(1, len(rows) + 1):
            row = rows[(start + by * n) % len(rows)]
            if not only or row.state == only:
                self.select([row.label])
                return row.label
        return None

    def _on_selection(self, *_: object) -> None:
        self.picked.emit()
