"""From an image to labels: normalise, rescale, run the network over tiles, decode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.parts import check_image
from napari_unet.core.base.progress import Report, silent, within
from napari_unet.core.base.tiles import Box, full_box
from napari_unet.core.pipeline.channels import check_channels
from napari_unet.core.pipeline.ladder import Ask, always
from napari_unet.core.pipeline.prediction import Prediction, chosen_settings, confidence, decode, redecode
from napari_unet.core.pipeline.predictor import BLENDED, Predictor
from napari_unet.core.pipeline.zoom import choose_zoom

if TYPE_CHECKING:
    from napari_unet.core.base.glimpse import Glimpse
    from napari_unet.core.base.image import Image
    from napari_unet.core.pipeline.engine import Runner
    from napari_unet.core.store.models import Model

__all__ = [
    "BLENDED",
    "Prediction",
    "Segmentation",
    "check_fits",
    "chosen_settings",
    "confidence",
    "decode",
    "redecode",
    "segment",
]

INVERTED = "The image was inverted: this model was taught that objects on a bright ground are dark."

FIRST_SHARE = 0.1
"""Of the progress, where the object size is measured first."""


@dataclass(frozen=True)
class Segmentation:
    """Labels and how they came about.

    Parameters
    ----------
    labels : int32 array
        The shape of the image's labels, or of the box.
    prediction : Prediction
        To decode again from.
    confidence : (N + 1,) float32
        How sure the network is of each object, 0..1, by its number (see `targets.confidence`); empty for classes.
    object_size : float or None
        Median diameter of the objects in px of the image.
    notes : tuple of str
        What the user should know.
    """

    labels: NDArray[np.int32]
    prediction: Prediction
    confidence: NDArray[np.float32]
    object_size: float | None
    notes: tuple[str, ...] = ()


def segment(
    model: Model,
    image: Image,
    options: SegmentOptions | None = None,
    report: Report = silent,
    box: Box | None = None,
    *,
    first: Box | None = None,
    may_use_cpu: Ask = always,
    on_tile: Callable[[Glimpse], None] | None = None,
    engine: Runner | None = None,
) -> Segmentation:
    """Segment an image, or a box of it.

    Parameters
    ----------
    model : Model
        A 2D model segments a 3D image plane by plane and joins the planes when decoding.
    image : Image
        Any axes; labels come back on its own grid.
    options : SegmentOptions or None
        None chooses everything automatically.
    report : Report
        Called after each tile; may raise `Cancelled`.
    box : Box or None
        One slice for each axis of the labels; voxels around it are used as context.
    first : Box or None
        What is looked at, one slice for each spatial axis: tiles are done in the order of their distance to it.
    may_use_cpu : function of an estimated time in s
        Asked before a GPU is given up for want of memory.
    on_tile : function of a Glimpse, or None
        Sees each tile as it is done; may be called in another thread.
    engine : Runner or None
        The model's, as the options want it (``predictor.make_engine``), where one image comes after the other.

    Returns
    -------
    Segmentation

    Raises
    ------
    UserError
        When the image cannot be segmented by this model.
    """
    options = options or SegmentOptions()
    check_fits(image, model, options)
    box = box or full_box(image.label_shape)
    times = range(box[0].start, box[0].stop) if "T" in image.axes else range(1)
    space = box[-image.dims :]
    run = Predictor(model, image, options, first=first, may_use_cpu=may_use_cpu, engine=engine)
    zoom = choose_zoom(run, space, times[0], within(report, 0, FIRST_SHARE))
    run.on_tile = on_tile  # not the first pass, which may be at another scale
    start = FIRST_SHARE if run.kept else 0.0
    maps = []
    for number, time in enumerate(times):
        run.n_after = len(times) - 1 - number
        part = within(within(report, start, 1), number / len(times), (number + 1) / len(times))
        maps.append(run.predict(time, space, zoom.factors, part))
    prediction = run.prediction(tuple(maps), space, zoom.factors)
    labels = decode(model, prediction, options)
    if "T" not in image.axes:
        labels = labels[0]
    size = run.diameter(labels) if model.spec.target == "instances" else None
    notes = (*zoom.notes, *((BLENDED,) if run.is_blended else ()), *run.engine.notes)
    if run.statistics.is_inverted:
        notes += (INVERTED,)
    return Segmentation(labels, prediction, confidence(prediction, labels, model), size, notes)


def check_fits(image: Image, model: Model, options: SegmentOptions) -> None:
    """Refuse an image that cannot be segmented by a model.

    Raises
    ------
    UserError
        When the image cannot be segmented at all, its channels do not fit, or it is a plane and the model for stacks.
    """
    check_image(image)
    check_channels(image, model.spec, options.channel)
    if image.dims < model.spec.dims:
        raise UserError(
            f"The model '{model.spec.name}' is for 3D stacks; '{image.name}' is 2D ({image.axes}).",
            "Choose a 2D model, or give the stack its Z axis.",
        )
