"""What the buttons of the Correct tab do: each takes the selected objects or what was drawn, and is one undo step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.app.history import StateStep
from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import EDITS
from napari_unet.core.edits.find import find, highest_id
from napari_unet.core.edits.magic import no_output
from napari_unet.ui import layers, view
from napari_unet.ui.drawings import DRAWING, REGIONS, SEEDS, Drawings, enclosed, under_line
from napari_unet.ui.frame import Frame, frame_of
from napari_unet.ui.magic import MagicPen
from napari_unet.ui.whole_edits import WholeEdits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unet.app.edges import EdgeMap
    from napari_unet.app.requests import KeptOutput
    from napari_unet.app.session import Session
    from napari_unet.core.edits import Tool
    from napari_unet.core.edits.places import Places
    from napari_unet.ui.counting import Counting
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

Box = tuple[slice, ...]

MOST_OUTLINES = 20
"""Drawn by hand and kept, so that the next one of the same object goes on from them."""


class Corrector:
    """Correct the current result; every method may raise a `UserError` that says what is missing.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    counting : Counting
        Knows where objects are.
    """

    def __init__(self, workspace: Workspace, results: Results, session: Session, counting: Counting) -> None:
        self._viewer, self._results, self._session = workspace.viewer, results, session
        self._counting = counting
        self.drawings, self.pen = Drawings(workspace.viewer), MagicPen(workspace.viewer)
        self.outline_pen = MagicPen(workspace.viewer, outlines=True)
        self._outlines: list[NDArray[np.float64]] = []
        self.whole = WholeEdits(results, session, counting)

    # ------------------------------------------------------------ what is said about objects

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
        if self._session.result(link.key).corrections.unsure.issuperset(ids):
            self._session.mark_sure(link.key, ids)
        else:
            self._session.mark_unsure(link.key, ids)

    def finish_regions(self) -> int:
        """Say that all is right inside the drawn rectangles, or else in the view; gives how many."""
        return self._say_of_regions("All done in this region", self._session.mark_done)

    def mark_background(self) -> int:
        """Say that what carries no label inside the rectangles, or else in the view, is background."""
        return self._say_of_regions("This is background", self._session.mark_background)

    def _say_of_regions(self, name: str, say: Callable[[str, Box], None]) -> int:
        link = self._results.need()
        axes = layers.labels_axes(link.labels, link.image.label_axes)
        boxes = self.drawings.boxes(link.labels) or [view.view_box(self._viewer, link.labels, axes)]
        with self._results.step(name, link.key):
            for box in boxes:
                say(link.key, box)
        self.drawings.clear(REGIONS)
        return len(boxes)

    # ------------------------------------------------------------ tools

    def use(
        self,
        name: str,
        ids: Sequence[int],
        parameters: Mapping[str, Any] | None = None,
        *,
        in_slice: bool = False,
        at_pointer: bool = False,
        drawn: NDArray[np.float64] | None = None,
    ) -> None:
        """Use a correction tool: one undo step.

        Parameters
        ----------
        name : str
            A key of `EDITS`.
        ids : sequence of int
            The selected objects; those that an outline encloses or a line crosses go before them.
        parameters : mapping of str to value, optional
            What a person chose; the rest is filled in.
        in_slice : bool
            Change the shown slice only, where the labels are a stack.
        at_pointer : bool
            Without a selection, take the object under the mouse pointer.
        drawn : (N, axes of the labels layer) float, voxels, optional
            An outline or line drawn by hand, instead of what is on the layers for drawing.
        """
        link, tool = self._results.need(), EDITS[name]
        if link.classes and tool.no_classes:
            raise UserError(f"These labels are classes, not single objects: no '{tool.title}'.", tool.no_classes)
        frame = frame_of(self._viewer, link, tool.span, in_slice=in_slice)
        filled = self._filled(tool, link, frame)
        if drawn is not None:
            channel = layers.channel_axis(link.labels)
            drawn = drawn if channel is None else np.delete(drawn, channel, axis=1)
            filled["outline" if name == "draw" else "line"] = frame.flat(drawn)
        chosen = self._chosen(name, link, frame, ids, drawn, at_pointer=at_pointer)
        if tool.is_whole:
            self.whole.use(link, name, frame, chosen, lambda: {**(parameters or {}), **self._filled(tool, link, frame)})
        else:
            edit = tool(frame.labels, chosen, **{**(parameters or {}), **filled})
            with self._results.step(tool.title, link.key):
                self._results.write(link, edit.at(*frame.key), tool.title)
                if drawn is not None and name == "draw":
                    self._remember(drawn, tool.title, link.key)
        if drawn is None:
            self.drawings.clear(DRAWING, SEEDS)
        if name == "copy_on" and frame.axis is not None:  # the next copy starts there
            view.step_to(self._viewer, link.labels, frame.layer_axis, edit.box[frame.axis].start)

    def _filled(self, tool: Tool, link: Link, frame: Frame) -> dict[str, Any]:
        """Give the parameters that nobody has to choose, by their names in the signature."""
        from napari_unet.app.edges import KeptMaps, basins  # the dock opens without it

        wanted, found = tool.takes(), self.drawings
        places = self._places(link)
        known: dict[str, Callable[[], Any]] = {
            "voxel_size": lambda: frame.voxel_size,
            "new_id": lambda: int(link.labels.selected_label) if link.classes else self._new_id(link, tool, places),
            "places": lambda: None if places is None else places.inside(frame.key),
            "line": lambda: found.line(link.labels, frame),
            "seeds": lambda: found.seeds(link.labels, frame),
            "outline": lambda: found.outline(link.labels, frame),
            "stroke": lambda: None if found.outline(link.labels, frame) is not None else found.line(link.labels, frame),
            "edges": lambda: self._edges(link, frame),
            "earlier": lambda: self._earlier(frame),
            "spared": lambda: self._session.result(link.key).corrections.accepted,
            "maps": lambda: None if (kept := self._kept(link)) is None else KeptMaps(kept, frame.key),
            "basins": lambda: basins,
            "is_semantic": lambda: bool(link.classes),
            "add": lambda: self.pen.strokes(link.labels, frame, is_plus=True),
            "remove": lambda: self.pen.strokes(link.labels, frame, is_plus=False),
            "axis": lambda: frame.axis or 0,
            "at": lambda: frame.at,
        }
        return {name: value for name in sorted(wanted & known.keys()) if (value := known[name]()) is not None}

    def _new_id(self, link: Link, tool: Tool, places: Places | None) -> int | None:
        """Give a number above all that are there, and above those of deleted objects of which something was said."""
        if places is None and tool.is_whole:
            return None  # one that works beside the window looks there
        c = self._session.result(link.key).corrections
        said = max(max(c.accepted, default=0), max(c.unsure, default=0))
        return max(highest_id(link.labels.data) if places is None else places.highest, said) + 1

    def _places(self, link: Link) -> Places | None:
        """Say where the objects are, as far as that is known."""
        known = self._counting.known(link)
        return None if known is None else known.places

    def _kept(self, link: Link) -> KeptOutput | None:
        return self._session.result(link.key).prediction

    def _edges(self, link: Link, frame: Frame) -> EdgeMap | None:
        kept = self._kept(link)
        if kept is None:
            return None
        from napari_unet.app.edges import EdgeMap

        return EdgeMap(kept, frame.key, int(link.labels.selected_label) if link.classes else 0)

    def _earlier(self, frame: Frame) -> list[NDArray[np.float64]]:
        """Give the outlines drawn before in this time point."""
        fixed = [(axis, at) for axis, at in enumerate(frame.key) if at is not None]
        here = [one for one in self._outlines if all((np.rint(one[:, axis]) == at).all() for axis, at in fixed)]
        return [frame.flat(one) for one in here]

    def _chosen(
        self,
        name: str,
        link: Link,
        frame: Frame,
        ids: Sequence[int],
        drawn: NDArray[np.float64] | None,
        *,
        at_pointer: bool,
    ) -> list[int]:
        """Give the objects that are meant: those drawn around or through, else the selected, else at the pointer."""
        tool = EDITS[name]
        if tool.needs == "none":
            return []
        if name == "split" and drawn is not None:
            return under_line(frame.labels, frame.flat(drawn))[:1]
        line = self.drawings.line(link.labels, frame)
        if name == "split":
            return list(ids) if line is None or len(ids) == 1 else under_line(frame.labels, line)[:1]
        outline = self.drawings.outline(link.labels, frame)
        if outline is not None:
            return enclosed(frame.labels, outline)
        if line is not None:
            return under_line(frame.labels, line)
        if not ids and at_pointer and tool.needs != "any":
            below = view.under_pointer(self._viewer, link.labels)
            return [below] if below else []
        return list(ids)

    # ------------------------------------------------------------ drawing and looking

    def take_outline_pen(self) -> Labels | None:
        """Let the user outline objects, until `outline_pen.stop`; gives the labels that are outlined."""
        link = self._results.need()
        self.outline_pen.start(link.labels)
        return link.labels

    def _remember(self, outline: NDArray[np.float64], name: str, key: str) -> None:
        """Keep an outline for the next one of the same object, until its step is undone."""
        before, after = self._outlines, [*self._outlines[1 - MOST_OUTLINES :], outline]
        self._keep(after)
        self._session.history.push(StateStep(name, self._keep, before, after, key))

    def _keep(self, outlines: list[NDArray[np.float64]]) -> None:
        self._outlines = outlines

    def take_pen(self) -> None:
        """Let the user draw strokes for magic correction, until `pen.stop`."""
        link = self._results.need()
        if self._kept(link) is None:
            raise no_output()
        self.pen.start(link.labels)

    def draw_cut(self) -> None:
        """Let the user draw a line through an object."""
        self.drawings.start(self._results.need().labels, DRAWING, "add_path")

    def draw_outline(self) -> None:
        """Let the user draw an outline: of a new object, or around objects."""
        self.drawings.start(self._results.need().labels, DRAWING, "add_polygon_lasso")

    def place_seeds(self) -> None:
        """Let the user place points."""
        self.drawings.start(self._results.need().labels, SEEDS, "add")

    def draw_region(self) -> None:
        """Let the user draw rectangles."""
        self.drawings.start(self._results.need().labels, REGIONS, "add_rectangle")

    def go_to(self, label: int) -> None:
        """Show an object and make its label the one that the brush paints."""
        link = self._results.need()
        voxel = middle_of(layers.labels_array(link.labels), label, self._places(link))
        if voxel is not None:
            view.go_to(self._viewer, link.labels, voxel)
            link.labels.selected_label = label


def middle_of(labels: NDArray[np.integer[Any]], label: int, places: Places | None = None) -> tuple[float, ...] | None:
    """Find the voxel of an object that is nearest to its centre; None where it is not there."""
    try:
        found = find(labels, [label], places=places)
    except UserError:
        return None
    where = np.argwhere(found.mask)
    nearest = where[np.square(where - where.mean(axis=0)).sum(axis=1).argmin()]
    return tuple(float(at + part.start) for at, part in zip(nearest, found.box, strict=True))
