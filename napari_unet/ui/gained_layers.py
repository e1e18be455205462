"""Held-out cells in the picture: outlines of those gained and lost, and what both models made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_unet.core.base.tiles import shift
from napari_unet.ui import layers

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_unet.app.requests import HeldOut
    from napari_unet.core.base.tiles import Box
    from napari_unet.ui.results import Link

GAINED, LOST, CHANGED = "gained", "lost", "changed"
COLOURS = {GAINED: "#009e73", LOST: "#d55e00", CHANGED: "#f0e442"}
"""Of the colours by Okabe and Ito (see `review_colours`)."""

NAME = "{}: gained and lost"
BEFORE, AFTER = "{}: before", "{}: after"
CONTOUR = 2  # px
OPACITY = 0.4


@dataclass(frozen=True, eq=False)
class Picture:
    """The layers of one image's held-out cells."""

    outlines: Labels = field(repr=False)
    before: Labels = field(repr=False)
    after: Labels = field(repr=False)


@dataclass(frozen=True, eq=False)
class Sheet:
    """All held-out cells of one image on one array.

    Parameters
    ----------
    corner : tuple of int
        Where it begins in the labels, in voxels.
    cells, before, after : int arrays
        The cells that differ, and the labels by both models; no number occurs twice.
    kinds : dict of int to str
        What became of each of `cells`.
    """

    corner: tuple[int, ...]
    cells: NDArray[np.int32] = field(repr=False)
    before: NDArray[np.int32] = field(repr=False)
    after: NDArray[np.int32] = field(repr=False)
    kinds: dict[int, str]


def lay_out(parts: Sequence[HeldOut], offset: tuple[int, ...]) -> Sheet:
    """Put the held-out parts of one image onto one array.

    Parameters
    ----------
    parts : sequence of HeldOut
        At least one; with a time where the labels have time.
    offset : tuple of int
        Where the labels begin in the image, one for each of their axes.
    """
    boxes = [shift(_whole_box(one), offset) for one in parts]
    corner = tuple(min(box[axis].start for box in boxes) for axis in range(len(offset)))
    shape = tuple(max(box[axis].stop for box in boxes) - corner[axis] for axis in range(len(offset)))
    cells, before, after = (np.zeros(shape, np.int32) for _ in range(3))
    kinds: dict[int, str] = {}
    for one, box in zip(parts, boxes, strict=True):
        inside = shift(box, tuple(-start for start in corner))
        size = cells[inside].shape
        for whole, part in ((before, one.part.before), (after, one.part.after)):
            _put(whole[inside], part.reshape(size), int(whole.max(initial=0)))
        names = {**dict.fromkeys(one.part.gained, GAINED), **dict.fromkeys(one.part.lost, LOST)}
        names |= dict.fromkeys(one.part.changed, CHANGED)
        first = int(cells.max(initial=0))
        differing = np.where(np.isin(one.part.cells, list(names)), one.part.cells, 0)
        _put(cells[inside], differing.reshape(size), first)
        kinds |= {first + number: kind for number, kind in names.items()}
    return Sheet(corner, cells, before, after, kinds)


def _whole_box(one: HeldOut) -> Box:
    """Give the box in the labels, with the time point."""
    return one.part.box if one.time is None else (slice(one.time, one.time + 1), *one.part.box)


def _put(whole: NDArray[np.int32], part: NDArray[np.integer[Any]], above: int) -> None:
    """Write the objects of a part under numbers of their own."""
    whole[part > 0] = part[part > 0] + above


def show(viewer: Viewer, link: Link, layer: ImageLayer, axes: str, parts: Sequence[HeldOut]) -> Picture:
    """Show the held-out cells of one image on layers that nothing saves and no tool works on.

    Parameters
    ----------
    viewer : napari Viewer
        Gets the layers; what is active stays so.
    link : Link
        The labels that the parts belong to.
    layer : napari Image layer
        Of the same image.
    axes : str
        Of that layer, in its order.
    parts : sequence of HeldOut
        Of these labels.
    """
    n_axes = len(link.image.label_axes)
    offset = (0,) * n_axes if link.box is None else tuple(part.start for part in link.box)
    sheet = lay_out(parts, offset)
    active = viewer.layers.selection.active
    name = link.labels.name
    before = _add(viewer, layer, axes, sheet.before, BEFORE.format(name), sheet.corner)
    after = _add(viewer, layer, axes, sheet.after, AFTER.format(name), sheet.corner)
    before.opacity = after.opacity = OPACITY
    before.visible = False
    outlines = _add(viewer, layer, axes, sheet.cells, NAME.format(name), sheet.corner)
    outlines.contour, outlines.opacity = CONTOUR, 1.0
    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    outlines.colormap = DirectLabelColormap(
        color_dict=colours | {number: COLOURS[kind] for number, kind in sheet.kinds.items()}
    )
    numbers = sorted(sheet.kinds)
    outlines.features = {"index": [0, *numbers], "cell": ["", *(sheet.kinds[one] for one in numbers)]}
    viewer.layers.selection.active = active
    return Picture(outlines, before, after)


def _add(
    viewer: Viewer, layer: ImageLayer, axes: str, labels: NDArray[np.int32], name: str, at: tuple[int, ...]
) -> Labels:
    made = layers.add_labels(viewer, layer, axes, labels, name, at=at)
    made.metadata[layers.KEY]["preview"] = True
    made.editable = False
    return made
