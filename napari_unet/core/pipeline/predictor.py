"""Run a model over boxes of one image: normalise, rescale, network over tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.catalogue import ENGINES, look_up
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.normalise import Statistics, measure
from napari_unet.core.base.progress import Progress, Report, within
from napari_unet.core.base.resize import resize_linear
from napari_unet.core.base.tiles import Box, full_box, grow
from napari_unet.core.pipeline.channels import read_box, read_samples
from napari_unet.core.pipeline.glimpse import Place
from napari_unet.core.pipeline.ladder import Ask, always
from napari_unet.core.pipeline.prediction import Prediction, chosen_settings
from napari_unet.core.pipeline.scale import object_diameter, sampling_of, zoomed_shape
from napari_unet.core.pipeline.tiled import context, run_tiled

if TYPE_CHECKING:
    from napari_unet.core.base.glimpse import Glimpse
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.options import SegmentOptions
    from napari_unet.core.pipeline.engine import Runner
    from napari_unet.core.store.models import Model

BLENDED = "Tiles are blended: this network's normalisation or attention looks at more than a tile."


class Predictor:
    """One image and one model: statistics are measured and the network is prepared once.

    Parameters
    ----------
    model, image, options
        As for `segment`.
    first : Box or None
        What is looked at, one slice for each spatial axis of the image: it is computed first.
    may_use_cpu : function of an estimated time in s
        Asked before a GPU is given up for want of memory.
    statistics : Statistics or None
        Of the image, where they are known.
    engine : Runner or None
        The model's, where one image comes after the other.
    """

    def __init__(
        self,
        model: Model,
        image: Image,
        options: SegmentOptions,
        *,
        first: Box | None = None,
        may_use_cpu: Ask = always,
        statistics: Statistics | None = None,
        engine: Runner | None = None,
    ) -> None:
        self.model, self.image, self.options = model, image, options
        self.first, self.may_use_cpu = first, may_use_cpu
        self.on_tile: Callable[[Glimpse], None] | None = None  # sees each tile as it is done, in any thread
        self._place: Place | None = None
        self.n_after = 0  # time points that come after the one that is computed, for the estimate of the time
        self.engine = engine or make_engine(model, options)
        self.statistics = statistics or measure_statistics(model, image, options)
        self.is_blended = False
        # The first pass over a small image has already computed what is asked for next.
        self.kept: dict[tuple[tuple[int, ...], tuple[float, ...]], NDArray[np.float16]] = {}

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
        shape = self.image.spatial_shape
        needed = (0,) * len(shape) if box == full_box(shape) else self._per_axis(context_of(self.engine), 0)
        margin = tuple(round(h / f) for h, f in zip(needed, factors, strict=True))
        # On the pooling grid of the whole image, so that a box gives what the whole image gives there.
        outer = tuple(
            slice(s.start - s.start % m, s.stop)
            for s, m in zip(grow(box, margin, shape), self._per_axis(self.model.net_config.multiple(), 1), strict=True)
        )
        read = read_box(self.image, self.model.spec, self.options.channel, time, outer)
        crop = self.statistics.apply(read)
        size = zoomed_shape(crop.shape[1:], factors)
        first = None if self.first is None else _seen_from(self.first, outer, size)
        self._place = Place(time, outer, size, box)
        maps = self._maps(resize_linear(crop, size), first, report)
        finest = tuple(max(n, m) for n, m in zip(size, crop.shape[1:], strict=True))
        if finest != size:
            maps = resize_linear(maps, finest).astype(np.float16)
        scale = [n / m for n, m in zip(finest, crop.shape[1:], strict=True)]
        inner = tuple(
            slice(round((b.start - o.start) * s), round((b.stop - o.start) * s))
            for b, o, s in zip(box, outer, scale, strict=True)
        )
        return maps[(slice(None), *inner)]

    def _per_axis(self, of_network: tuple[int, ...], of_planes: int) -> tuple[int, ...]:
        """Give a figure of the network for each axis of the image."""
        return (of_planes, *of_network) if self.image.dims > self.model.spec.dims else of_network

    def _maps(self, volume: NDArray[np.float32], first: Box | None, report: Report) -> NDArray[np.float16]:
        """Run the network over (C, [Z,] Y, X); a 2D network over each plane, beginning with those looked at."""
        if volume.ndim - 1 == self.model.spec.dims:
            return self._tiles(volume, first, self.n_after, report)
        n, planes = volume.shape[1], dict[int, NDArray[np.float16]]()
        order = range(n) if first is None else sorted(range(n), key=lambda z: abs(z - first[0].start))
        for done, z in enumerate(order):
            left = n - 1 - done + self.n_after * n
            part = within(report, done / n, (done + 1) / n)
            planes[z] = self._tiles(volume[:, z], first and first[1:], left, part, z)
        return np.stack([planes[z] for z in range(n)], axis=1)

    def _tiles(
        self, volume: NDArray[np.float32], first: Box | None, n_after: int, report: Report, plane: int | None = None
    ) -> NDArray[np.float16]:
        """Run the network over one volume, or over one plane of a stack; `n_after` like it follow."""
        target = self.model.target
        out: list[NDArray[np.float16]] = []

        def write(core: Box, logits: Any) -> None:
            maps = target.maps(logits).cpu().numpy()
            if not out:
                out.append(np.zeros((maps.shape[0], *volume.shape[1:]), np.float16))
            out[0][(slice(None), *core)] = maps
            self._show(maps, core, plane)

        options = self.options
        self.is_blended |= run_tiled(
            self.engine,
            volume,
            write,
            tile=options.tile,
            halo=options.halo,
            report=report,
            first=first,
            may_use_cpu=lambda seconds: self.may_use_cpu(seconds * (1 + n_after)),
        )
        return check_finite(out[0], self.model)

    def _show(self, maps: NDArray[Any], core: Box, plane: int | None) -> None:
        """Hand a tile to whoever wants to see it: foreground, or classes."""
        if self.on_tile is None or self._place is None:
            return
        found = show_maps(self.model, self.options, maps)
        if plane is not None:
            found, core = found[np.newaxis], (slice(plane, plane + 1), *core)
        glimpse = self._place.see(found, core)
        if glimpse is not None:
            self.on_tile(glimpse)

    def prediction(self, maps: tuple[NDArray[np.float16], ...], box: Box, factors: Sequence[float]) -> Prediction:
        """Put the maps together with what decoding needs to know of their grid."""
        return make_prediction(maps, tuple(s.stop - s.start for s in box), self.image, factors)

    def keep(self, time: int, box: Box, factors: tuple[float, ...], maps: NDArray[np.float16]) -> None:
        """Remember the maps of a box, in case they are asked for again."""
        self.kept[_key(time, box), factors] = maps


def _seen_from(box: Box, outer: Box, size: tuple[int, ...]) -> Box:
    """Give a box of the image in voxels of a part of it, which was resized to `size`."""
    scale = [n / (o.stop - o.start) for n, o in zip(size, outer, strict=True)]
    return tuple(
        slice(int((b.start - o.start) * s), ceil((b.stop - o.start) * s))
        for b, o, s in zip(box, outer, scale, strict=True)
    )


def show_maps(model: Model, options: SegmentOptions, maps: NDArray[Any]) -> NDArray[np.uint8]:
    """Tell quickly what maps (K, [Z,] Y, X) show: foreground, or classes; ([Z,] Y, X)."""
    settings = chosen_settings(model.decode, options)
    if model.spec.target == "instances":
        inside: NDArray[np.bool_] = maps[0] > settings.foreground
        return inside.astype(np.uint8)
    sampling = (1.0,) * (maps.ndim - 1)
    return model.target.decode(maps, replace(settings, min_size=0), sampling).astype(np.uint8)


def measure_statistics(model: Model, image: Image, options: SegmentOptions) -> Statistics:
    """Measure what normalises the image, from samples where it is large."""
    return measure(model.normalisation, read_samples(image, model.spec, options.channel))


def make_prediction(
    maps: tuple[NDArray[np.float16], ...], shape: tuple[int, ...], image: Image, factors: Sequence[float]
) -> Prediction:
    """Say of maps what decoding needs to know of their grid, which is `factors` times finer or coarser than `shape`."""
    sampling = sampling_of(image.voxel_size, image.dims)
    zoom = float(np.prod([max(1.0, f) for f in factors]))
    finer = tuple(s / max(1.0, f) for s, f in zip(sampling, factors, strict=True))
    relative = tuple(s / min(finer) for s in finer)
    return Prediction(maps, shape, relative, zoom, max(1.0, 1 / min(factors)))


def check_finite(maps: NDArray[np.float16], model: Model) -> NDArray[np.float16]:
    """Refuse maps that are not numbers.

    Raises
    ------
    UserError
        When the network overflowed, or its weights are broken.
    """
    if not np.isfinite(maps).all():
        raise UserError(
            f"The model '{model.spec.name}' gave values that are not numbers.", "Choose fp32, or another model."
        )
    return maps


def context_of(engine: Runner) -> tuple[int, ...]:
    """Give the context that a box of an image gets, in voxels: what a U-Net of its depth sees where all is seen."""
    return context(engine) or tuple(6 * m for m in engine.config.multiple())


def make_engine(model: Model, options: SegmentOptions) -> Runner:
    """Prepare a model's network as the options want it.

    Raises
    ------
    UserError
        When the engine is not installed, or cannot run this network.
    """
    make: Callable[..., Runner] = look_up(ENGINES, options.engine, "engine")
    return make(
        model.build(),
        model.net_config,
        net=model.spec.net,
        device=options.device,
        precision=options.precision,
    )


def _key(time: int, box: Box) -> tuple[int, ...]:
    return (time, *(edge for part in box for edge in (part.start, part.stop)))
