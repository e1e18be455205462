"""Strokes over the picture while they are drawn: on the screen only, because a layer takes far longer to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

PLUS, MINUS, HALO = "#33dd55", "#ff3355", "#000000"
WIDTH_PX, DOT_PX = 5.0, 11.0

Line = tuple[bool, Sequence[tuple[float, float]]]
"""Whether it is a plus stroke, and its points (x, y) in pixels of the canvas."""


class StrokeOverlay(QWidget):
    """Draw strokes on top of a canvas, which still gets the mouse.

    Parameters
    ----------
    canvas : QWidget
        What is covered.
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.lines: list[Line] = []
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setGeometry(canvas.rect())
        self.show()

    def show_lines(self, lines: list[Line]) -> None:
        """Draw these and no others."""
        self.lines = lines
        canvas = self.parentWidget()
        if canvas is not None:  # the window may have another size by now
            self.setGeometry(canvas.rect())
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a dot for a click, a line for a stroke; with a dark halo, to be seen on bright cells as well."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for is_plus, points in self.lines:
            line = QPolygonF([QPointF(x, y) for x, y in points])
            width = WIDTH_PX if len(points) > 1 else DOT_PX
            for colour, edge in ((HALO, 3.0), (PLUS if is_plus else MINUS, 0.0)):
                pen = QPen(QColor(colour), width + edge)
                pen.setCapStyle(Qt.PenCapStyle.RoundCap)
                pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
                painter.setPen(pen)
                if len(points) > 1:
                    painter.drawPolyline(line)
                else:
                    painter.drawPoint(line[0])
        painter.end()
