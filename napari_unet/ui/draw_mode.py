"""Outline one object after the other, from one press of a key to the next; each outline is used at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_unet.ui.magic import Drawn, MagicPen

GAP = 0.25
"""Of the length of a stroke: ends that are nearer to each other than that close it."""


class DrawMode:
    """Draw with one press and release for each object, until the key comes again or another tool of napari is taken.

    With Shift, an outline is one more of the object that was outlined last.

    Parameters
    ----------
    viewer : napari Viewer
        What is drawn in.
    pen : MagicPen
        What draws.
    take, use : callable
        Take the pen up, and give the labels or None; use a tool, by its name, on what is drawn, (N, axes of the labels
        layer) float, voxels, with more parameters.
    """

    def __init__(
        self,
        viewer: Viewer,
        pen: MagicPen,
        take: Callable[[], Labels | None],
        use: Callable[[str, NDArray[np.float64], dict[str, Any]], None],
    ) -> None:
        self._viewer, self._pen, self._take, self._use = viewer, pen, take, use
        self._labels: Labels | None = None
        self._rests = False
        self.on_change: Callable[[bool], None] = lambda is_on: None
        """Gets whether outlines are drawn now."""
        pen.on_stroke = self._on_stroke

    @property
    def is_on(self) -> bool:
        """Tell whether outlines are drawn now."""
        return self._labels is not None

    def toggle(self) -> None:
        """Begin, or end."""
        if self.is_on:
            self.stop()
        else:
            self._start()

    def stop(self) -> None:
        """End."""
        self._end()
        self._pen.clear()
        self.on_change(False)

    def rest(self, is_on: bool) -> None:
        """Make room for another pen, and go on when it has done."""
        if is_on:
            self._rests = self.is_on
            self._end()
            self._pen.clear()
        elif self._rests:
            self._rests = False
            self._start()

    def _start(self) -> None:
        self._labels = self._take()
        if self._labels is not None:
            self._labels.events.mode.connect(self._on_other)
            self._viewer.layers.selection.events.active.connect(self._on_other)
        self.on_change(self.is_on)

    def _end(self) -> None:
        if self._labels is not None:
            self._labels.events.mode.disconnect(self._on_other)
            self._viewer.layers.selection.events.active.disconnect(self._on_other)
            self._labels = None
            self._pen.stop()

    def _on_other(self, event: Any) -> None:
        """End where the brush, or another layer, is taken."""
        labels = self._labels
        if labels is not None and (
            str(labels.mode) != "pan_zoom" or self._viewer.layers.selection.active is not labels
        ):
            mode = str(labels.mode)
            self.stop()
            labels.mode = mode

    def _on_stroke(self, stroke: Drawn) -> None:
        points = np.array(stroke.points)
        self._pen.wipe()
        if len(points) > 1:
            if is_closed(stroke.pixels):
                self._use("draw", points, {} if stroke.is_plus else {"goes_on": True})
            else:
                self._use("split", points, {})


def is_closed(pixels: list[tuple[float, float]]) -> bool:
    """Tell whether a stroke is an outline: it ends near its beginning, for its length."""
    points = np.array(pixels)
    steps = np.diff(points, axis=0)
    length = float(np.hypot(steps[:, 0], steps[:, 1]).sum())
    return float(np.hypot(*(points[-1] - points[0]))) <= GAP * length
