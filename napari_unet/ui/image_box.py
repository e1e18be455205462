"""What will be segmented, in words that can be changed: image, axes, voxel size, channel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import SPATIAL_AXES
from napari_unet.ui import layers, messages
from napari_unet.ui.forms import guard_wheel, shrink

if TYPE_CHECKING:
    from napari_unet.ui.workspace import Workspace

AXIS_WORDS = {"T": "time", "C": "channel", "Z": "Z", "Y": "Y", "X": "X"}
ASK_AXES = "Choose the axes..."
BY_MODEL = "all, as the model needs"


class ImageBox(QWidget):
    """Show how the current image is read, and let the user change it.

    Parameters
    ----------
    workspace : Workspace
        Holds the reading; this widget only shows and changes it.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setToolTip("The active image layer, as it will be segmented.")
        self.axes, self.channel, self.voxel_size = QComboBox(), QComboBox(), QLineEdit()
        self.axes.setToolTip("What each axis of the array is, in the order of the layer.")
        self.channel.setToolTip("The channel that is segmented.")
        self.voxel_size.setToolTip("Length of a voxel in µm, for example 0.5, 0.2, 0.2; empty takes the layer's own.")
        self.axes.activated.connect(self._on_axes)
        self.channel.activated.connect(self._on_channel)
        self.voxel_size.editingFinished.connect(self._on_size)
        self._rows = QFormLayout()
        for label, widget in (("Axes", self.axes), ("Channel", self.channel), ("Voxel size (µm)", self.voxel_size)):
            self.add_row(label, widget)
        for box in (self.axes, self.channel):
            shrink(box)
            guard_wheel(box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.words)
        layout.addLayout(self._rows)
        workspace.image_changed.connect(self.refresh)
        self.refresh()

    def add_row(self, label: str, widget: QWidget) -> None:
        """Add a labelled control below, aligned with the others."""
        name = QLabel(label)
        name.setBuddy(widget)
        name.setToolTip(widget.toolTip())
        self._rows.addRow(name, widget)

    def refresh(self) -> None:
        """Show the current image anew."""
        layer, reading = self._workspace.layer, self._workspace.reading
        for widget in (self.axes, self.channel, self.voxel_size):
            widget.setEnabled(layer is not None)
        self.words.setText(self._describe())
        self._fill_axes()
        n_channels = self._n_channels()
        self.channel.clear()
        self.channel.addItem(BY_MODEL, None)
        for index in range(n_channels if n_channels > 1 else 0):
            self.channel.addItem(f"channel {index}", index)
        self.channel.setCurrentIndex(max(0, self.channel.findData(reading.channel)))
        self._rows.setRowVisible(self.channel, n_channels > 1)
        own = layers.read_voxel_size(layer, reading.axes) if layer is not None and reading.axes else None
        self.voxel_size.setText(_write(reading.voxel_size) if reading.voxel_size else "")
        self.voxel_size.setPlaceholderText(f"{_write(own)} (from the layer)" if own else "unknown")

    def _describe(self) -> str:
        layer, reading = self._workspace.layer, self._workspace.reading
        if layer is None:
            return "No image. Open one, or take File > Open Sample."
        try:
            image = self._workspace.image()
        except UserError as error:
            return str(error)
        origin = "chosen by you" if reading.is_chosen else "from the layer"
        return f"{layer.name}: {image.describe()} ({origin})"

    def _fill_axes(self) -> None:
        layer, reading = self._workspace.layer, self._workspace.reading
        self.axes.clear()
        choices = layers.axes_choices(layer) if layer is not None else ()
        if reading.axes is None:
            self.axes.addItem(ASK_AXES, None)
        for axes in choices:
            self.axes.addItem(", ".join(AXIS_WORDS[a] for a in axes), axes)
        self.axes.setCurrentIndex(max(0, self.axes.findData(reading.axes)))

    def _n_channels(self) -> int:
        layer, axes = self._workspace.layer, self._workspace.reading.axes
        if layer is None or axes is None or "C" not in axes:
            return 1
        return int(layer.data.shape[axes.index("C")])

    def _on_axes(self, index: int) -> None:
        axes = self.axes.itemData(index)
        if axes is not None:
            self._workspace.read_as(replace(self._workspace.reading, axes=axes, channel=None, is_chosen=True))

    def _on_channel(self, index: int) -> None:
        self._workspace.read_as(replace(self._workspace.reading, channel=self.channel.itemData(index)))

    def _on_size(self) -> None:
        reading = self._workspace.reading
        axes = reading.axes or "YX"
        try:
            size = parse_voxel_size(self.voxel_size.text(), sum(a in SPATIAL_AXES for a in axes))
        except UserError as error:
            messages.show_user_error(error)
            self.refresh()
            return
        self._workspace.read_as(replace(reading, voxel_size=size))


def parse_voxel_size(text: str, dims: int) -> tuple[float, ...] | None:
    """Read ``0.5, 0.2, 0.2``; one number counts for all axes, none for the layer's own.

    Raises
    ------
    UserError
        When it is not so many positive numbers.
    """
    parts = text.replace(",", " ").replace("x", " ").split()
    if not parts:
        return None
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        values = ()
    values = values * dims if len(values) == 1 else values
    if len(values) != dims or not all(0 < v < 1e9 for v in values):
        raise UserError(f"'{text}' is no voxel size.", f"Write {dims} lengths in µm, such as {_write((0.5,) * dims)}.")
    return values


def _write(size: tuple[float, ...]) -> str:
    return ", ".join(f"{v:.4g}" for v in size)
