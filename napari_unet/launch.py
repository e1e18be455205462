"""The door: `napari-unet` alone opens napari with the dock, with arguments it is the command line.

Torch is imported before Qt. On Windows torch's libraries fail to load once Qt's are in the process (WinError 1114 or
126), and a napari plugin is always imported after Qt; only a launcher can bring them into the right order.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_unet.app.priority import let_waiting_threads_sleep
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.project import read_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari
    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.cli.demo import Demo
    from napari_unet.core.base.image import Image
    from napari_unet.ui.main_widget import UNetWidget

DEMO_FOLDER = Path("napari-unet-demo")

NO_DISPLAY = """There is no display to open napari's window on.
Without one the command line does the same work: napari-unet --help"""

NO_TORCH = """torch could not be loaded: {error}
What helps in most cases: on Windows install the Microsoft Visual C++ redistributable (x64) and start napari with the
command napari-unet, not napari; elsewhere install torch again (pip install --force-reinstall torch)."""

NO_QT = """napari found no Qt to draw its window with: {error}
Install one with: pip install "napari-unet[gui]" """


def main(argv: Sequence[str] | None = None) -> int:
    """Open napari with the dock, or run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; None takes those of the process.

    Returns
    -------
    int
        Exit status, 0 when all went well.
    """
    let_waiting_threads_sleep()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        return _open_window() if has_display() else _refuse(NO_DISPLAY)
    folder = _demo_folder(arguments)
    if folder is not None and has_display() and not os.environ.get("CI"):
        return _open_window(folder)
    project = _project_folder(arguments)
    if project is not None and has_display():
        return _open_window(project=project)
    from napari_unet.cli import main as run_command

    return run_command(arguments)


def has_display() -> bool:
    """Tell whether a window can be opened: always on Windows and macOS, with X11 or Wayland elsewhere."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _demo_folder(arguments: list[str]) -> Path | None:
    """Give the folder of a plain `demo [--out FOLDER]`; None for every other command."""
    match arguments:
        case ["demo"]:
            return DEMO_FOLDER
        case ["demo", "--out", folder]:
            return Path(folder)
    return None


def _project_folder(arguments: list[str]) -> Path | None:
    """Give the folder of a plain `open PROJECT`; None for every other command."""
    match arguments:
        case ["open", folder] if not folder.startswith("-"):
            return Path(folder)
    return None


def _open_window(demo: Path | None = None, project: Path | None = None) -> int:
    """Open napari with the dock, after the demo with its result or with a project; return when the window is closed."""
    missing = _import_in_order()
    if missing:
        return _refuse(missing)
    try:
        if project is not None:
            read_project(project)  # what is no project needs no window
        result = None if demo is None else _run_demo(demo)
    except UserError as error:
        return _refuse(f"error: {error.message} {error.hint}")
    import napari

    freeze_imports()
    viewer = napari.Viewer()
    if result is not None:
        _show(viewer, result.image, result.labels)
    dock: UNetWidget = viewer.window.add_plugin_dock_widget("napari-unet", "U-Net")[1]
    if project is not None:
        dock.project_bar.open(project)
    napari.run()
    return 0


def _import_in_order() -> str:
    """Import torch, then Qt; give what to tell the user where one of them is broken, else nothing."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        return NO_TORCH.format(error=error)
    try:
        import qtpy  # noqa: F401 - raises where no Qt binding is installed
    except ImportError as error:
        return NO_QT.format(error=error)
    return ""


def freeze_imports() -> None:
    """Take what is imported by now out of the search for garbage: it lives as long as the process.

    Before the window is made, for what a user opens has to be freed again. Searching through all of torch and napari
    takes a third of a second, in which the window stands still.
    """
    import napari.qt  # noqa: F401 - most of what a window needs

    gc.freeze()


def _run_demo(folder: Path) -> Demo:
    from napari_unet.cli.demo import run

    return run(folder)


def _show(viewer: napari.Viewer, image: Image, labels: NDArray[np.int32]) -> None:
    """Lay an image and its labels into the viewer."""
    import numpy as np

    from napari_unet.ui.layers import add_labels, layer_options

    # napari wants the colours of an RGB image last, Image has them first.
    data = np.moveaxis(image.data, 0, -1) if image.rgb else image.data
    layer = viewer.add_image(data, name=image.name, rgb=image.rgb, **layer_options(image))
    axes = image.axes.replace("C", "") if image.rgb else image.axes
    add_labels(viewer, layer, axes, labels, f"{image.name} labels")


def _refuse(text: str) -> int:
    """Say why nothing was opened."""
    typer.echo(text, err=True)
    return 1
