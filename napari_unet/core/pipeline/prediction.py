"""The kept output of a network, and labels from it: decoding again never runs the network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.resize import resize_nearest
from napari_unet.core.targets import DecodeSettings

if TYPE_CHECKING:
    from napari_unet.core.base.options import SegmentOptions
    from napari_unet.core.store.models import Model


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
    settings = settings_for(model, prediction, options)
    out = np.zeros((len(prediction.maps), *prediction.shape), np.int32)
    last = 0
    for labels, maps in zip(out, prediction.maps, strict=True):
        found = model.target.decode(maps, settings, prediction.sampling)
        labels[...] = resize_nearest(found, prediction.shape)
        if model.spec.target == "instances":
            labels[labels > 0] += last
            last = max(last, int(labels.max()))
    return out


def settings_for(model: Model, prediction: Prediction, options: SegmentOptions) -> DecodeSettings:
    """Take the chosen settings, with sizes and lengths in voxels of the maps."""
    settings = chosen_settings(model.decode, options)
    return replace(
        settings,
        smooth=settings.smooth * prediction.smooth_zoom,
        min_size=round(settings.min_size * prediction.zoom),
    )


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
    """Tell how sure the network is of each object, by its number: (N + 1,), 0..1; (0,) for classes.

    Parameters
    ----------
    prediction : Prediction
        The network's output.
    labels : ([T,] [Z,] Y, X) int32
        Decoded from it; no object lies in two time points.
    model : Model
        Whose output it is.
    """
    if model.spec.target != "instances":
        return np.zeros(0, np.float32)
    stack = labels if labels.ndim > len(prediction.shape) else labels[np.newaxis]
    out = np.zeros(int(labels.max(initial=0)) + 1, np.float32)
    for frame, maps in zip(stack, prediction.maps, strict=True):
        sampling = image_sampling(prediction.sampling, maps.shape[1:], prediction.shape)
        lowest = int(frame.min(where=frame > 0, initial=len(out)))  # numbers go on from one time point to the next
        own = np.where(frame > 0, frame - (lowest - 1), 0)
        found = model.target.confidence(own, resize_nearest(maps, (len(maps), *prediction.shape)), sampling)
        out[lowest : lowest + len(found) - 1] = found[1:]
    return out


def image_sampling(sampling: tuple[float, ...], maps: tuple[int, ...], image: tuple[int, ...]) -> tuple[float, ...]:
    """Bring relative voxel sizes from the grid of the maps to that of the image."""
    return tuple(s * n / m for s, n, m in zip(sampling, maps, image, strict=True))
