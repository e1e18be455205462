"""Wrapped text that is never cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent


class Words(QLabel):
    """Some lines of text inside a fold or a scrolled tab: hidden until something is said.

    Qt does not ask a wrapped label there how high it is at its width, and would cut it off.

    Parameters
    ----------
    tip : str
        What the text is about.
    """

    def __init__(self, tip: str) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setToolTip(tip)
        self.hide()

    def say(self, text: str) -> None:
        """Show a text."""
        self.setText(text)
        self.show()

    def setText(self, text: str | None) -> None:
        """Change the text, and take the height that it needs."""
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Take the height that the text needs at the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setMinimumHeight(0)  # Qt's answer is never less than what is set
        self.setMinimumHeight(max(0, self.heightForWidth(self.width())))  # -1 without a text
