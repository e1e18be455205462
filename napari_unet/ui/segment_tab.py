"""The Segment tab: the image in words, the model, one large button."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.core.base.options import SegmentOptions
from napari_unet.ui import layers, messages, view
from napari_unet.ui.forms import OptionsForm, enlarge, folding, guard_wheel, shrink
from napari_unet.ui.image_box import ImageBox
from napari_unet.ui.model_picker import ModelPicker
from napari_unet.ui.object_table import count_labels

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.layers import Image as ImageLayer

    from napari_unet.app.commands import SegmentResult
    from napari_unet.app.session import Session
    from napari_unet.core.base.image import Image
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

Box = tuple[slice, ...]

DECODED = ("threshold", "split_threshold", "min_size")
"""Options that only change how the kept network output becomes labels."""

DECODE_AFTER_MS = 250
NONE_FOUND = " Lower the foreground threshold, give the object size, or choose another model."
WHOLE, TIME, SLICE, VIEW = "whole", "time", "slice", "view"


class SegmentTab(QWidget):
    """Segment the current image.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    """

    def __init__(self, workspace: Workspace, results: Results, session: Session) -> None:
        super().__init__()
        self._workspace, self._results, self._session = workspace, results, session
        self.image_box = ImageBox(workspace)
        self.model = ModelPicker(workspace, session)
        self.scope = QComboBox()
        self.scope.setToolTip("How much of the image is segmented.")
        shrink(self.scope)
        guard_wheel(self.scope)
        self.button = QPushButton("Segment")
        self.button.setToolTip("Find the objects. What you corrected or accepted stays as it is.")
        enlarge(self.button)
        self.button.clicked.connect(self.segment)
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.hide()
        self.options: OptionsForm[SegmentOptions] = OptionsForm(SegmentOptions, without=("channel",), folded="Advanced")
        self.options.value_changed.connect(self._on_options)
        self._decoded = self.options.value()
        self._decode = QTimer(self)
        self._decode.setSingleShot(True)
        self._decode.setInterval(DECODE_AFTER_MS)
        self._decode.timeout.connect(self._decode_again)
        self._lay_out()
        workspace.image_changed.connect(self._on_image)
        session.jobs.changed.connect(self._on_jobs)
        self._fill_scope()
        self._on_jobs()

    def _lay_out(self) -> None:
        self.image_box.add_row("Model", self.model)
        self.image_box.add_row("Segment", self.scope)
        layout = QVBoxLayout(self)
        layout.addWidget(self.image_box)
        layout.addWidget(self.button)
        layout.addWidget(self.said)
        layout.addWidget(folding("Object size, thresholds, device", self.options))
        layout.addStretch(1)

    # ------------------------------------------------------------ the button

    def segment(self) -> None:
        """Start the job; what is wrong with the input is told."""
        with messages.told():
            self._start()

    def _start(self) -> None:
        image, layer, reading = self._workspace.image(), self._workspace.layer, self._workspace.reading
        if layer is None or reading.axes is None:
            return
        axes, box, time = reading.axes, None, None
        scope = self.scope.currentData()
        if scope != WHOLE:
            box, time = self._scoped(layer, axes, image, scope)
        self._decoded = self.options.value()
        options = replace(self._decoded, channel=reading.channel)

        def _on_done(result: SegmentResult) -> None:
            self._show(layer, image, axes, result)

        self.said.hide()
        self._session.segment(image, _on_done, options=options, box=box, time=time, topic=topic_of(layer.unique_id))

    def _scoped(self, layer: ImageLayer, axes: str, image: Image, scope: str) -> tuple[Box | None, int | None]:
        """Give the spatial box and the time point of a scope."""
        viewer = self._workspace.viewer
        at = view.position(viewer, layer)
        time = at[axes.index("T")] if "T" in axes else None
        if scope == TIME:
            return None, time
        boxes = (view.slice_box if scope == SLICE else view.view_box)(viewer, layer, axes)
        return boxes[1:] if "T" in axes else boxes, time

    def _show(self, layer: ImageLayer, image: Image, axes: str, result: SegmentResult) -> None:
        if layer not in self._workspace.viewer.layers:
            messages.show_info(f"'{image.name}' was removed meanwhile.", "Its segmentation was dropped.")
            return
        with messages.told():
            link = self._results.show(layer, image, axes, result)
            self._say(link, result)

    def _say(self, link: Link, result: SegmentResult) -> None:
        if result.is_semantic:
            said = f"{', '.join(result.classes)} in '{link.labels.name}'."
        else:
            n = len(count_labels(layers.labels_array(link.labels))[0])
            said = f"{n} object{'s' * (n != 1)} in '{link.labels.name}'." + NONE_FOUND * (n == 0)
        self.said.setText("\n".join((said, *result.notes)))
        self.said.show()

    # ------------------------------------------------------------ decode again

    def _on_options(self, options: SegmentOptions) -> None:
        if any(getattr(options, n) != getattr(self._decoded, n) for n in DECODED):
            self._decode.start()

    def _decode_again(self) -> None:
        link = self._results.current
        if link is None:
            return
        self._decoded = self.options.value()

        def _on_done(result: SegmentResult) -> None:
            with messages.told():
                self._results.merge(link, result, "Change thresholds")

        with messages.told():
            self._session.redecode(link.key, self._decoded, _on_done)

    # ------------------------------------------------------------ state

    def _on_jobs(self) -> None:
        self.button.setEnabled(not self._session.jobs.is_busy)

    def _on_image(self) -> None:
        self.said.hide()
        self._fill_scope()

    def _fill_scope(self) -> None:
        before = self.scope.currentData()
        axes = self._workspace.reading.axes or "YX"
        entries = [("all time points" if "T" in axes else "whole image", WHOLE)]
        if "T" in axes:
            entries.append(("this time point", TIME))
        if "Z" in axes:
            entries.append(("this slice", SLICE))
        entries.append(("this view", VIEW))
        self.scope.clear()
        for text, key in entries:
            self.scope.addItem(text, key)
        self.scope.setCurrentIndex(max(0, self.scope.findData(before)))


def topic_of(image_id: Hashable) -> str:
    """Name the jobs on an image layer by its id, so that they can be dropped when it is removed."""
    return f"image {image_id}"
