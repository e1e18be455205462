"""Projects in napari's menu File > IO Utilities; the dock is opened where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.ui import messages

if TYPE_CHECKING:
    from napari_unet.ui.main_widget import UNetWidget
    from napari_unet.ui.project_bar import ProjectBar


def open_project() -> None:
    """Ask for the folder of a project, and open it."""
    bar = _bar()
    if bar is not None:
        bar.choose()


def save_project() -> None:
    """Ask for a folder, and save what is open there as a project."""
    bar = _bar()
    if bar is not None:
        bar.save()


def _bar() -> ProjectBar | None:
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        messages.show_error("There is no viewer.", "Open napari first.")
        return None
    dock: UNetWidget = viewer.window.add_plugin_dock_widget("napari-unet", "U-Net")[1]
    return dock.project_bar
