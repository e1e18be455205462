"""Settle which axis is which: from the file, from the user, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import AXES, Image
from napari_unet.core.base.lazy import native, rearrange
from napari_unet.core.io.stored import SAMPLES, UNKNOWN, Stored

if TYPE_CHECKING:
    from collections.abc import Sequence


def settle(stored: Stored, name: str, source: str, axes: str | None, voxel_size: Sequence[float] | None) -> Image:
    """Make an image of what a file holds.

    Parameters
    ----------
    stored : Stored
        The array and what the file says.
    name, source : str
        Of the image.
    axes : str or None
        The user's letters, in the array's order; they win.
    voxel_size : sequence of float, µm, or None
        The user's; wins.

    Returns
    -------
    Image
        Transposed to ``TCZYX``.

    Raises
    ------
    UserError
        When the axes are ambiguous, cannot be used, or do not fit.
    """
    stored = _with_colours(stored)
    data, names = stored.data, stored.axes
    names = _named(names, data.shape, axes, name) if axes else _guessed(names, data, name)
    data, names = squeeze(data, names, keep=axes.upper() + SAMPLES if axes else "")
    data, names, rgb = _colour_first(data, names, name)
    if sorted(set(names)) != sorted(names) or not set(names) <= set(AXES):
        raise UserError(
            f"'{name}' has the axes {names} {data.shape}; only {AXES} can be used, each once.",
            "Save the part that is wanted, or name the axes with --axes.",
        )
    order = sorted(range(len(names)), key=lambda i: AXES.index(names[i]))
    final = "".join(names[i] for i in order)
    size = tuple(voxel_size) if voxel_size is not None else _size(stored.voxel_size, final)
    return Image(native(rearrange(data, _all(data), order)), final, size, name, source, rgb)


def squeeze(data: Any, names: str, keep: str = "") -> tuple[Any, str]:
    """Leave out the axes of length 1, but never Y or X, the last two where no axis has a name, or those to `keep`."""
    n = len(names)
    plane = range(n - 2, n) if set(names) == {UNKNOWN} else ()
    kept = [i for i, n in enumerate(names) if data.shape[i] != 1 or n in "YX" + keep or i in plane]
    key = tuple(slice(None) if i in kept else 0 for i in range(n))
    return rearrange(data, key), "".join(names[i] for i in kept)


def _all(data: Any) -> tuple[slice, ...]:
    return (slice(None),) * len(data.shape)


def _with_colours(stored: Stored) -> Stored:
    if stored.colours is None:
        return stored
    return Stored(stored.colours[stored.data], stored.axes + SAMPLES, stored.voxel_size)  # palettes are read whole


def _named(names: str, shape: tuple[int, ...], axes: str, name: str) -> str:
    """Put the user's letters on the axes; those of colour samples and of length 1 may be left out."""
    axes = axes.upper()
    if len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes) <= set(AXES):
        raise UserError(f"The axes '{axes}' cannot be used.", "Use letters of TCZYX, each once, with Y and X.")
    if len(axes) == len(names):
        # A colour axis that is called C stays a colour.
        return "".join(SAMPLES if (a, n) == ("C", SAMPLES) else a for a, n in zip(axes, names, strict=True))
    for open_axes in (
        [i for i, n in enumerate(names) if n != SAMPLES],
        [i for i, n in enumerate(names) if n != SAMPLES and shape[i] != 1],
    ):
        if len(axes) == len(open_axes):
            letters = dict(zip(open_axes, axes, strict=True))
            return "".join(letters.get(i, SAMPLES if n == SAMPLES else UNKNOWN) for i, n in enumerate(names))
    raise UserError(
        f"'{name}' has {len(shape)} axes {shape}, but '{axes}' names {len(axes)}.", "Give one letter for each axis."
    )


def _guessed(names: str, data: Any, name: str) -> str:
    """Name the axes that the file leaves open where only one meaning is left; ask otherwise."""
    if UNKNOWN not in names:
        return names
    shape = data.shape
    if len(shape) > 2 and shape[-1] in (3, 4) and data.dtype == np.uint8 and min(shape[-3:-1]) > 4:
        names = names[:-1] + SAMPLES
    spatial = [i for i, n in enumerate(names) if n != SAMPLES][-2:]
    letters = list(names)
    for i, letter in zip(spatial, "YX"[-len(spatial) :], strict=True):
        letters[i] = letter if letters[i] == UNKNOWN else letters[i]
    left = [i for i, n in enumerate(letters) if n == UNKNOWN and shape[i] != 1]
    if not left and "Y" in letters:
        return "".join(letters)
    if len(shape) < 2:
        raise UserError(
            f"'{name}' has the shape {shape}: that is no image.", "An image has at least two axes, Y and X."
        )
    choices = "ZYX, CYX or TYX" if len(shape) == 3 else "one letter of TCZYX for each axis"
    raise UserError(
        f"'{name}' has the shape {shape}, and the file does not say what its axes are.",
        f"Name them with --axes: {choices}.",
    )


def _colour_first(data: Any, names: str, name: str) -> tuple[Any, str, bool]:
    """Make colour samples the channels, without alpha."""
    if SAMPLES not in names:
        return data, names, False
    at = names.index(SAMPLES)
    rest, n = names.replace(SAMPLES, ""), data.shape[at]
    if "C" in rest:
        raise UserError(f"'{name}' has colours and channels.", "Save its channels as separate images.")
    key: list[int | slice] = list(_all(data))
    if n <= 2:  # gray, with or without alpha
        key[at] = 0
        return rearrange(data, tuple(key)), rest, False
    first = [at, *(i for i in range(len(names)) if i != at)]
    # More than four samples are no colours of a screen but channels of a camera.
    key[at] = slice(0, 3) if n <= 4 else slice(None)
    return rearrange(data, tuple(key), first), "C" + rest, n <= 4


def _size(known: dict[str, float], axes: str) -> tuple[float, ...] | None:
    spatial = [a for a in axes if a in "ZYX"]
    return tuple(known[a] for a in spatial) if all(a in known for a in spatial) else None
