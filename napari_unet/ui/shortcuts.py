"""The keys of our tools, bound on our labels and drawing layers only; on labels none of them is one of napari's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence

from napari_unet.core.edits import EDITS
from napari_unet.ui.qt import QShortcut

if TYPE_CHECKING:
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget

KEYS = {
    "accept": "A",
    "next": "N",
    "previous": "Shift-N",
    "pick": "K",
    "cut": "T",
    "outline": "Shift-O",
    "suggest": "U",
    "done": "Shift-D",
    "background": "Shift-G",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
    **{name: tool.key for name, tool in EDITS.items() if tool.key},
}
"""By name of a button. Undo and redo replace napari's on our layers: one step of the whole dock, strokes included."""

HELD = {
    "magic": "hold it, click or draw with the left button in what shall be one object, with the right one or with "
    "Shift where none is, and let go.",
}
"""What to do with keys that are held in the picture."""


TURNED_ON = {
    "draw": "press it, outline one object after the other, or draw a line through one to cut it, and press it again.",
}
"""What to do with keys that switch a way of drawing on and off."""


def bind(layer: Layer, actions: Mapping[str, Callable[[], object]]) -> None:
    """Bind the keys on one of our layers.

    Parameters
    ----------
    layer : napari layer
        Its own key map gets the keys; other layers keep napari's.
    actions : mapping of str to callable
        By names in `KEYS`.
    """
    for name, action in actions.items():
        layer.bind_key(KEYS[name], _ignoring_layer(action), overwrite=True)


def bind_held(layer: Layer, name: str, press: Callable[[], object], release: Callable[[], object]) -> None:
    """Bind a key on one of our layers that is held while something else is done."""

    def held(layer: Layer) -> Iterator[None]:
        press()
        yield
        release()

    layer.bind_key(KEYS[name], held, overwrite=True)


def bind_in(widget: QWidget, actions: Mapping[str, Callable[[], object]]) -> None:
    """Bind the same keys inside a widget of the dock, so that they work wherever the focus is."""
    for name, action in actions.items():
        key = QShortcut(QKeySequence(qt_name(name)), widget)
        key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        key.activated.connect(action)


def qt_name(name: str) -> str:
    """Give a tool's key as Qt and people write it: ``Ctrl+Shift+Z``."""
    return KEYS[name].replace("Control", "Ctrl").replace("-", "+")


def _ignoring_layer(action: Callable[[], object]) -> Callable[[Layer], None]:
    def pressed(layer: Layer) -> None:
        action()

    return pressed


def with_key(tooltip: str, name: str) -> str:
    """Add a tool's key to its tooltip."""
    if name in HELD:
        return f"{tooltip}\nKey in the picture: {qt_name(name)}; {HELD[name]}"
    how = f"; {TURNED_ON[name]}" if name in TURNED_ON else ""
    return f"{tooltip}\nKey in the picture and in this tab: {qt_name(name)}{how}"
