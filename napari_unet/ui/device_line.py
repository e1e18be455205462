"""The line that says where networks run; it fills in once torch has been loaded in the background."""

from __future__ import annotations

import threading

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_unet.app.errors import describe_error
from napari_unet.app.priority import let_waiting_threads_sleep
from napari_unet.ui.qt import Signal

WAITING = "Device: loading torch..."
HOW_TO_FIX = "\nInstall a torch build for your GPU (pytorch.org, Get Started) in this environment, then restart napari."


class DeviceLine(QLabel):
    """Say in words which device computes, and how to get a faster one."""

    loaded = Signal()
    """torch is there, or cannot be had: from now on the main thread may import what it likes."""

    _known = Signal(str, str)

    def __init__(self) -> None:
        super().__init__(WAITING)
        self.setWordWrap(True)
        self.setToolTip("torch is being loaded in the background; you can go on.")
        self._known.connect(self._show_device, Qt.ConnectionType.QueuedConnection)
        self._thread: threading.Thread | None = None
        self._is_known = False

    @property
    def is_loading(self) -> bool:
        """Tell whether torch is being loaded.

        Another thread must not import large packages meanwhile: where both need a third one, from different ends,
        Python breaks the dead lock by handing out a half-made module.
        """
        return self._thread is not None and not self._is_known

    def start(self) -> None:
        """Load torch in the background; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._ask, name="napari-unet-device", daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until torch is loaded: a thread inside an import must not outlive the window."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _ask(self) -> None:
        let_waiting_threads_sleep()
        try:
            from napari_unet.core.base.device import choose_device, warm_up

            device = choose_device()
            warm_up()
            # The first click on Segment or Fine-tune, and the first use of a tool, would wait for them.
            from napari_unet.app import autosave_draft, commands, edges, live, preflight, whole_edit  # noqa: F401
            from napari_unet.core import io  # noqa: F401
            from napari_unet.core.edits import draw_through, magic_objects  # noqa: F401
            from napari_unet.core.pipeline import fine_tune, segment  # noqa: F401
            from napari_unet.ui import gained_layers, loss_plot  # noqa: F401
        except (OSError, ImportError, RuntimeError) as error:
            message, hint = describe_error(error)
            self._tell(f"Device: {message}", hint)
            return
        hint = "Chosen automatically; the Segment and Train tabs can override it."
        self._tell(f"Device: {device.words}", hint + (HOW_TO_FIX if device.name == "cpu" else ""))

    def _tell(self, words: str, hint: str) -> None:
        try:
            self._known.emit(words, hint)
        except RuntimeError:
            return  # the dock was closed before torch was loaded: nobody is left to be told

    def _show_device(self, words: str, hint: str) -> None:
        self.setText(words)
        self.setToolTip(hint)
        self._is_known = True
        self.loaded.emit()
