"""Join labels layers with the session: results shown, corrections written, everything one undo step."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_unet.app import large
from napari_unet.app.history import CallStep
from napari_unet.app.own_labels import own_labels
from napari_unet.core.base.errors import UserError
from napari_unet.ui import following, layers
from napari_unet.ui.qt import Signal

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unet.app.annotations import Box
    from napari_unet.app.autosave_draft import Restored
    from napari_unet.app.commands import SegmentResult
    from napari_unet.app.session import Session
    from napari_unet.app.whole_edit import WholeEdit
    from napari_unet.core.base.image import Image
    from napari_unet.core.edits import LabelEdit
    from napari_unet.ui.workspace import Workspace

SUFFIX = " (U-Net)"
PAUSE = 5.0  # times the last look
LONGEST_PAUSE_MS = 3000
SETTLE_MS = 150  # after the last stroke, so that tables are not counted anew while the brush moves


@dataclass(frozen=True)
class Link:
    """Join one labels layer with one image and with the session's result of the same key.

    Of a large image `image` is a part, which lies in its `box`: one slice for each axis of the labels.
    """

    key: str
    image_id: Hashable
    labels: Labels
    image: Image
    classes: tuple[str, ...] = ()
    box: Box | None = None


class Results(QObject):
    """Show results on labels layers and write corrections into them.

    Parameters
    ----------
    workspace : Workspace
        Gives the viewer and the current image.
    session : Session
        Keeps predictions, corrections and the history.
    """

    changed = Signal()
    """Another current result, other voxels or other states; comes once after a burst of changes."""

    written = Signal(str, object)
    """Voxels of a result were written: its key, and what changed (`ui.following`); None where that is not known."""

    opened = Signal(object)
    """A labels layer became a result."""

    closing = Signal(object)
    """A result is about to be forgotten: its layer was removed."""

    def __init__(self, workspace: Workspace, session: Session) -> None:
        super().__init__()
        self._workspace, self._session, self._viewer = workspace, session, workspace.viewer
        self._links: dict[str, Link] = {}
        self._ends: dict[str, Callable[[], None]] = {}
        self._step_name = "Paint"
        self._looks: dict[str, tuple[Any, ...]] = {}
        self._is_writing = False
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self.changed)
        workspace.image_changed.connect(self._on_image)
        session.history.changed.connect(self.touch)
        session.result_changed.connect(self._on_result)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.selection.events.active.connect(self._on_active)

    # ------------------------------------------------------------ what there is

    @property
    def current(self) -> Link | None:
        """Give the result of the current image: the newest one."""
        layer = self._workspace.layer
        found = [link for link in self._links.values() if layer is not None and link.image_id == layer.unique_id]
        active = self._viewer.layers.selection.active
        if active is not None and layers.is_stored(active):
            return None  # the tools must not work on a part while the table shows the whole
        return next((link for link in found if link.labels is active), found[-1] if found else None)

    def need(self) -> Link:
        """Give the result of the current image.

        Raises
        ------
        UserError
            When there is none.
        """
        if self.current is None:
            if self.why_large():
                raise UserError(self.why_large())  # with its hint
            raise UserError("There are no labels to correct.", "Segment the image first, or use your own labels layer.")
        return self.current

    def why_large(self) -> str:
        """Say why the tools do not work on labels of the whole current image; empty where they do."""
        try:
            if self._workspace.layer is not None and self._workspace.reading.axes is not None:
                large.check_small(self._workspace.image(), "its labels are painted with napari's brush only")
        except UserError as error:
            return str(error)
        return ""

    def all_labels(self) -> dict[str, NDArray[np.integer[Any]]]:
        """Give the labels of every result by key, not copied."""
        return {key: layers.labels_array(link.labels) for key, link in self._links.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        """Give the keys of all results."""
        return tuple(self._links)

    def link(self, key: str) -> Link | None:
        """Give a result by its key; None where its layer was removed."""
        return self._links.get(key)

    def touch(self) -> None:
        """Announce a change after the burst."""
        self._settle.start()

    def pause_for(self, seconds: float) -> None:
        """Say how long the last look at all labels took: the next one waits for a longer pause of the brush."""
        self._settle.setInterval(round(min(max(SETTLE_MS, PAUSE * 1000 * seconds), LONGEST_PAUSE_MS)))

    # ------------------------------------------------------------ results

    def show(self, layer: ImageLayer, image: Image, axes: str, result: SegmentResult, box: Box | None = None) -> Link:
        """Show a segmentation: merged into the image's labels, or on a new layer; one undo step if merged.

        Parameters
        ----------
        layer : napari Image layer
            What was segmented.
        image : Image
            As it was segmented.
        axes : str
            In the layer's order.
        result : SegmentResult
            Labels of the whole image or of a box.
        box : Box, optional
            Of a large image: `image` and `result` are of this part only, and the labels get a layer of that size.
        """
        link = self.link_of(layer, box)
        # Labels of a stack are none of a time series, though their shape may be the same.
        is_alike = link is not None and (bool(link.classes), link.image.label_axes) == (
            result.is_semantic,
            image.label_axes,
        )
        if link is not None and is_alike and layers.fits(link.labels, image.label_shape):
            self.merge(link, result)
            return link
        full = np.zeros(image.label_shape, np.int32)
        full[result.box or ...] = result.labels
        at = None if box is None else tuple(part.start for part in box)
        labels = layers.add_labels(self._viewer, layer, axes, full, f"{image.name}{SUFFIX}", at=at)
        if result.is_semantic:
            layers.name_classes(labels, result.classes)
        return self._open(labels, layer, image, full, result=result, box=box)

    def merge(self, link: Link, result: SegmentResult, name: str = "Segment") -> None:
        """Merge a new prediction into the labels of a result; what the user corrected stays."""
        with self.step(name, link.key):
            merged = self._session.merge_result(link.key, layers.labels_array(link.labels), result)
            layers.write_labels(link.labels, merged)

    def adopt(self, labels: Labels) -> Link:
        """Take a labels layer that the user or another tool made, as if it had been predicted: to be reviewed.

        What cannot be painted is copied to a layer of its own.

        Raises
        ------
        UserError
            When it does not fit the current image, or is no labels.
        """
        image, layer, axes = self._workspace.image(), self._workspace.layer, self._workspace.reading.axes
        if layer is None or axes is None:
            raise UserError("There is no image.", "Open one first.")
        large.check_small(image, "labels of the whole cannot be corrected with these tools")
        if labels.multiscale:
            raise UserError(f"'{labels.name}' is a pyramid.", "Open only its finest level as a labels layer.")
        array = own_labels(labels.data, image.label_shape, labels.name)
        if array is not labels.data:
            labels.visible = False
            labels = layers.add_labels(self._viewer, layer, axes, array, f"{labels.name}{SUFFIX}")
        return self._open(labels, layer, image, array)

    def new_labels(self) -> Link:
        """Add an empty labels layer for the current image, to draw on.

        Raises
        ------
        UserError
            Without an image, or while its axes are not clear.
        """
        image, layer, axes = self._workspace.image(), self._workspace.layer, self._workspace.reading.axes
        if layer is None or axes is None:
            raise UserError("There is no image.", "Open one first.")
        large.check_small(image, "empty labels of the whole cannot be made")
        full = np.zeros(image.label_shape, np.int32)
        labels = layers.add_labels(self._viewer, layer, axes, full, f"{layer.name}{SUFFIX}")
        return self._open(labels, layer, image, full.copy())

    def bring_back(self, layer: ImageLayer, axes: str, restored: Restored) -> Link:
        """Show labels that were autosaved on a new layer of their image.

        Parameters
        ----------
        layer : napari Image layer
            What they belong to.
        axes : str
            In the layer's order.
        restored : Restored
            Labels and states.
        """
        at = None if restored.box is None else tuple(part.start for part in restored.box)
        labels = layers.add_labels(self._viewer, layer, axes, restored.labels, restored.title, at=at)
        if restored.classes:
            layers.name_classes(labels, restored.classes)
        key = str(labels.unique_id)
        link = Link(key, layer.unique_id, labels, restored.result.image, restored.classes, restored.box)
        self._session.bring_back(key, restored.result)
        return self._follow(link)

    def take_over(self, link: Link, restored: Restored) -> None:
        """Write labels and states that were autosaved into an open result; one undo step."""
        with self.step("Restore", link.key):
            layers.write_labels(link.labels, restored.labels)
            self._session.bring_back(link.key, restored.result, undoable=True)

    def link_of(self, layer: ImageLayer, box: Box | None = None) -> Link | None:
        """Give the newest result of an image layer, or of a part of it."""
        links = reversed(self._links.values())
        return next((k for k in links if k.image_id == layer.unique_id and k.box == box), None)

    def _open(
        self,
        labels: Labels,
        layer: ImageLayer,
        image: Image,
        start: NDArray[np.integer[Any]],
        *,
        result: SegmentResult | None = None,
        box: Box | None = None,
    ) -> Link:
        key = str(labels.unique_id)
        link = Link(key, layer.unique_id, labels, image, () if result is None else result.classes, box)
        prediction, model = (None, "") if result is None else (result.prediction, result.model)
        self._session.open_result(key, image, start, prediction=prediction, semantic=bool(link.classes), model=model)
        return self._follow(link)

    def _follow(self, link: Link) -> Link:
        self._links[link.key] = link
        self._ends[link.key] = following.on_written(link.labels, partial(self._on_paint, link.key))
        self._looks[link.key] = following.look_of(self._viewer, link.labels)
        link.labels.events.set_data.connect(self._on_drawn)
        self.opened.emit(link)
        self.touch()
        return link

    # ------------------------------------------------------------ corrections

    def write(self, link: Link, edit: LabelEdit, name: str) -> None:
        """Write an edit as one undo step."""
        with self.step(name, link.key):
            layers.write_edit(link.labels, edit)

    @contextmanager
    def step(self, name: str, key: str) -> Iterator[None]:
        """Make one undo step of all that is written and stated inside."""
        before, self._step_name = self._step_name, name
        try:
            with self._session.history.group(name, key), self._writing():
                yield
        finally:
            self._step_name = before

    def write_whole(self, link: Link, edit: WholeEdit, name: str) -> None:
        """Write what was worked out beside the window as one undo step."""
        with self.step(name, link.key):
            layers.write_whole(link.labels, edit)

    def _on_paint(self, key: str, changes: following.Changes) -> None:
        if key in self._links:
            calls = (partial(self._replay, key), partial(self._replay, key, redo=True))
            self._session.history.push(CallStep(self._step_name, *calls, owner=key))
            self.written.emit(key, changes)

    def _replay(self, key: str, *, redo: bool = False) -> None:
        with self._writing():
            changes = following.replay(self._links[key].labels, redo=redo)
        self.written.emit(key, changes)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Know what napari draws anew for."""
        before, self._is_writing = self._is_writing, True
        try:
            yield
        finally:
            self._is_writing = before

    def _on_drawn(self, event: Any) -> None:
        """Notice that a layer is drawn anew though neither its look nor its place has changed: others wrote into it."""
        for key, link in self._links.items():
            if link.labels is event.source:
                look = following.look_of(self._viewer, link.labels)
                is_unseen = look == self._looks[key] and not self._is_writing
                self._looks[key] = look
                if is_unseen:
                    self.written.emit(key, None)
                    self.touch()

    def _on_result(self, key: str) -> None:
        self.touch()

    def _on_image(self) -> None:
        """Measure the results of the current image with the voxel size that it has by now."""
        layer = self._workspace.layer
        with suppress(UserError):  # the image box says what is not clear
            image = self._workspace.image()
            for key, link in list(self._links.items()):
                if layer is None or (link.image_id, link.image.label_axes) != (layer.unique_id, image.label_axes):
                    continue
                if link.image.voxel_size != image.voxel_size:
                    self._links[key] = replace(link, image=replace(link.image, voxel_size=image.voxel_size))
                    self._session.set_voxel_size(key, image.voxel_size)
        self.touch()

    # ------------------------------------------------------------ layers come and go

    def _on_active(self, event: object) -> None:
        active = self._viewer.layers.selection.active
        link = next((k for k in self._links.values() if k.labels is active), None)
        if link is not None:
            owner = next((la for la in self._viewer.layers if la.unique_id == link.image_id), None)
            if owner is not None:
                self._workspace.follow(owner)
        self.touch()

    def _on_removed(self, event: object) -> None:
        removed = getattr(event, "value", None)
        gone = [k.key for k in self._links.values() if removed is not None and k.labels is removed]
        self.close(gone)

    def close(self, keys: Iterable[str]) -> None:
        """Forget results whose layer is gone."""
        for key in list(keys):
            self.closing.emit(self._links[key])
            self._ends.pop(key)()
            self._links[key].labels.events.set_data.disconnect(self._on_drawn)
            del self._links[key], self._looks[key]
            self._session.history.forget(key)
            self._session.close_result(key)
        self.touch()

    def close_links(self) -> None:
        """Listen to the viewer and its layers no longer; the layers stay. Touches nothing of Qt: it may be gone."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        for key, end in self._ends.items():
            end()
            self._links[key].labels.events.set_data.disconnect(self._on_drawn)
        self._ends.clear()
