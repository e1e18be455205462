"""The decoder's part of a large image: the tasks of one block, each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.pipeline import blocks
from napari_unet.core.pipeline.prediction import settings_for
from napari_unet.core.pipeline.predictor import make_prediction
from napari_unet.core.pipeline.stream_objects import behind, list_objects
from napari_unet.core.pipeline.stream_show import show_block
from napari_unet.core.targets.blockwise import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.core.base.glimpse import Glimpse
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.pipeline.stream_place import Place
    from napari_unet.core.targets.basins import Numbering
    from napari_unet.core.targets.facts import Facts


def work_of(place: Place, time: int) -> Work:
    """Say what is decoded of one time point, as `prediction.decode` would."""
    plan, model = place.plan, place.model
    prediction = make_prediction((), place.image.spatial_shape, place.image, plan.factors)
    return Work(place.frame(time), settings_for(model, prediction, plan.options), prediction.sampling)


def look_at_block(place: Place, time: int, box: Box) -> Facts | None:
    """Find what other blocks have to know of one."""
    return blocks.look(work_of(place, time), place.model.spec.target, box)


def paint_block(
    place: Place,
    name: str,
    time: int,
    box: Box,
    numbering: Numbering,
    first: int,
    steps: tuple[int, ...] | None = None,
) -> Glimpse | None:
    """Decode a block, store its labels, mark it as done, and show it where that is on the image's grid.

    Parameters
    ----------
    place : Place
        Where the work is.
    name : str
        Of the mark, which keeps what `tell` says of the labels.
    time : int
        Time point.
    box : Box
        On the finest grid.
    numbering : Numbering
        What this block needs of it.
    first : int
        Objects before this time point.
    steps : tuple of int or None
        How coarse it is shown; None where nobody looks on.
    """
    target = place.model.spec.target
    labels = blocks.paint(work_of(place, time), target, box, numbering)
    if target == "instances":
        labels[labels > 0] += first
    if place.is_finer:
        place.found[(time, *box)] = labels
        place.mark(name)
        return None
    _store(place, time, box, labels)
    place.mark(name, tell(place, labels, box))
    return show_block(time, box, labels, steps)


def coarsen_block(place: Place, name: str, time: int, box: Box, steps: tuple[int, ...] | None = None) -> Glimpse | None:
    """Bring labels to the image's grid: a box of that grid; marked as done with what `tell` says of them, and shown."""
    source, index = behind(place, box)
    labels = place.found[(time, *source)][index]
    _store(place, time, box, labels)
    place.mark(name, tell(place, labels, box))
    return show_block(time, box, labels, steps)


def tell(place: Place, labels: NDArray[np.int32], box: Box) -> list[int] | dict[str, list[Any]]:
    """Count the voxels of each class, or list the objects."""
    if place.model.spec.target == "instances":
        return list_objects(labels, box)
    n = len(place.model.spec.classes)
    return [int(c) for c in np.bincount(labels.ravel(), minlength=n + 1)[1 : n + 1]]


def _store(place: Place, time: int, box: Box, labels: NDArray[np.int32]) -> None:
    place.labels[(time, *box) if "T" in place.image.axes else box] = labels
