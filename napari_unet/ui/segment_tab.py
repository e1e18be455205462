"""The Segment tab: the image in words, the model, one large button."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.app import large, library, streaming
from napari_unet.app.job import JobState
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import LargeOptions, SegmentOptions
from napari_unet.ui import layers, messages, view
from napari_unet.ui.forms import OptionsForm, enlarge, folding, guard_wheel, shrink
from napari_unet.ui.glimpse_layer import GlimpseLayer
from napari_unet.ui.image_box import ImageBox
from napari_unet.ui.model_picker import ModelPicker
from napari_unet.ui.object_table import count_labels
from napari_unet.ui.stored_box import StoredBox

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.layers import Image as ImageLayer

    from napari_unet.app.commands import SegmentResult
    from napari_unet.app.large import LargeResult
    from napari_unet.app.session import Session
    from napari_unet.core.base.image import Image
    from napari_unet.ui.large_results import LargeResults
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

Box = tuple[slice, ...]

DECODED = ("threshold", "split_threshold", "min_size")
"""Options that only change how the kept network output becomes labels."""

DECODE_AFTER_MS = 250
NONE_FOUND = " Lower the foreground threshold, give the object size, or choose another model."
AGAIN = "Press Segment for labels with these thresholds. Where its output was kept the network does not run again."
WHOLE, TIME, SLICE, VIEW = "whole", "time", "slice", "view"


class SegmentTab(QWidget):
    """Segment the current image.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    large_results : LargeResults
        Shows the labels of images that are larger than the memory.
    """

    def __init__(self, workspace: Workspace, results: Results, session: Session, large_results: LargeResults) -> None:
        super().__init__()
        self._workspace, self._results, self._session = workspace, results, session
        self._large_results = large_results
        self._glimpses: GlimpseLayer | None = None  # of the running job; its signals hold it only weakly
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
        self.large: OptionsForm[LargeOptions] = OptionsForm(LargeOptions)
        self.options.put_last(self.large)
        self.stored = StoredBox(session, large_results)
        self.stored_fold = folding("Labels of large images on the disk", self.stored)
        self._decoded = self.options.value()
        self._decode = QTimer(self)
        self._decode.setSingleShot(True)
        self._decode.setInterval(DECODE_AFTER_MS)
        self._decode.timeout.connect(self._decode_again)
        self._lay_out()
        workspace.image_changed.connect(self._on_image)
        session.jobs.changed.connect(self._on_jobs)
        self._on_image()
        self._on_jobs()

    def _lay_out(self) -> None:
        self.image_box.add_row("Model", self.model)
        self.image_box.add_row("Segment", self.scope)
        layout = QVBoxLayout(self)
        layout.addWidget(self.image_box)
        layout.addWidget(self.button)
        layout.addWidget(self.said)
        layout.addWidget(folding("Object size, thresholds, device", self.options))
        layout.addWidget(self.stored_fold)
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
        scope, is_large = self.scope.currentData(), streaming.is_large(image)
        self._decoded = asked = self.options.value()
        options = replace(asked, channel=reading.channel)
        if scope == WHOLE and is_large:
            self._start_large(layer, image, axes, options)
            return
        if scope != WHOLE:
            box, time = self._scoped(layer, axes, image, scope)
        if is_large and streaming.is_too_large(image.spatial_shape if box is None else view.shape_of(box)):
            raise UserError(f"This part of '{image.name}' {large.TOO_LARGE}.", "Zoom in, or segment the whole.")

        def _on_done(result: SegmentResult) -> None:
            self._show(layer, image, axes, result, is_part=is_large)
            self._decoded = asked
            self._on_options(self.options.value())  # thresholds may have been changed meanwhile

        self.said.hide()
        seen = view.view_box(self._workspace.viewer, layer, axes)
        job = self._session.segment(
            image,
            _on_done,
            options=options,
            box=box,
            time=time,
            first=seen[1:] if "T" in axes else seen,
            topic=topic_of(layer.unique_id),
        )
        from napari_unet.app.requests import label_box

        self._glimpses = GlimpseLayer(self._workspace.viewer, layer, image, axes, label_box(image, box, time))
        self._glimpses.follow(job)

    def _start_large(self, layer: ImageLayer, image: Image, axes: str, options: SegmentOptions) -> None:
        """Segment from the disk to the disk; after Cancel the next press goes on."""

        def _on_done(result: LargeResult) -> None:
            if layer not in self._workspace.viewer.layers:
                messages.show_info(f"'{image.name}' was removed meanwhile.", f"Its labels lie in {result.path}.")
                return
            with messages.told():
                labels = self._large_results.show(layer, axes, result)
                self._tell(self._large_results.describe(labels, result))

        def _on_ended(state: JobState) -> None:
            if state in (JobState.CANCELLED, JobState.FAILED):
                self._tell(f"What is done is kept in {library.results_folder()}: Segment goes on from there.")

        job = large.start(
            self._session,
            image,
            _on_done,
            options=options,
            large=self.large.value(),
            topic=topic_of(layer.unique_id),
            seen=view.view_box(self._workspace.viewer, layer, axes),
        )
        job.ended.connect(_on_ended)
        steps = streaming.shown_steps(image)
        self._glimpses = GlimpseLayer(self._workspace.viewer, layer, image, axes, None, steps)
        self._glimpses.follow(job)
        self._tell(f"'{image.name}' {large.TOO_LARGE}: its labels are written to {library.results_folder()}.")

    def _scoped(self, layer: ImageLayer, axes: str, image: Image, scope: str) -> tuple[Box | None, int | None]:
        """Give the spatial box and the time point of a scope."""
        viewer = self._workspace.viewer
        at = view.position(viewer, layer)
        time = at[axes.index("T")] if "T" in axes else None
        if scope == TIME:
            return None, time
        boxes = (view.slice_box if scope == SLICE else view.view_box)(viewer, layer, axes)
        return boxes[1:] if "T" in axes else boxes, time

    def _show(self, layer: ImageLayer, image: Image, axes: str, result: SegmentResult, *, is_part: bool) -> None:
        if layer not in self._workspace.viewer.layers:
            messages.show_info(f"'{image.name}' was removed meanwhile.", "Its segmentation was dropped.")
            return
        box = result.box if is_part else None
        if box is not None:
            image = large.crop(image, box)
            result = replace(result, box=None, prediction=replace(result.prediction, box=None))
        with messages.told():
            link = self._results.show(layer, image, axes, result, box)
            self._say(link, result)

    def _say(self, link: Link, result: SegmentResult) -> None:
        if result.is_semantic:
            said = f"{', '.join(result.classes)} in '{link.labels.name}'."
        else:
            n = len(count_labels(layers.labels_array(link.labels))[0])
            said = f"{n} object{'s' * (n != 1)} in '{link.labels.name}'." + NONE_FOUND * (n == 0)
        self._tell("\n".join((said, *result.notes)))

    def _tell(self, text: str) -> None:
        self.said.setText(text)
        self.said.show()

    # ------------------------------------------------------------ decode again

    def _on_options(self, options: SegmentOptions) -> None:
        if any(getattr(options, n) != getattr(self._decoded, n) for n in DECODED):
            self._decode.start()

    def _decode_again(self) -> None:
        link = self._results.current
        if link is None:
            if self._large_results.objects() is not None:
                self._tell(AGAIN)
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
        try:
            is_large = self._workspace.layer is not None and streaming.is_large(self._workspace.image())
        except UserError:  # the image box says what is not clear
            is_large = False
        self.large.setVisible(is_large)
        self.stored_fold.setVisible(is_large or library.results_folder().is_dir())

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
