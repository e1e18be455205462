"""After a training: show in the picture what the new model gained and lost, before and after."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_unet.ui.forms import push_button
from napari_unet.ui.words import Words

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_unet.app.requests import HeldOut, Training
    from napari_unet.ui.gained_layers import Picture
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

SHOW_BEFORE, SHOW_AFTER = "Show before", "Show after"
SQUARE = "\u25a0"


class GainedBox(QWidget):
    """Two switches: the held-out cells in the picture, and the labels of the old or of the new model.

    Parameters
    ----------
    workspace, results
        What the tabs share.
    """

    def __init__(self, workspace: Workspace, results: Results) -> None:
        super().__init__()
        self._workspace, self._results, self._viewer = workspace, results, workspace.viewer
        self._parts: tuple[HeldOut, ...] = ()
        self._pictures: dict[str, Picture] = {}
        self._hidden: list[Labels] = []
        self.words = Words("Held-out cells that only one of the two models finds, or that both find differently.")
        self.switch = push_button(
            "Show gained and lost", "Outline the held-out cells that were gained, lost and changed.", self._on_switch
        )
        self.before = push_button(
            SHOW_BEFORE,
            "Before / after: show what the old model made of the held-out cells, or the new one.",
            self._on_before,
        )
        for button in (self.switch, self.before):
            button.setCheckable(True)
        row = QHBoxLayout()
        row.addWidget(self.switch)
        row.addWidget(self.before)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.words)
        rows.addLayout(row)
        results.closing.connect(self._on_closing)
        self.clear()

    def tell(self, training: Training) -> None:
        """Offer what a training held out, where it can be shown."""
        self.clear()
        self._parts = training.parts
        if not training.parts:
            return
        from napari_unet.ui.gained_layers import COLOURS

        n = {kind: sum(len(getattr(one.part, kind)) for one in self._parts) for kind in COLOURS}
        said = [f"<span style='color:{COLOURS[kind]}'>{SQUARE}</span> {number} {kind}" for kind, number in n.items()]
        there = self._open()
        absent = sum(not self._is_open(one) for one in self._parts)
        text = f"Cells {', '.join(said)}."
        if absent:
            where = "part lies in an image that is" if absent == 1 else "parts lie in images that are"
            text += f" {absent} held-out {where} not open."
        self.words.say(text)
        self.switch.setEnabled(bool(there))
        self.show()

    def clear(self) -> None:
        """Take the layers away, and offer nothing any more."""
        self._hide()
        self._parts = ()
        self.hide()

    def _open(self) -> list[Link]:
        links = [self._results.link(key) for key in dict.fromkeys(one.key for one in self._parts)]
        return [link for link in links if link is not None]

    def _is_open(self, one: HeldOut) -> bool:
        return self._results.link(one.key) is not None

    def _on_switch(self) -> None:
        if self._pictures:
            self._hide()
        else:
            self._show()

    def _show(self) -> None:
        from napari_unet.ui import gained_layers

        for link in self._open():
            layer = next((one for one in self._viewer.layers if one.unique_id == link.image_id), None)
            axes = None if layer is None else self._workspace.reading_of(layer).axes
            if layer is None or axes is None:
                continue
            parts = [one for one in self._parts if one.key == link.key]
            self._pictures[link.key] = gained_layers.show(self._viewer, link, layer, axes, parts)
            if link.labels.visible:
                link.labels.visible = False  # both models' labels would be hard to tell from it
                self._hidden.append(link.labels)
        self._say_state()

    def _hide(self) -> None:
        for picture in self._pictures.values():
            for layer in (picture.outlines, picture.before, picture.after):
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
        self._pictures.clear()
        for labels in self._hidden:
            if labels in self._viewer.layers:
                labels.visible = True
        self._hidden.clear()
        self._say_state()

    def _say_state(self) -> None:
        self.switch.setChecked(bool(self._pictures))
        self.before.setEnabled(bool(self._pictures))
        self.before.setChecked(False)
        self.before.setText(SHOW_BEFORE)

    def _on_before(self) -> None:
        """Show the other one of both; layers that the user removed stay away."""
        is_before = self.before.isChecked()
        self.before.setText(SHOW_AFTER if is_before else SHOW_BEFORE)
        for picture in self._pictures.values():
            for layer, is_shown in ((picture.before, is_before), (picture.after, not is_before)):
                if layer in self._viewer.layers:
                    layer.visible = is_shown

    def _on_closing(self, link: Link) -> None:
        picture = self._pictures.pop(link.key, None)
        for layer in () if picture is None else (picture.outlines, picture.before, picture.after):
            with suppress(ValueError):
                self._viewer.layers.remove(layer)
        self._hidden = [one for one in self._hidden if one is not link.labels]
        self._say_state()
