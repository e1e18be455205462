"""Which image the user works on and how its axes are read: the dock's own state, shared by the tabs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Labels
from qtpy.QtCore import QObject

from napari_unet.core.base.errors import UserError
from napari_unet.ui import layers
from napari_unet.ui.qt import Signal

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_unet.core.base.image import Image

RGB = " besides its colours, which are C"


@dataclass(frozen=True)
class Reading:
    """Say how a layer is read.

    Parameters
    ----------
    axes : str or None
        In the layer's order; None while it is not clear.
    voxel_size : tuple of float, µm, or None
        What the user typed; None takes the layer's.
    channel : int or None
        The channel to segment; None leaves it to the model.
    is_chosen : bool
        The user chose the axes; they are not from the layer.
    """

    axes: str | None = None
    voxel_size: tuple[float, ...] | None = None
    channel: int | None = None
    is_chosen: bool = False


class Workspace(QObject):
    """Follow the active image and remember how the user reads each image.

    Parameters
    ----------
    viewer : napari Viewer
        Its active layer is followed.
    """

    image_changed = Signal()
    """Another image, or other axes, channel or voxel size."""

    image_removed = Signal(object)
    """The id of an image layer that left the viewer."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self._layer: ImageLayer | None = None
        self._readings: dict[Hashable, Reading] = {}
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.layers.events.removed.connect(self._on_removed)
        self._follow(viewer.layers.selection.active or self._newest())

    @property
    def layer(self) -> ImageLayer | None:
        """Give the image layer the user works on."""
        return self._layer

    @property
    def reading(self) -> Reading:
        """Give how the current image is read."""
        return self.reading_of(self._layer) if self._layer is not None else Reading()

    def reading_of(self, layer: ImageLayer) -> Reading:
        """Give how a layer is read: what the user chose, else what the layer says."""
        known = self._readings.get(layer.unique_id)
        if known is not None and known.is_chosen:
            return known
        return replace(known or Reading(), axes=layers.read_axes(layer))

    def read_as(self, reading: Reading) -> None:
        """Read the current image in another way."""
        if self._layer is not None and reading != self.reading:
            self._readings[self._layer.unique_id] = reading
            self.image_changed.emit()

    def image(self) -> Image:
        """Give the current image.

        Raises
        ------
        UserError
            Without an image layer, or while its axes are not clear.
        """
        if self._layer is None:
            raise UserError("There is no image.", "Open one, or take File > Open Sample > U-Net.")
        reading = self.reading
        if reading.axes is None and not layers.axes_choices(self._layer):
            also = RGB if self._layer.rgb else ""
            raise UserError(
                f"'{self._layer.name}' has {self._layer.ndim} axes {tuple(self._layer.data.shape)}{also}; "
                "T, C, Z, Y and X can be used, each once.",
                "Take out the axes that are too many, for example in the layer's data.",
            )
        if reading.axes is None:
            raise UserError(
                f"'{self._layer.name}' has {self._layer.ndim} axes {tuple(self._layer.data.shape)} without names.",
                "Choose in the Segment tab what they are.",
            )
        return layers.to_image(self._layer, reading.axes, reading.voxel_size)

    def _on_active(self, event: object) -> None:
        active = self.viewer.layers.selection.active
        if is_image(active):
            self._follow(active)

    def _on_removed(self, event: object) -> None:
        removed = getattr(event, "value", None)
        if not isinstance(removed, ImageLayer):
            return
        self._readings.pop(removed.unique_id, None)
        self.image_removed.emit(removed.unique_id)
        if removed is self._layer:
            self._follow(self._newest())

    def _newest(self) -> ImageLayer | None:
        return next((layer for layer in reversed(self.viewer.layers) if is_image(layer)), None)

    def _follow(self, layer: object) -> None:
        layer = layer if is_image(layer) else self._newest()
        if layer is self._layer:
            return
        if self._layer is not None:
            for event in self._watched(self._layer):
                event.disconnect(self._on_layer)
        self._layer = layer
        if layer is not None:
            for event in self._watched(layer):
                event.connect(self._on_layer)
        self.image_changed.emit()

    def follow(self, layer: ImageLayer) -> None:
        """Work on an image layer, for example because its labels became active."""
        self._follow(layer)

    def close_links(self) -> None:
        """Listen to the viewer no longer."""
        self.viewer.layers.selection.events.active.disconnect(self._on_active)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        if self._layer is not None:
            for event in self._watched(self._layer):
                event.disconnect(self._on_layer)

    @staticmethod
    def _watched(layer: ImageLayer) -> tuple[Any, ...]:
        events = layer.events
        return events.data, events.scale, events.units, events.axis_labels, events.affine, events.name

    def _on_layer(self, event: object) -> None:
        self.image_changed.emit()


def is_image(layer: object) -> bool:
    """Tell whether a layer is an image to work on: not the preview of the augmentation."""
    return isinstance(layer, ImageLayer) and not layers.is_preview(layer)


def labels_layers(viewer: Viewer) -> list[Labels]:
    """Give the labels layers of a viewer that one can work on, the newest first."""
    return [layer for layer in reversed(viewer.layers) if isinstance(layer, Labels) and not layers.is_preview(layer)]
