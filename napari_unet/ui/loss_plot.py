"""The live plot of a training: loss above, validation score below, in the colours of napari's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pyqtgraph as pg
from napari.utils.theme import get_theme

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


class Row(Protocol):
    """A point of a training's history."""

    @property
    def step(self) -> int:
        """Give the step, from 1."""

    @property
    def loss(self) -> float:
        """Give the training loss."""

    @property
    def score(self) -> float | None:
        """Give the validation score, 0 to 1; None where it was not measured."""


HEIGHT = 190  # px; two plots that can still be read in a 400 px dock


class LossPlot(pg.GraphicsLayoutWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """Plot loss and score while a training runs.

    Parameters
    ----------
    theme : str
        The id of a napari theme.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setFixedHeight(HEIGHT)
        self.setToolTip("Loss on what it learns from (should fall) and score on what is held out (should rise).")
        self.setAccessibleName("Live plot of the training")
        self._rows: list[Row] = []
        self._axes: list[pg.AxisItem] = []
        self._loss_line, self._score_line = pg.PlotDataItem(), pg.PlotDataItem(symbol="o", symbolSize=6)
        loss, score = self._add_plot(0, "loss", self._loss_line), self._add_plot(2, "score", self._score_line)
        score.setXLink(loss)
        score.setYRange(0, 1)
        self._axes[-1].setLabel("step")
        self.set_theme(theme)

    def _add_plot(self, row: int, name: str, line: pg.PlotDataItem) -> pg.ViewBox:
        """Add one plot of a box and two axes: a PlotItem would bring menus, which are windows without an owner."""
        box = self.addViewBox(row=row, col=1, enableMenu=False, enableMouse=False)
        left, bottom = pg.AxisItem("left"), pg.AxisItem("bottom")
        left.setLabel(name)
        left.setWidth(52)
        left.enableAutoSIPrefix(False)  # "loss (x0.001)" is read by nobody
        for axis, place in ((left, (row, 0)), (bottom, (row + 1, 1))):
            axis.linkToView(box)
            self.addItem(axis, *place)
            self._axes.append(axis)
        box.addItem(line)
        return box

    def set_theme(self, theme: str) -> None:
        """Take the colours of a napari theme."""
        colours = get_theme(theme)
        text = colours.text.as_hex()  # for both lines: the theme's accent is too pale in the light theme
        self.setBackground(colours.background.as_hex())
        for axis in self._axes:
            axis.setPen(text)
            axis.setTextPen(text)
        self._loss_line.setPen(pg.mkPen(text, width=2))
        self._score_line.setPen(pg.mkPen(text, width=2))
        self._score_line.setSymbolPen(text)
        self._score_line.setSymbolBrush(text)

    def clear_rows(self) -> None:
        """Start a new training with empty plots."""
        self._rows.clear()
        self._draw()

    def add_row(self, row: Row) -> None:
        """Add one point."""
        self._rows.append(row)
        self._draw()

    @property
    def n_rows(self) -> int:
        """Give the number of points."""
        return len(self._rows)

    def _draw(self) -> None:
        self._loss_line.setData([r.step for r in self._rows], [r.loss for r in self._rows])
        scored = [(r.step, r.score) for r in self._rows if r.score is not None]
        self._score_line.setData([s for s, _ in scored], [v for _, v in scored])
