"""Clicks and strokes for magic correction: taken while a key is held or the button is down, and shown meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.ui import view
from napari_unet.ui.layers import channel_axis
from napari_unet.ui.magic_overlay import StrokeOverlay

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_unet.ui.frame import Frame

LEFT, RIGHT = 1, 2
SLIP_PX = 4.0  # on the screen; a hand that clicks moves as far


@dataclass
class Drawn:
    """One press, drag and release.

    Parameters
    ----------
    is_plus : bool
        This is the object; otherwise none is here. Of an outline: it was drawn without Shift or Alt.
    points : list of (axes of the labels layer,) float, voxels
        At least one.
    pixels : list of (x, y)
        The same on the canvas.
    """

    is_plus: bool
    points: list[NDArray[np.float64]] = field(default_factory=list)
    pixels: list[tuple[float, float]] = field(default_factory=list)


class MagicPen:
    """Take clicks and strokes in the picture instead of what they do otherwise.

    The left button says plus; the right one, or the left one with Shift or Alt, minus.

    Parameters
    ----------
    viewer : napari Viewer
        What is drawn in.
    outlines : bool
        It draws outlines: with the left button only, the wheel zooms meanwhile, and nothing is a minus.
    """

    def __init__(self, viewer: Viewer, *, outlines: bool = False) -> None:
        self._viewer, self._outlines = viewer, outlines
        self._buttons = (LEFT,) if outlines else (LEFT, RIGHT)
        self.on_stroke: Callable[[Drawn], None] = lambda stroke: None
        """Gets each stroke when the button is released."""
        self._labels: Labels | None = None
        self._mode = ""
        self._strokes: list[Drawn] = []
        self._overlay: StrokeOverlay | None = None

    @property
    def is_on(self) -> bool:
        """Tell whether strokes are taken."""
        return self._labels is not None

    @property
    def has_strokes(self) -> bool:
        """Tell whether anything is drawn."""
        return bool(self._strokes)

    def start(self, labels: Labels) -> None:
        """Take what is drawn from now on as strokes on a labels layer.

        Raises
        ------
        UserError
            In the three-dimensional view, where a click is a ray.
        """
        if self._viewer.dims.ndisplay != 2:
            raise UserError("Strokes need the two-dimensional view.", "Press Ctrl+Y, or the button below the layers.")
        self.stop()
        self.clear()
        self._viewer.layers.selection.active = labels
        self._labels, self._mode = labels, str(labels.mode)
        labels.mode = "pan_zoom"  # the brush rests
        labels.mouse_pan, labels.mouse_zoom = False, self._outlines
        self._viewer.mouse_drag_callbacks.append(self._on_drag)
        canvas = view.canvas_of(self._viewer)
        self._overlay = None if canvas is None else StrokeOverlay(canvas)

    def stop(self) -> None:
        """Let the mouse do what it did before; what was drawn is kept."""
        if self._labels is None:
            return
        labels, self._labels = self._labels, None
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        labels.mouse_pan = labels.mouse_zoom = True
        if labels in self._viewer.layers:
            labels.mode = self._mode

    def clear(self) -> None:
        """Take away what was drawn."""
        self.wipe()
        if self._overlay is not None:
            self._overlay.hide()
            self._overlay.deleteLater()
            self._overlay = None

    def wipe(self) -> None:
        """Take away what was drawn, and go on."""
        self._strokes.clear()
        self._show()

    def strokes(self, labels: Labels, frame: Frame, *, is_plus: bool) -> list[NDArray[np.float64]]:
        """Give the strokes of one kind, in voxels of a frame of the labels.

        Raises
        ------
        UserError
            When they lie in several slices or time points of which the frame is one.
        """
        channel, found = channel_axis(labels), []
        for stroke in self._strokes:
            points = np.array(stroke.points)
            points = points if channel is None else np.delete(points, channel, axis=1)
            fixed = [(axis, at) for axis, at in enumerate(frame.key) if at is not None]
            if any((np.rint(points[:, axis]) != at).any() for axis, at in fixed):
                raise UserError("The strokes lie in another slice or time point.", "Draw all of them in one.")
            if stroke.is_plus == is_plus:
                found.append(frame.flat(points))
        return found

    def _on_drag(self, viewer: Viewer, event: Any) -> Iterator[None]:
        labels = self._labels
        if labels is None or event.button not in self._buttons:
            return
        is_plus = event.button == LEFT and not any(key in event.modifiers for key in ("Shift", "Alt"))
        stroke, begun, is_click = Drawn(is_plus), np.array(event.pos, dtype=float), True
        self._strokes.append(stroke)
        self._take(stroke, labels, event)
        yield
        while event.type == "mouse_move":
            if is_click and np.linalg.norm(np.array(event.pos, dtype=float) - begun) <= SLIP_PX:
                yield
                continue
            is_click = False
            self._take(stroke, labels, event)
            yield
        self.on_stroke(stroke)

    def _take(self, stroke: Drawn, labels: Labels, event: Any) -> None:
        stroke.points.append(view.voxel_at(self._viewer, labels, event.position))
        stroke.pixels.append((float(event.pos[0]), float(event.pos[1])))
        self._show()

    def _show(self) -> None:
        if self._overlay is not None:
            self._overlay.show_lines([(stroke.is_plus or self._outlines, stroke.pixels) for stroke in self._strokes])


class MagicKey:
    """Draw while a key is held, or from one press of a button to the next; then use what was drawn.

    Parameters
    ----------
    pen : MagicPen
        What draws.
    take, use : callable
        Take the pen up, or tell why not; use the strokes, or tell why not.
    """

    def __init__(self, pen: MagicPen, take: Callable[[], None], use: Callable[[], None]) -> None:
        self._pen, self._take, self._use = pen, take, use
        self.on_change: Callable[[bool], None] = lambda is_on: None
        """Gets whether strokes are drawn now."""

    def press(self) -> None:
        """Begin."""
        self._take()
        self.on_change(self._pen.is_on)

    def let_go(self) -> None:
        """End, and use what was drawn: one undo step."""
        is_used = self._pen.is_on and self._pen.has_strokes
        self._pen.stop()
        self.on_change(False)
        if is_used:
            self._use()
        self._pen.clear()

    def toggle(self) -> None:
        """Begin, or end."""
        if self._pen.is_on:
            self.let_go()
        else:
            self.press()
