"""Show labels that lie on the disk: painted where they are, or only looked at where one slice is too large."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_unet.app import large, streaming
from napari_unet.app.history import CallStep
from napari_unet.app.job import Job
from napari_unet.core.base.errors import UserError
from napari_unet.ui import following, layers, messages, shortcuts, view

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

    from napari.layers import Image as ImageLayer
    from napari.layers import Labels

    from napari_unet.app.annotations import Box
    from napari_unet.app.large import LargeResult
    from napari_unet.app.session import Session
    from napari_unet.app.stored_rows import StoredObjects
    from napari_unet.ui.workspace import Workspace

SUFFIX = " (U-Net)"

AROUND = 3
"""Sizes of an object that are shown around it on each side."""

EDGE = 8192
"""px; a slice that is longer fits no texture of a usual graphics card, and its pyramid is shown instead."""


class LargeResults(QObject):
    """Show results of large images on layers of their own.

    Their strokes are steps of the dock's undo list. They are no results to correct with the tools or to learn from:
    those need labels in memory.

    Parameters
    ----------
    workspace : Workspace
        Gives the viewer.
    session : Session
        Keeps the history.
    """

    def __init__(self, workspace: Workspace, session: Session) -> None:
        super().__init__()
        self._workspace, self._session, self._viewer = workspace, session, workspace.viewer
        self._shown: dict[Labels, tuple[Path, Hashable]] = {}
        self._objects: dict[Labels, StoredObjects] = {}
        self._ends: dict[Labels, Callable[[], None]] = {}
        self._painted: set[Labels] = set()
        self._hidden: list[Labels] = []
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.selection.events.active.connect(self._on_active)
        # First, before napari reads a whole volume for its three-dimensional view.
        self._viewer.dims.events.ndisplay.connect(self._on_ndisplay, position="first")

    def show(self, layer: ImageLayer, axes: str, result: LargeResult) -> Labels:
        """Show labels from the disk, or find the layer that shows them already.

        Parameters
        ----------
        layer : napari Image layer
            What was segmented.
        axes : str
            In the layer's order.
        result : LargeResult
            Where the labels lie.
        """
        from napari_unet.core.io import open_labels, read_levels, read_objects

        there = next((labels for labels, (path, _) in self._shown.items() if path == result.path), None)
        if there is not None:
            self._viewer.layers.selection.active = there
            return there
        finest = open_labels(result.path)
        can_paint = max(finest.shape[-2:]) <= EDGE
        data = finest if can_paint else [open_labels(result.path, "r"), *(c.data for c in read_levels(result.path)[1:])]
        made = layers.add_labels(self._viewer, layer, axes, data, f"{layer.name}{SUFFIX}")
        if result.classes:
            layers.name_classes(made, result.classes)
        else:
            from napari_unet.app.stored_rows import stored_objects

            known = read_objects(result.path)
            layers.tell_objects(made, {name: known[name] for name in ("size", "confidence") if name in known})
            image = layers.to_image(layer, axes, self._workspace.reading_of(layer).voxel_size)
            self._objects[made] = stored_objects(known, image.voxel_size)
        made.metadata[layers.KEY]["stored"] = True
        self._shown[made] = (result.path, layer.unique_id)
        if can_paint:
            self._ends[made] = following.on_written(made, partial(self._on_paint, made))
            history = self._session.history
            shortcuts.bind(made, {"undo": history.undo, "redo": history.redo})
            if self._viewer.dims.ndisplay == 3:
                self._on_ndisplay()
        return made

    def describe(self, labels: Labels, result: LargeResult) -> str:
        """Say what was found, where it lies, and what can be done with it."""
        if result.classes:
            said = f"{', '.join(result.classes)} in '{labels.name}'."
        elif result.n_objects is None:
            said = f"'{labels.name}': these labels were made before, with the same model and options."
        else:
            said = f"{result.n_objects} object{'s' * (result.n_objects != 1)} in '{labels.name}'."
        how = (
            "Paint with napari's brush: every stroke is on the disk at once."
            if labels in self._ends
            else "To be looked at: one picture of this size cannot be painted."
        )
        return "\n".join((said, f"They lie in {result.path}. {how}", large.PART, *result.notes))

    @property
    def paths(self) -> set[Path]:
        """Give the labels that are shown."""
        return {path for path, _ in self._shown.values()}

    def objects(self) -> tuple[Labels, StoredObjects] | None:
        """Give what is known of the objects of the current image: of the active layer, else of the newest."""
        image, active = self._workspace.layer, self._viewer.layers.selection.active
        found = [
            (labels, self._objects[labels])
            for labels, (_, owner) in self._shown.items()
            if labels in self._objects and image is not None and owner == image.unique_id
        ]
        return next((one for one in found if one[0] is active), found[-1] if found else None)

    def go_to(self, label: int) -> None:
        """Show an object of the current image with what lies around it; its number is the one that the brush paints.

        Raises
        ------
        UserError
            When it is not known where it lies.
        """
        found = self.objects()
        if found is None:
            return
        box = found[1].box(label)
        if box is None:  # an earlier version wrote no boxes
            raise UserError(f"It is not known where object {label} lies.", "Segment the image afresh.")
        view.look_at(self._viewer, found[0], _around(box, _label_shape(found[0])))
        view.go_to(self._viewer, found[0], tuple((part.start + part.stop - 1) / 2 for part in box))
        if found[0].editable:
            found[0].selected_label = label

    def close_links(self) -> None:
        """Listen to the viewer no longer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        for end in self._ends.values():
            end()
        self._ends.clear()

    # ------------------------------------------------------------ slots

    def _on_paint(self, labels: Labels, _: object) -> None:
        self._painted.add(labels)
        self._session.history.push(CallStep("Paint", labels.undo, labels.redo, owner=str(labels.unique_id)))

    def _on_active(self, event: object) -> None:
        active = self._viewer.layers.selection.active
        owner = next((owner for labels, (_, owner) in self._shown.items() if labels is active), None)
        for layer in list(self._viewer.layers):
            if owner is not None and layer.unique_id == owner:
                self._workspace.follow(layer)

    def _on_ndisplay(self, event: object = None) -> None:
        """Hide what would be read as a whole for the three-dimensional view, and bring it back after it."""
        if self._viewer.dims.ndisplay == 2:
            for labels in self._hidden:
                labels.visible = True
            self._hidden.clear()
            return
        for labels in self._ends:
            if labels.visible and streaming.is_too_large(labels.data.shape[-3:]):
                labels.visible = False
                self._hidden.append(labels)
                messages.show_info(f"'{labels.name}' {large.TOO_LARGE}.", "It is shown in the two-dimensional view.")

    def _on_removed(self, event: object) -> None:
        removed = getattr(event, "value", None)
        if removed is None or removed not in self._shown:
            return
        path, _ = self._shown.pop(removed)
        self._objects.pop(removed, None)
        end = self._ends.pop(removed, None)
        if end is not None:
            end()
        if removed in self._hidden:
            self._hidden.remove(removed)
        self._session.history.forget(str(removed.unique_id))
        if removed in self._painted:
            self._painted.remove(removed)
            job: Job[None] = Job(f"Write the pyramid of '{path.name}'", exclusive=False)
            self._session.jobs.start(large.refresh_pyramid, path, job)


def _label_shape(labels: Labels) -> tuple[int, ...]:
    """Give the shape of shown labels without the axis that stands for the channels."""
    shape = list(labels.data.shape)
    channel = layers.channel_axis(labels)
    if channel is not None:
        shape.pop(channel)
    return tuple(shape)


def _around(box: Box, shape: tuple[int, ...]) -> Box:
    return tuple(
        slice(
            max(0, part.start - AROUND * (part.stop - part.start)),
            min(n, part.stop + AROUND * (part.stop - part.start)),
        )
        for part, n in zip(box, shape, strict=True)
    )
