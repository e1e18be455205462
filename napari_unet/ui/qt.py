"""The names of Qt that qtpy makes at run time, so that they are typed in one place."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]  # made from pyqtSignal
from qtpy.QtGui import QShortcut  # type: ignore[attr-defined]  # in QtWidgets in older bindings

__all__ = ["QShortcut", "Signal"]
