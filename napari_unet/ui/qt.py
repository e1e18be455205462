"""The one name of Qt that its bindings call differently, so that it is typed in one place."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]  # qtpy makes it from pyqtSignal at run time

__all__ = ["Signal"]
