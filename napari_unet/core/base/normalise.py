"""Bring intensities to a common range: once per image and channel, never per tile, so that tiles agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.repeated import is_repeated, repeat
from napari_unet.core.base.sample import grid_step


@dataclass(frozen=True)
class Normalisation:
    """Say how intensities are normalised.

    Parameters
    ----------
    kind : {"percentile", "zscore"}
        `percentile` maps two percentiles to 0 and 1 (microscopy); `zscore` takes mean and deviation of the voxels
        that are not 0 (MRI: outside of the skull is 0).
    low, high : float
        The two percentiles, 0 to 100.
    invert_above : float or None
        Images whose median is above this, once they are normalised, are inverted first: objects that are dark on a
        bright ground then look as the network knows them. None inverts nothing; only with `percentile`.
    """

    kind: str = "percentile"
    low: float = 1.0
    high: float = 99.8
    invert_above: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("percentile", "zscore") or not 0 <= self.low < self.high <= 100:
            raise UserError(f"The normalisation {self} is unknown.", "Is the model from a newer version?")


@dataclass(frozen=True)
class Statistics:
    """Keep what normalises one image: ``(value - offset) / scale`` per channel; a scale below 0 inverts it."""

    offset: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def is_inverted(self) -> bool:
        """Tell whether bright becomes dark."""
        return min(self.scale) < 0

    def apply(self, volume: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise (C, [Z,] Y, X) intensities; float32, another array. A repeated channel stays one."""
        if is_repeated(volume) and len({*zip(self.offset, self.scale, strict=True)}) == 1:
            return repeat(Statistics(self.offset[:1], self.scale[:1]).apply(volume[:1]), len(volume))
        out = np.empty(volume.shape, np.float32)
        for given, channel, offset, scale in zip(volume, out, self.offset, self.scale, strict=True):
            if np.can_cast(volume.dtype, np.float32):
                channel[...] = given
                channel -= offset
            else:  # a little on top of a large offset: only the difference fits into float32
                np.subtract(given, offset, out=channel, dtype=np.float64, casting="same_kind")
            channel /= scale
        return out


def measure(normalisation: Normalisation, volumes: Iterable[NDArray[Any]]) -> Statistics:
    """Measure an image's statistics over all its time points.

    Parameters
    ----------
    normalisation : Normalisation
        How to measure.
    volumes : iterable of (C, [Z,] Y, X) arrays
        The parts of one image, all or none with a repeated channel; best its `napari_unet.core.base.parts.samples`,
        which take no more memory however large it is; of a large part some voxels on a grid count.

    Returns
    -------
    Statistics
        The scale is never 0: a constant channel gets 1.
    """
    limit = normalisation.invert_above
    channels = _channels(normalisation, volumes, may_invert=limit is not None)
    is_inverted = limit is not None and _brightness(channels) > limit
    pairs = [one.inverted if is_inverted else one.plain for one in channels]
    return Statistics(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))


def brightness(normalisation: Normalisation, volumes: Iterable[NDArray[Any]]) -> float:
    """Give the median of a normalised image, the mean of its channels: what ``invert_above`` is compared with.

    Parameters
    ----------
    normalisation, volumes
        As for `measure`.
    """
    return _brightness(_channels(normalisation, volumes, may_invert=True))


class _Channel(NamedTuple):
    """Offset and scale of a channel as it is and inverted, and its median, normalised; 0 where nobody asks for them."""

    plain: tuple[float, float]
    inverted: tuple[float, float] = (0.0, 0.0)
    median: float = 0.0


def _brightness(channels: list[_Channel]) -> float:
    return float(np.mean([one.median for one in channels]))


def _channels(normalisation: Normalisation, volumes: Iterable[NDArray[Any]], *, may_invert: bool) -> list[_Channel]:
    n_repeated, samples = 1, list[list[NDArray[Any]]]()
    for volume in volumes:
        n_repeated = len(volume) if is_repeated(volume) else 1
        samples.append(_subsample(volume[:1] if n_repeated > 1 else volume))
    # Channel by channel, for only one to be held as float64.
    return [
        _channel(normalisation, np.concatenate(parts, dtype=np.float64), may_invert)
        for parts in zip(*samples, strict=True)
    ] * n_repeated


def _subsample(volume: NDArray[Any]) -> list[NDArray[Any]]:
    step = grid_step(int(np.prod(volume.shape[1:])), volume.ndim - 1)
    key = (slice(None, None, step),) * (volume.ndim - 1)
    return [channel[key].ravel() for channel in volume]


def _channel(normalisation: Normalisation, values: NDArray[np.float64], may_invert: bool) -> _Channel:
    if normalisation.kind == "zscore":
        inside = values[values != 0]
        values = inside if inside.size else values
        return _Channel((float(values.mean()), float(values.std()) or 1.0))
    ends = normalisation.low, normalisation.high
    # Of an inverted image the lower percentile is the higher one of the image as it is.
    wanted = (*ends, 50.0, *(100 - end for end in ends)) if may_invert else ends
    low, high, *others = (float(v) for v in np.percentile(values, wanted, overwrite_input=True))
    # A sparse image may hold less than 0.2 % of objects: both percentiles are then background.
    high = high if high > low else float(values.max())
    scale = (high - low) or 1.0
    if not others:
        return _Channel((low, scale))
    median, top, bottom = others
    bottom = bottom if bottom < top else float(values.min())
    return _Channel((low, scale), (top, (bottom - top) or -1.0), (median - low) / scale)
