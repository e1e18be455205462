"""The bar that offers labels which were saved in a window that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QMessageBox

from napari_unet.ui import messages
from napari_unet.ui.autosave_line import clock_time, held_words
from napari_unet.ui.forms import push_button

if TYPE_CHECKING:
    from napari_unet.core.store.autosave import Saved
    from napari_unet.ui.autosaving import Autosaving


class RestoreBar(QFrame):
    """Ask what to do with saved labels; hidden while there are none. The files stay until it is answered.

    Parameters
    ----------
    autosaving : Autosaving
        Followed.
    """

    def __init__(self, autosaving: Autosaving) -> None:
        super().__init__()
        self._autosaving = autosaving
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.restore = push_button(
            "Restore", "Bring the saved labels back, with what was accepted, edited and finished.", self._restore
        )
        self.both = push_button(
            "Keep both", "Bring the saved labels back on a layer of their own, beside the present ones.", self._both
        )
        self.discard = push_button("Discard...", "Delete the saved labels; you are asked first.", self._discard)
        rows = QGridLayout(self)
        rows.addWidget(self.said, 0, 0, 1, 3)
        for column, button in enumerate((self.restore, self.both, self.discard)):
            rows.addWidget(button, 1, column)
        autosaving.offered.connect(self._on_offered)
        self._on_offered()

    def _on_offered(self) -> None:
        offer, holder, left = self._autosaving.offer, self._autosaving.holder, self._autosaving.left_behind
        self.setVisible(any(one is not None for one in (offer, holder, left)))
        for button in (self.restore, self.discard):
            button.setVisible(offer is not None)
        self.both.setVisible(offer is not None and self._autosaving.has_labels)
        if offer is not None:
            self.said.setText(words(offer))
        elif holder is not None:
            text = held_words(holder)
            self.said.setText(f"{text[0].upper()}{text[1:]} What you paint here is not saved until it is closed there.")
        elif left is not None:
            self.said.setText(left_words(left))

    def _restore(self) -> None:
        with messages.told():
            self._autosaving.restore()

    def _both(self) -> None:
        with messages.told():
            self._autosaving.keep_both()

    def _discard(self) -> None:
        if self._asked():
            with messages.told():
                self._autosaving.discard()

    def _asked(self) -> bool:
        question = "Delete the saved labels of this image? They cannot be brought back."
        answer = QMessageBox.question(self, "Discard", question)
        return bool(answer == QMessageBox.StandardButton.Yes)


def words(saved: Saved) -> str:
    """Say what can be brought back."""
    about = saved.revision.about
    counts = [
        f"{about.get(name)} {what}"
        for name, what in (("accepted", "accepted"), ("unsure", "unsure"), ("done", "regions finished"))
        if about.get(name)
    ]
    said = f"Labels of this image were saved {clock_time(saved.revision.time)}"
    said += f" ({', '.join(counts)})." if counts else "."
    if saved.is_other_image:
        said += " The image has changed since."
    if saved.damage:
        said += " What was saved last is damaged; this is the newest that is whole."
    return said


def left_words(saved: Saved) -> str:
    """Say which image to open after a crash."""
    image = saved.revision.about.get("image")
    known = image if isinstance(image, dict) else {}
    which = known.get("source") or known.get("name") or "the image"
    at = clock_time(saved.revision.time)
    return f"The program ended unexpectedly. Labels were saved {at}: open '{which}' again to bring them back."
