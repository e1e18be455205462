"""From an image to labels: normalise, rescale, run the network over tiles, decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image, check_image
from napari_unet.core.base.normalise import Statistics, measure
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.progress import Progress, Report, silent, within
from napari_unet.core.base.resize import resize_linear, resize_nearest
from napari_unet.core.base.tiles import Box, full_box, grow
from napari_unet.core.pipeline.channels import check_channels, select_channels
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.scale import (
    TOLERANCE,
    object_diameter,
    sampling_of,
    voxel_factors,
    zoom_factor,
    zoomed_shape,
)
from napari_unet.core.pipeline.tiled import context, run_tiled
from napari_unet.core.targets import DecodeSettings

if TYPE_CHECKING:
    from napari_unet.core.store.models import Model

FIRST_PASS = {2: 1024, 3: 128}
"""px; the object size is measured in the middle of the image, in a box of this edge."""

FIRST_SHARE = 0.1
"""Of the progress, where the object size is measured first."""

BLENDED = "Tiles are blended: this network's normalisation or attention looks at more than a tile."


@dataclass(frozen=True)
class Prediction:
    """The kept output of the network, from which labels are decoded again without running it.

    Parameters
    ----------
    maps : tuple of (K, [Z,] Y, X) float16 arrays
        One for each time point, values 0..1.
    shape : tuple of int
        Spatial shape of the labels, on the image's own grid.
    sampling : tuple of float
        Relative voxel size of the maps.
    zoom : float
        Voxels of the maps for one voxel of the image; at least 1.
    smooth_zoom : float
        Voxels of the maps for one that the network saw, along an axis; at least 1.
    """

    maps: tuple[NDArray[np.float16], ...] = field(repr=False)
    shape: tuple[int, ...]
    sampling: tuple[float, ...]
    zoom: float = 1.0
    smooth_zoom: float = 1.0


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
        Mean foreground probability of each object, by its number; empty for classes.
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

    Returns
    -------
    Segmentation

    Raises
    ------
    UserError
        When the image cannot be segmented by this model.
    """
    options = options or SegmentOptions()
    check_image(image)
    check_channels(image, model.spec, options.channel)
    if image.dims < model.spec.dims:
        raise UserError(
            f"The model '{model.spec.name}' is for 3D stacks; '{image.name}' is 2D ({image.axes}).",
            "Choose a 2D model, or give the stack its Z axis.",
        )
    box = box or full_box(image.label_shape)
    times = range(box[0].start, box[0].stop) if "T" in image.axes else range(1)
    space = box[-image.dims :]
    run = _Run(model, image, options)
    factor = run.choose_zoom(space, times[0], within(report, 0, FIRST_SHARE))
    start = FIRST_SHARE if run.kept else 0.0
    maps = []
    for number, time in enumerate(times):
        part = within(within(report, start, 1), number / len(times), (number + 1) / len(times))
        maps.append(run.predict(time, space, factor, part))
    prediction = run.prediction(tuple(maps), space, factor)
    labels = decode(model, prediction, options)
    if "T" not in image.axes:
        labels = labels[0]
    size = run.diameter(labels) if model.spec.target == "instances" else None
    return Segmentation(labels, prediction, confidence(prediction, labels, model), size, run.notes)


def redecode(
    model: Model, prediction: Prediction, options: SegmentOptions, *, has_time: bool = False
) -> NDArray[np.int32]:
    """Turn a kept prediction into labels with other settings; the network does not run.

    Returns
    -------
    array, ([T,] [Z,] Y, X), int32
    """
    labels = decode(model, prediction, options)
    return labels if has_time else labels[0]


def decode(model: Model, prediction: Prediction, options: SegmentOptions) -> NDArray[np.int32]:
    """Decode every time point; objects of different time points have different numbers: (T, [Z,] Y, X)."""
    settings = chosen_settings(model.decode, options)
    settings = replace(
        settings,
        smooth=settings.smooth * prediction.smooth_zoom,
        min_size=round(settings.min_size * prediction.zoom),
    )
    out = np.zeros((len(prediction.maps), *prediction.shape), np.int32)
    last = 0
    for labels, maps in zip(out, prediction.maps, strict=True):
        found = model.target.decode(maps, settings, prediction.sampling)
        labels[...] = resize_nearest(found, prediction.shape)
        if model.spec.target == "instances":
            labels[labels > 0] += last
            last = max(last, int(labels.max()))
    return out


def chosen_settings(tuned: DecodeSettings, options: SegmentOptions) -> DecodeSettings:
    """Take the model's tuned settings, and the user's where there are any."""
    return DecodeSettings(
        foreground=tuned.foreground if options.threshold is None else options.threshold,
        seed=tuned.seed,
        split=tuned.split if options.split_threshold is None else options.split_threshold,
        min_size=tuned.min_size if options.min_size is None else options.min_size,
        smooth=tuned.smooth,
    )


def confidence(prediction: Prediction, labels: NDArray[np.int32], model: Model) -> NDArray[np.float32]:
    """Give the mean foreground probability of each object, by its number."""
    if model.spec.target != "instances":
        return np.zeros(0, np.float32)
    stack = labels if labels.ndim > len(prediction.shape) else labels[np.newaxis]
    n = int(labels.max(initial=0)) + 1
    total, count = np.zeros(n), np.zeros(n)
    for frame, maps in zip(stack, prediction.maps, strict=True):
        foreground = resize_nearest(maps[0], prediction.shape).ravel()
        total += np.bincount(frame.ravel(), foreground, minlength=n)
        count += np.bincount(frame.ravel(), minlength=n)
    return (total / np.maximum(count, 1)).astype(np.float32)


class _Run:
    """One image and one model: statistics are measured and the network is prepared once."""

    def __init__(self, model: Model, image: Image, options: SegmentOptions) -> None:
        self.model, self.image, self.options = model, image, options
        self.engine = Engine(
            model.build(),
            model.net_config,
            net=model.spec.net,
            device=options.device,
            precision=options.precision,
        )
        self.statistics: Statistics = measure(model.normalisation, (self._select(t) for t in range(image.n_times)))
        self.notes: tuple[str, ...] = ()
        # The first pass over a small image has already computed what is asked for next.
        self.kept: dict[tuple[tuple[int, ...], tuple[float, ...]], NDArray[np.float16]] = {}

    def _select(self, time: int) -> NDArray[Any]:
        return select_channels(self.image, self.image.volume(time), self.model.spec, self.options.channel)

    def choose_zoom(self, space: Box, time: int, report: Report) -> tuple[float, ...]:
        """Choose the enlargement per axis that brings the objects to the size the model knows."""
        spec, image = self.model.spec, self.image
        same = (1.0,) * image.dims
        if self.options.rescale == "off":
            return same
        if self.options.object_size is not None:
            return self._uniform(zoom_factor(self.options.object_size, spec.object_size))
        if spec.voxel_size is not None and image.voxel_size is not None and spec.dims == image.dims:
            factors = voxel_factors(image.voxel_size, spec.voxel_size)
            if factors != same:
                words = " x ".join(f"{f:.2f}" for f in factors)
                self.notes = (f"The image was rescaled by {words} to the voxel size the model knows.",)
            return factors
        if spec.object_size is None or spec.target != "instances":
            return same
        return self._uniform(self._first_pass(space, time, report))

    def _uniform(self, factor: float) -> tuple[float, ...]:
        planar = self.image.dims > self.model.spec.dims  # a 2D model never changes the number of planes
        return (1.0, factor, factor) if planar else (factor,) * self.image.dims

    def _first_pass(self, space: Box, time: int, report: Report) -> float:
        """Segment the middle as it is, measure the objects, and check that the new size would be confirmed."""
        middle = []
        for part in space:
            edge = FIRST_PASS[self.model.spec.dims]
            start = part.start + max(0, (part.stop - part.start - edge) // 2)
            middle.append(slice(start, min(part.stop, start + edge)))
        if self.image.dims > self.model.spec.dims:
            plane = (middle[0].start + middle[0].stop) // 2
            middle[0] = slice(plane, plane + 1)
        found = self._object_size(time, tuple(middle), 1.0, within(report, 0, 0.5))
        factor = zoom_factor(found, self.model.spec.object_size)
        if factor == 1.0:
            return 1.0
        # A wrong measure (fragments, clumps) is not confirmed by the second look: then nothing is rescaled.
        again = self._object_size(time, tuple(middle), factor, within(report, 0.5, 1))
        if again is None or found is None or not 1 / TOLERANCE <= again / found <= TOLERANCE:
            return 1.0
        self.notes = (f"Objects of about {again:.0f} px were rescaled by {factor:.2f} to the size the model knows.",)
        return factor

    def _object_size(self, time: int, box: Box, factor: float, report: Report) -> float | None:
        factors = self._uniform(factor)
        maps = self.predict(time, box, factors, report)
        self.kept[_key(time, box), factors] = maps
        prediction = self.prediction((maps,), box, factors)
        labels = decode(self.model, prediction, self.options)[0]
        # A single plane of a stack is measured as the 2D model saw it.
        return self.diameter(labels if self.image.dims == self.model.spec.dims else labels[0])

    def diameter(self, labels: NDArray[np.int32]) -> float | None:
        """Measure the objects of ([T,] [Z,] Y, X) labels, in px of the image."""
        dims = min(labels.ndim, self.image.dims)
        sampling = sampling_of(self.image.voxel_size, self.image.dims)[-dims:]
        frames = labels.reshape(-1, *labels.shape[labels.ndim - dims + 1 :])
        return object_diameter(frames, sampling)

    def predict(self, time: int, box: Box, factors: tuple[float, ...], report: Report) -> NDArray[np.float16]:
        """Compute the maps of a box, on the finer of the network's grid and the image's: (K, [Z,] Y, X)."""
        kept = self.kept.get((_key(time, box), factors))
        if kept is not None:
            report(Progress(1, 1))
            return kept
        volume = self._select(time)
        shape = volume.shape[1:]
        needed = (0,) * len(shape) if box == full_box(shape) else self._context()
        margin = tuple(round(h / f) for h, f in zip(needed, factors, strict=True))
        # On the pooling grid of the whole image, so that a box gives what the whole image gives there.
        outer = tuple(
            slice(s.start - s.start % m, s.stop)
            for s, m in zip(grow(box, margin, shape), self._per_axis(self.model.net_config.multiple(), 1), strict=True)
        )
        crop = self.statistics.apply(volume[(slice(None), *outer)])
        size = zoomed_shape(crop.shape[1:], factors)
        maps = self._maps(resize_linear(crop, size), report)
        finest = tuple(max(n, m) for n, m in zip(size, crop.shape[1:], strict=True))
        if finest != size:
            maps = resize_linear(maps, finest).astype(np.float16)
        scale = [n / m for n, m in zip(finest, crop.shape[1:], strict=True)]
        inner = tuple(
            slice(round((b.start - o.start) * s), round((b.stop - o.start) * s))
            for b, o, s in zip(box, outer, scale, strict=True)
        )
        return maps[(slice(None), *inner)]

    def _context(self) -> tuple[int, ...]:
        # A network that sees everything gets what a U-Net of its depth sees.
        known = context(self.engine) or tuple(6 * m for m in self.model.net_config.multiple())
        return self._per_axis(known, 0)

    def _per_axis(self, of_network: tuple[int, ...], of_planes: int) -> tuple[int, ...]:
        """Give a figure of the network for each axis of the image."""
        return (of_planes, *of_network) if self.image.dims > self.model.spec.dims else of_network

    def _maps(self, volume: NDArray[np.float32], report: Report) -> NDArray[np.float16]:
        """Run the network over (C, [Z,] Y, X); a 2D network over each plane."""
        if volume.ndim - 1 == self.model.spec.dims:
            return self._tiles(volume, report)
        n = volume.shape[1]
        planes = [self._tiles(volume[:, z], within(report, z / n, (z + 1) / n)) for z in range(n)]
        return np.stack(planes, axis=1)

    def _tiles(self, volume: NDArray[np.float32], report: Report) -> NDArray[np.float16]:
        target, spec = self.model.target, self.model.spec
        out: list[NDArray[np.float16]] = []

        def write(core: Box, logits: Any) -> None:
            maps = target.maps(logits).cpu().numpy()
            if not out:
                out.append(np.zeros((maps.shape[0], *volume.shape[1:]), np.float16))
            out[0][(slice(None), *core)] = maps

        options = self.options
        if run_tiled(self.engine, volume, write, tile=options.tile, halo=options.halo, report=report):
            self.notes = (*(note for note in self.notes if note != BLENDED), BLENDED)
        if not np.isfinite(out[0]).all():
            raise UserError(
                f"The model '{spec.name}' gave values that are not numbers.", "Choose fp32, or another model."
            )
        return out[0]

    def prediction(self, maps: tuple[NDArray[np.float16], ...], box: Box, factors: Sequence[float]) -> Prediction:
        """Put the maps together with what decoding needs to know of their grid."""
        sampling = sampling_of(self.image.voxel_size, self.image.dims)
        zoom = float(np.prod([max(1.0, f) for f in factors]))
        shape = tuple(s.stop - s.start for s in box)
        finer = tuple(s / max(1.0, f) for s, f in zip(sampling, factors, strict=True))
        relative = tuple(s / min(finer) for s in finer)
        return Prediction(maps, shape, relative, zoom, max(1.0, 1 / min(factors)))


def _key(time: int, box: Box) -> tuple[int, ...]:
    return (time, *(edge for part in box for edge in (part.start, part.stop)))
