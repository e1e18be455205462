"""What the correction tools do: each takes the selected objects or what was drawn, and is one undo step."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import delete, merge, split
from napari_unet.ui import layers, view

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from napari.layers import Shapes
    from numpy.typing import NDArray

    from napari_unet.app.session import Session
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

CUTS, REGIONS = "U-Net cuts", "U-Net regions"
Box = tuple[slice, ...]


class Corrector:
    """Correct the current result; every method may raise a `UserError` that says what is missing.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    """

    def __init__(self, workspace: Workspace, results: Results, session: Session) -> None:
        self._viewer, self._results, self._session = workspace.viewer, results, session

    def accept(self, ids: Sequence[int]) -> None:
        """Say that objects are right."""
        link = self._results.need()
        if not ids:
            raise UserError("No object is selected.", "Select one in the table, or press N for the next one.")
        self._session.accept(link.key, ids)

    def doubt(self, ids: Sequence[int]) -> None:
        """Say that objects shall not teach; a second time takes it back."""
        link = self._results.need()
        if not ids:
            raise UserError("No object is selected.", "Select one in the table.")
        known = self._session.states(link.key, layers.labels_array(link.labels))
        if all(known.get(i) == "unsure" for i in ids):
            self._session.mark_sure(link.key, ids)
        else:
            self._session.mark_unsure(link.key, ids)

    def merge(self, ids: Sequence[int]) -> None:
        """Make one object of several."""
        if len(ids) < 2:
            raise UserError(f"{len(ids)} objects are selected; Merge needs two or more.", "Pick them one by one.")
        link = self._results.need()
        frame, lead = self._frame(link)
        self._results.write(link, merge(frame, ids).at(*lead), "Merge")

    def split(self, ids: Sequence[int]) -> None:
        """Split an object along the line drawn last, or by its shape where none is drawn."""
        link = self._results.need()
        frame, lead = self._frame(link)
        shapes = self._drawing(CUTS)
        line = self._line(link, shapes, len(lead)) if shapes is not None and len(shapes.data) else None
        chosen = list(ids) if line is None or len(ids) == 1 else [under_line(frame, line)]
        new_id = int(link.labels.data.max()) + 1
        edit = split(frame, chosen, line=line, voxel_size=link.image.voxel_size, new_id=new_id)
        self._results.write(link, edit.at(*lead), "Split")
        if shapes is not None and line is not None:
            view.clear_shapes(shapes)

    def delete(self, ids: Sequence[int]) -> None:
        """Delete objects; their voxels are known background from now on."""
        link = self._results.need()
        frame, lead = self._frame(link)
        self._results.write(link, delete(frame, ids).at(*lead), "Delete")

    def finish_regions(self) -> int:
        """Say that all is right inside the drawn rectangles, or else in the view; gives how many."""
        link = self._results.need()
        boxes = self._boxes(link)
        with self._results.step("All done in this region", link.key):
            for box in boxes:
                self._session.mark_done(link.key, box)
        return self._used(boxes)

    def mark_background(self) -> int:
        """Say that what carries no label inside the rectangles, or else in the view, is background."""
        link = self._results.need()
        boxes = self._boxes(link)
        with self._results.step("This is background", link.key):
            for box in boxes:
                self._session.mark_background(link.key, box)
        return self._used(boxes)

    def draw_cut(self) -> None:
        """Let the user draw a line through an object."""
        view.add_shapes(self._viewer, self._results.need().labels, CUTS, "add_line")

    def draw_region(self) -> None:
        """Let the user draw rectangles."""
        view.add_shapes(self._viewer, self._results.need().labels, REGIONS, "add_rectangle")

    def go_to(self, label: int) -> None:
        """Show an object and make its label the one that the brush paints."""
        link = self._results.need()
        array = layers.labels_array(link.labels)
        voxel = middle_of(array, label)
        if voxel is not None:
            view.go_to(self._viewer, link.labels, voxel)
            link.labels.selected_label = label

    # ------------------------------------------------------------ what is drawn

    def _frame(self, link: Link) -> tuple[NDArray[np.integer[Any]], tuple[int, ...]]:
        """Give the labels that a tool works on: those of the shown time point."""
        array = layers.labels_array(link.labels)
        if "T" not in link.image.axes:
            return array, ()
        axes = layers.labels_axes(link.labels, link.image.label_axes)
        time = view.position(self._viewer, link.labels)[axes.index("T")]
        return array[time], (time,)

    def _drawing(self, name: str) -> Shapes | None:
        return view.named(self._viewer, name)

    def _line(self, link: Link, shapes: Shapes, skip: int) -> NDArray[np.float64]:
        return view.drawn(self._viewer, shapes, link.labels)[-1][:, skip:]

    def _boxes(self, link: Link) -> list[Box]:
        shapes = self._drawing(REGIONS)
        shape = layers.labels_array(link.labels).shape
        if shapes is not None and len(shapes.data):
            boxes = [view.drawn_box(v, shape) for v in view.drawn(self._viewer, shapes, link.labels)]
            inside = [box for box in boxes if box is not None]
            if not inside:
                raise UserError("The rectangles lie outside the labels.", "Draw them on the image.")
            return inside
        axes = layers.labels_axes(link.labels, link.image.label_axes)
        return [view.view_box(self._viewer, link.labels, axes)]

    def _used(self, boxes: list[Box]) -> int:
        shapes = self._drawing(REGIONS)
        if shapes is not None:
            view.clear_shapes(shapes)
        return len(boxes)


def under_line(labels: NDArray[np.integer[Any]], line: NDArray[np.float64]) -> int:
    """Find the object that most of a line lies on.

    Parameters
    ----------
    labels : integer array
        Of one time point.
    line : (N, labels.ndim) float, voxels
        The vertices of the line.

    Raises
    ------
    UserError
        When it lies on none.
    """
    steps = int(np.abs(np.diff(line, axis=0)).max()) + 1
    points = np.concatenate([np.linspace(a, b, steps + 1) for a, b in itertools.pairwise(line)])
    where = np.clip(np.rint(points), 0, np.array(labels.shape) - 1).astype(int)
    found = labels[tuple(where.T)]
    found = found[found > 0]
    if not found.size:
        raise UserError("The line crosses no object.", "Draw it through the object that is to be split.")
    ids, counts = np.unique(found, return_counts=True)
    return int(ids[counts.argmax()])


def middle_of(labels: NDArray[np.integer[Any]], label: int) -> tuple[float, ...] | None:
    """Find the voxel of an object that is nearest to its centre; None where it is not there."""
    where = np.argwhere(labels == label)
    if not len(where):
        return None
    nearest = np.square(where - where.mean(axis=0)).sum(axis=1).argmin()
    return tuple(float(v) for v in where[nearest])
