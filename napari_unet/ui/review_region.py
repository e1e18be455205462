"""Suggest the next region: find it beside the window, draw it, look at it."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.app.job import Job
from napari_unet.core.base.errors import UserError
from napari_unet.ui import layers, messages, view
from napari_unet.ui.drawings import REGIONS

if TYPE_CHECKING:
    from napari.layers import Labels, Shapes
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_unet.app.session import Session
    from napari_unet.app.suggest import Suggestion
    from napari_unet.ui.counting import Counting
    from napari_unet.ui.drawings import Drawings
    from napari_unet.ui.results import Link, Results

EDGE = "#56b4e9"
RIM = 0.4  # voxels that a rectangle reaches beyond the middle of its outermost ones; they round to it again


class Suggesting:
    """Suggest regions, one after the other.

    Parameters
    ----------
    viewer, results, session
        What the tabs share.
    counting : Counting
        What is known of the objects.
    drawings : Drawings
        Where regions are drawn.
    """

    def __init__(
        self, viewer: Viewer, results: Results, session: Session, counting: Counting, drawings: Drawings
    ) -> None:
        self._viewer, self._results, self._session = viewer, results, session
        self._counting, self._drawings = counting, drawings
        self._earlier: dict[str, list[view.Box]] = {}
        self._drawn: NDArray[np.float64] = np.zeros((0, 4, 0))
        results.closing.connect(self._on_closing)

    def suggest(self) -> None:
        """Look for the region most worth correcting next, then show it.

        Raises
        ------
        UserError
            Without labels, or while rectangles of another image are drawn.
        """
        from napari_unet.app.suggest_places import SuggestRequest, look_for_region  # the dock opens without it

        link = self._results.need()
        _check_layer(self._viewer, link.labels)
        request = SuggestRequest(
            layers.labels_array(link.labels),
            self._session.result(link.key).corrections,
            link.image.label_axes,
            link.image.voxel_size,
            self._session.confidences(link.key),
            tuple(self._earlier.get(link.key, ())),
            self._counting.known(link),
        )
        job: Job[Suggestion] = Job("Look for a region", _topic(link.key), exclusive=False)
        self._session.jobs.start(look_for_region, request, job, on_done=partial(self._on_found, link))

    def _on_found(self, link: Link, found: Suggestion) -> None:
        earlier = self._earlier.setdefault(link.key, [])
        earlier.append(found.box)
        with messages.told():
            self._draw(link.labels, found.box)
            view.look_at(self._viewer, link.labels, found.box)
        how = ", drawn by lot" if found.by_lot else ""
        messages.show_info(
            f"Region {len(earlier)}{how}: {found.n_objects} object{'s' * (found.n_objects != 1)}, "
            f"{found.n_open} not reviewed.",
            "Correct what is wrong in it, then press All done.",
        )

    def _draw(self, labels: Labels, box: view.Box) -> None:
        """Draw a region in place of the one suggested before; rectangles of the user stay."""
        _check_layer(self._viewer, labels)
        found = view.named(self._viewer, REGIONS)
        shapes: Any = self._drawings.start(labels, REGIONS, "pan_zoom") if found is None else found
        old = [i for i, data in enumerate(shapes.data) if any(_same(data, one) for one in self._drawn)]
        if old:
            shapes.selected_data = set(old)
            shapes.remove_selected()
        self._drawn = rectangles(self._viewer, labels, shapes, box)
        shapes.add_rectangles(self._drawn, face_color="transparent", edge_color=EDGE)
        shapes.selected_data = set()
        if self._viewer.layers.selection.active is not labels:  # to change it takes napari long
            self._viewer.layers.selection.active = labels

    def _on_closing(self, link: Link) -> None:
        self._earlier.pop(link.key, None)
        self._session.jobs.supersede(_topic(link.key))


def rectangles(viewer: Viewer, labels: Labels, shapes: Shapes, box: view.Box) -> NDArray[np.float64]:
    """Draw a box as rectangles in the shown plane: one for each slice, as napari shows what lies wholly in a slice.

    Parameters
    ----------
    viewer : napari Viewer
        Says which axes are shown.
    labels, shapes : napari layers
        What the box is of, and where it is drawn.
    box : Box
        One slice for each axis of the labels, without that of the channels.

    Returns
    -------
    (N, 4, shapes.ndim) float
        Corners in voxels of `shapes`.
    """
    channel = layers.channel_axis(labels)
    parts = list(box)
    if channel is not None:
        parts.insert(channel, slice(0, 1))
    first = viewer.dims.ndim - labels.ndim
    across, along = (axis - first for axis in viewer.dims.displayed[-2:])
    hidden = [axis for axis in range(labels.ndim) if axis not in (across, along)]
    (a, b), (c, d) = ((parts[i].start - RIM, parts[i].stop - 1 + RIM) for i in (across, along))
    corners = []
    for at in product(*(range(parts[i].start, parts[i].stop) for i in hidden)):
        one = np.zeros((4, labels.ndim))
        one[:, hidden] = at
        one[:, across], one[:, along] = (a, a, b, b), (c, d, d, c)
        corners.append([shapes.world_to_data(labels.data_to_world(corner)) for corner in one])
    return np.array(corners)


def _check_layer(viewer: Viewer, labels: Labels) -> None:
    """Make way for rectangles with the axes of the labels."""
    shapes = view.named(viewer, REGIONS)
    if shapes is None or shapes.ndim == labels.ndim:
        return
    if len(shapes.data):
        raise UserError(
            f"The layer '{REGIONS}' holds rectangles of an image with other axes.", "Use them or remove the layer."
        )
    viewer.layers.remove(shapes)


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other))


def _topic(key: str) -> str:
    return f"region {key}"
