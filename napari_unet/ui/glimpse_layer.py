"""Tiles of a running segmentation, as they are done: on a layer that goes when the labels come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.glimpse import Glimpse
from napari_unet.ui import layers

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_unet.app.annotations import Box
    from napari_unet.app.jobs import Job, JobState
    from napari_unet.core.base.image import Image

NAME = "{} (being segmented)"
OPACITY = 0.4

SHARE = 10
"""A layer is drawn anew only after so many times the time that it took the last time: the window stays free."""


class GlimpseLayer:
    """Follow one job.

    Parameters
    ----------
    viewer : napari Viewer
        Gets the layer with the first tile, unless that is all.
    layer : napari Image layer
        What is segmented.
    image : Image
        The same.
    axes : str
        In the layer's order.
    box : Box or None
        What is segmented of it, one slice for each axis of the labels; None is all.
    steps : tuple of int or None
        Of a large image: tiles show every so manieth voxel of each spatial axis, at last with the objects' numbers.
    """

    def __init__(
        self,
        viewer: Viewer,
        layer: ImageLayer,
        image: Image,
        axes: str,
        box: Box | None,
        steps: tuple[int, ...] | None = None,
    ) -> None:
        self._viewer, self._layer, self._axes = viewer, layer, axes
        self._has_time = "T" in image.axes
        self._steps = (1,) * (len(image.label_shape) - image.dims) + (steps or (1,) * image.dims)
        coarse = (-(-n // step) for n, step in zip(image.label_shape, self._steps, strict=True))
        self._box = box or tuple(slice(0, n) for n in coarse)
        self._type = np.uint8 if steps is None else np.int32
        self._labels: Labels | None = None
        self._data: NDArray[np.integer[Any]] = np.zeros(0, np.uint8)
        self._next = 0.0

    def follow(self, job: Job[Any]) -> None:
        """Show the job's tiles until it ends."""
        job.produced.connect(self.add)
        job.ended.connect(self.end)

    def add(self, payload: object) -> None:
        """Show tiles; anything else is none of ours."""
        glimpses = [one for one in payload if isinstance(one, Glimpse)] if isinstance(payload, tuple) else []
        if not glimpses or self._layer not in self._viewer.layers:
            return
        shape = tuple(part.stop - part.start for part in self._box)
        if self._labels is None:
            if glimpses[0].classes.size == int(np.prod(shape)):
                return  # the labels come at once
            self._data = np.zeros(shape, self._type)
            self._labels = self._make()
        for one in glimpses:
            where = ((slice(one.time, one.time + 1),) if self._has_time else ()) + one.box
            inside = tuple(slice(w.start - b.start, w.stop - b.start) for w, b in zip(where, self._box, strict=True))
            self._data[inside] = one.classes
        if self._labels in self._viewer.layers and time.monotonic() >= self._next:
            started = time.monotonic()
            self._labels.refresh()
            self._next = time.monotonic() + SHARE * (time.monotonic() - started)

    def _make(self) -> Labels:
        active = self._viewer.layers.selection.active
        corner = tuple(part.start for part in self._box)
        made = layers.add_labels(
            self._viewer, self._layer, self._axes, self._data, NAME.format(self._layer.name), at=corner
        )
        steps, channel = list(self._steps), layers.channel_axis(made)
        if channel is not None:
            steps.insert(channel, 1)
        made.scale = made.scale * np.array(steps)  # a coarse voxel shows what lies in its middle
        made.metadata[layers.KEY]["preview"] = True
        made.editable, made.opacity = False, OPACITY
        self._viewer.layers.selection.active = active
        return made

    def end(self, state: JobState) -> None:
        """Take the layer away."""
        if self._labels is not None and self._labels in self._viewer.layers:
            self._viewer.layers.remove(self._labels)
        self._labels = None
