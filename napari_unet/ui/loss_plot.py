"""The live plot of a training: loss above, validation score below, in the colours of napari's theme."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan
from typing import Protocol

import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget


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


HEIGHT = 105  # px of one plot: both can still be read in a 400 px dock
SETTLE_MS = 20  # until the scene has told its view all that is new
MARKED = 60
"""So many points are marked; more make a line anyway, and take long to draw."""


class LossPlot(QWidget):
    """Plot the loss while a training runs, and the validation score as soon as there is one.

    Parameters
    ----------
    theme : str
        The id of a napari theme.
    """

    def __init__(self, theme: str) -> None:
        super().__init__()
        self._rows: list[Row] = []
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)  # all points that came with one update are drawn at once
        self._later.timeout.connect(self._draw)
        self._loss = _Curve("loss", "Loss on what it learns from; it should fall. A new line begins with each run.")
        self._score = _Curve("score", "Score on what is held out, 0 to 1; it should rise.")
        self._score.follow(self._loss)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for curve in (self._loss, self._score):
            layout.addWidget(curve)
        self.set_theme(theme)
        self.clear_rows()

    def set_theme(self, theme: str) -> None:
        """Take the colours of a napari theme."""
        colours = get_theme(theme)
        for curve in (self._loss, self._score):
            curve.set_colours(colours.text.as_hex(), colours.background.as_hex())

    def clear_rows(self) -> None:
        """Start a new training with empty plots."""
        self._rows.clear()
        self._draw()

    def add_row(self, row: Row) -> None:
        """Add one point."""
        self._rows.append(row)
        if not self._later.isActive():
            self._later.start()

    @property
    def n_rows(self) -> int:
        """Give the number of points."""
        return len(self._rows)

    def _draw(self) -> None:
        self._loss.show_ends([r.loss for r in self._rows if isfinite(r.loss)])
        self._loss.show_points([(r.step, r.loss) for r in self._rows])
        scored = [(r.step, r.score) for r in self._rows if r.score is not None]
        self._score.show_points(scored)
        self._score.setVisible(bool(scored))


class _Curve(pg.GraphicsLayoutWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """One plot, made of a box and two axes: a PlotItem would bring menus, which are windows without an owner."""

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self.setFixedHeight(HEIGHT)
        self.setToolTip(tip)
        self.setAccessibleName(f"Plot of the {name}")
        self._box = box = self.addViewBox(row=0, col=1, enableMenu=False, enableMouse=False)
        self._axes = pg.AxisItem("left"), pg.AxisItem("bottom")
        for axis, place, label in zip(self._axes, ((0, 0), (1, 1)), (name, "step"), strict=True):
            axis.setLabel(label)
            axis.enableAutoSIPrefix(False)  # "loss (x0.001)" is read by nobody
            axis.linkToView(box)
            self.addItem(axis, *place)
        self._axes[0].setWidth(52)
        self._show = QTimer(self)
        self._show.setSingleShot(True)
        self._show.setInterval(SETTLE_MS)
        self._show.timeout.connect(lambda: self.setUpdatesEnabled(True))
        self._line = pg.PlotDataItem(connect="finite", symbol="o", symbolSize=4)
        box.addItem(self._line)

    def set_colours(self, text: str, background: str) -> None:
        # One colour for axes and line: the theme's accent is too pale in the light theme.
        self.setBackground(background)
        for axis in self._axes:
            axis.setPen(text)
            axis.setTextPen(text)
        self._line.setPen(pg.mkPen(text, width=2))
        self._line.setSymbolPen(text)
        self._line.setSymbolBrush(text)

    def follow(self, other: _Curve) -> None:
        """Show the same steps as another plot, and values from 0 to 1."""
        self._box.setXLink(other._box)
        self._box.setYRange(0, 1)
        self._axes[0].setTicks([[(0, "0"), (0.5, "0.5"), (1, "1")]])

    def show_ends(self, values: Sequence[float]) -> None:
        """Name the lowest and the highest value: so low a plot has no room for the numbers that pyqtgraph chooses."""
        self._axes[0].setTicks([[(one, f"{one:.3g}") for one in {min(values), max(values)}]] if values else None)

    def show_points(self, points: Sequence[tuple[float, float]]) -> None:
        broken = with_breaks(points)
        self._line.setSymbol("o" if len(broken) <= MARKED else None)
        # A change of any widget makes Qt put the whole window together anew, canvas and all. Left alone, pyqtgraph
        # paints four times, for it finds the new range while it paints: it looks for it first, and shows all at once.
        self.setUpdatesEnabled(False)
        self._line.setData([x for x, _ in broken], [y for _, y in broken])
        self.scene().prepareForPaint()
        self._show.start()


def with_breaks(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Break the line where the steps start again: a fine-tuning is several runs, one after another."""
    broken: list[tuple[float, float]] = []
    for point in points:
        if broken and point[0] <= broken[-1][0]:
            broken.append((nan, nan))
        broken.append(point)
    return broken
