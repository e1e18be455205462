"""Open the images of a project as the layers that they were."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from napari.layers import Image as ImageLayer
from napari.layers import Layer

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.ui import layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_unet.core.base.image import Image
    from napari_unet.core.store.project import ImageRef

OURS = "napari-unet"
PROGRAMS = (".py", ".pyw", ".pyc")
"""napari's own reader runs these: nobody's project may name one."""


def open_image(viewer: Viewer, path: str, ref: ImageRef) -> ImageLayer:
    """Open an image of a project with the reader that it was opened with, where that is here.

    Parameters
    ----------
    viewer : napari Viewer
        Gets the layer.
    path : str
        A path, or an address.
    ref : ImageRef
        What the project says of it; of several layers of a file the one that it describes is kept.

    Raises
    ------
    ReadError
        When no such image can be read from it.
    """
    if path.lower().endswith(PROGRAMS):
        raise ReadError(f"'{path}' is a program, not an image.", "Do you know who made this project?")
    before = list(viewer.layers)
    if ref.reader not in ("", OURS):
        with suppress(Exception):  # whatever another plugin raises, or that it is not here: ours may be able to
            viewer.open(path, plugin=ref.reader)
    if len(viewer.layers) == len(before):
        _open_ours(viewer, path)
    new = [layer for layer in viewer.layers if layer not in before]
    fitting = [layer for layer in new if isinstance(layer, ImageLayer) and ref.axes in layers.axes_choices(layer)]
    fitting.sort(key=lambda layer: layer.name != ref.image.name)
    kept = fitting[0] if fitting else None
    for layer in new:
        if layer is not kept:
            viewer.layers.remove(layer)
    if kept is None:
        raise ReadError(f"'{path}' holds no image with the axes {ref.axes}.", "Is it the file that the project means?")
    kept.name = ref.image.name
    return kept


def _open_ours(viewer: Viewer, path: str) -> None:
    from napari_unet.ui.readers import NO_LAYER, read_layers, with_source

    with with_source(path):
        made = [Layer.create(*data) for data in read_layers(path) if data is not NO_LAYER[0]]
    for layer in made:
        viewer.add_layer(layer)


def check_kept(image: Image) -> None:
    """Refuse an image that lies in no file and is too large to be written into a project.

    Raises
    ------
    UserError
        When it is.
    """
    from napari_unet.app import streaming

    if not image.source and streaming.is_large(image):
        raise UserError(
            f"'{image.name}' came from no file, and is too large to be copied into the project.",
            "Save it as OME-Zarr, open that, and save the project again.",
        )
