"""From the channels that an image has to those that a model takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.parts import samples
from napari_unet.core.base.repeated import repeat

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.store.spec import ModelSpec

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""


def check_channels(image: Image, spec: ModelSpec, channel: int | None) -> None:
    """Refuse an image whose channels do not fit the model.

    Raises
    ------
    UserError
        Several channels where the model takes one and none was chosen; a channel that is not there.
    """
    count = image.n_channels
    if channel is not None and not 0 <= channel < count:
        raise UserError(f"Channel {channel} was asked for; '{image.name}' has {count}.", f"Choose 0 to {count - 1}.")
    if channel is not None:
        count = 1
    if spec.colour != "exact" and count > 1 and not image.rgb:
        raise UserError(
            f"'{image.name}' has {count} channels; the model '{spec.name}' segments one.",
            f"Choose the channel, 0 to {count - 1}.",
        )
    if spec.colour == "luminance" or (spec.colour == "repeat" and count == 1):
        return
    if count != spec.channels:
        raise UserError(
            f"The model '{spec.name}' takes {spec.channels} channels; '{image.name}' has {count}.",
            "Choose another model, or give the channels it was trained on.",
        )


def select_channels(image: Image, volume: NDArray[Any], spec: ModelSpec, channel: int | None) -> NDArray[Any]:
    """Turn (C, [Z,] Y, X) of an image into the channels of the model; keeps gray values as they are."""
    volume = volume if channel is None else volume[channel : channel + 1]
    return _as_model(image, volume, spec, channel)


def read_box(image: Image, spec: ModelSpec, channel: int | None, time: int, box: Box) -> NDArray[Any]:
    """Read one box of one time point as the channels of the model; nothing else is read.

    Parameters
    ----------
    image : Image
        In memory, or lazy.
    spec : ModelSpec
        Of the model.
    channel : int or None
        The channel that the user chose.
    time : int
        0 where the image has no time axis.
    box : Box
        One slice for each spatial axis.

    Returns
    -------
    array, (C, *box)
        Not normalised; a view where that can be.

    Raises
    ------
    ReadError
        When what is stored there is damaged.
    """
    return _as_model(image, image.box(time, box, channel), spec, channel)


def read_samples(image: Image, spec: ModelSpec, channel: int | None) -> Iterator[NDArray[Any]]:
    """Read what `normalise.measure` needs of an image, as the channels of the model, in bounded memory.

    Yields
    ------
    array, (C, [Z,] Y, X)
        See `napari_unet.core.base.parts.samples`.
    """
    for part in samples(image, channel):
        yield _as_model(image, part, spec, channel)


def _as_model(image: Image, volume: NDArray[Any], spec: ModelSpec, channel: int | None) -> NDArray[Any]:
    """Mix or repeat the channels that are left, those of `channel` where one was chosen."""
    if channel is None and image.rgb and spec.colour == "luminance":
        weights = np.asarray(LUMINANCE, np.float32).reshape(3, *(1,) * (volume.ndim - 1))
        return np.asarray((volume.astype(np.float32) * weights).sum(0, keepdims=True), dtype=np.float32)
    if spec.colour == "repeat" and volume.shape[0] == 1:
        return repeat(volume, spec.channels)
    return volume
