"""The tools in napari's menu Layers > Annotate: one command each, by the tool's name.

The manifest names `use_NAME` for each tool in `EDITS`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari_unet.core.edits import EDITS
from napari_unet.ui import messages

if TYPE_CHECKING:
    from napari_unet.ui.main_widget import UNetWidget

PREFIX = "use_"
CORRECT = 1  # index of the tab


def __getattr__(name: str) -> Callable[[], None]:
    """Give the command of a tool: the manifest can only name attributes of a module."""
    tool = name.removeprefix(PREFIX)
    if name.startswith(PREFIX) and tool in EDITS:
        return partial(use_tool, tool)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def use_tool(name: str) -> None:
    """Use a tool on the objects selected in the dock; the dock is opened where it is not."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        messages.show_error("There is no viewer.", "Open napari first.")
        return
    dock: UNetWidget = viewer.window.add_plugin_dock_widget("napari-unet", "U-Net")[1]
    dock.tabs.setCurrentIndex(CORRECT)
    dock.correct.tools.press(name)
