"""An image as it is measured: intensities, named axes and voxel size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.lazy import Key, read, rearrange
from napari_unet.core.base.tiles import Box, full_box

AXES = "TCZYX"
SPATIAL_AXES = "ZYX"


@dataclass(frozen=True)
class Image:
    """Keep an array as it is, with the meaning of its axes.

    Parameters
    ----------
    data : array (numpy, dask, zarr, memory map)
        Real intensities; one array axis for each letter of `axes`. Read only where it is asked.
    axes : str
        A subset of ``TCZYX`` in that order; ``Y`` and ``X`` are always there.
    voxel_size : tuple of float, µm, or None
        One length for each spatial axis, in the order of `axes`; None where it is not known.
    name, source : str
        What the user calls it, and the file it came from (may be empty).
    rgb : bool
        The channels are red, green and blue of one colour picture.

    Raises
    ------
    UserError
        When axes, shape and voxel size do not fit each other.
    """

    data: Any  # any array with shape, dtype and slicing; numpy's protocol has no dask or zarr
    axes: str
    voxel_size: tuple[float, ...] | None = None
    name: str = "image"
    source: str = ""
    rgb: bool = False

    def __post_init__(self) -> None:
        check_axes(self.axes)
        if len(self.axes) != len(self.data.shape):
            raise UserError(
                f"The image '{self.name}' has {len(self.data.shape)} axes {tuple(self.data.shape)}, "
                f"but '{self.axes}' names {len(self.axes)}.",
                "Give one letter of TCZYX for each axis.",
            )
        if self.rgb and self.n_channels != 3:
            raise UserError(
                f"A colour image has 3 channels; '{self.name}' has {self.n_channels}.", "Open it as channels instead."
            )
        if self.voxel_size is None:
            return
        if len(self.voxel_size) != self.dims or not all(np.isfinite(v) and v > 0 for v in self.voxel_size):
            raise UserError(
                f"The voxel size {self.voxel_size} does not fit the axes {self.spatial_axes}.",
                "Give one positive length in µm for each spatial axis.",
            )

    @property
    def spatial_axes(self) -> str:
        """Give the spatial part of the axes: ``YX`` or ``ZYX``."""
        return "".join(a for a in self.axes if a in SPATIAL_AXES)

    @property
    def dims(self) -> int:
        """Give the number of spatial axes, 2 or 3."""
        return len(self.spatial_axes)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Give the lengths of the spatial axes, in voxels."""
        return tuple(self.size(a) for a in self.spatial_axes)

    @property
    def n_channels(self) -> int:
        """Give the number of channels; 1 without a channel axis."""
        return self.size("C")

    @property
    def n_times(self) -> int:
        """Give the number of time points; 1 without a time axis."""
        return self.size("T")

    @property
    def label_axes(self) -> str:
        """Give the axes that labels of this image have: all but the channels."""
        return self.axes.replace("C", "")

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Give the shape that labels of this image have."""
        return tuple(self.size(a) for a in self.label_axes)

    def size(self, axis: str) -> int:
        """Give the length of one axis; 1 where the image does not have it."""
        return int(self.data.shape[self.axes.index(axis)]) if axis in self.axes else 1

    def volume(self, time: int = 0) -> NDArray[Any]:
        """Read one time point.

        Returns
        -------
        array, (C, [Z,] Y, X), the image's dtype
            Read into memory; a view where the image is a numpy array.

        Raises
        ------
        ReadError
            When what is stored is damaged.
        """
        return self.box(time, full_box(self.spatial_shape))

    def box(self, time: int, box: Box, channel: int | None = None) -> NDArray[Any]:
        """Read one box of one time point, and nothing else.

        Parameters
        ----------
        time : int
            0 where the image has no time axis.
        box : Box
            One slice for each spatial axis.
        channel : int or None
            Read this one only; None reads all.

        Returns
        -------
        array, (C, *box), the image's dtype
            Read into memory; a view where the image is a numpy array.

        Raises
        ------
        ReadError
            When what is stored there is damaged.
        """
        channels = slice(None) if channel is None else slice(channel, channel + 1)
        parts: dict[str, int | slice] = {"T": time, "C": channels, **dict(zip(self.spatial_axes, box, strict=True))}
        key: Key = tuple(parts[a] for a in self.axes)
        array = read(self.data, key, self.name)
        return array if "C" in self.axes else array[np.newaxis]

    def plane(self, index: int) -> Image:
        """Take one Z plane as a 2D image (a view; nothing is read)."""
        at = self.axes.index("Z")
        size = None if self.voxel_size is None else self.voxel_size[1:]
        key = tuple(index if i == at else slice(None) for i in range(len(self.axes)))
        data = rearrange(self.data, key)
        return replace(self, data=data, axes=self.axes.replace("Z", ""), voxel_size=size)

    def describe(self) -> str:
        """Say the axes in words: ``Z 64, Y 512, X 512, 0.5 x 0.2 x 0.2 µm, 1 channel``."""
        parts = [f"{a} {self.size(a)}" for a in self.axes if a != "C"]
        if self.voxel_size is None:
            parts.append("voxel size unknown")
        else:
            parts.append(" x ".join(f"{v:.4g}" for v in self.voxel_size) + " µm")
        channels = f"{self.n_channels} channel{'s' if self.n_channels > 1 else ''}"
        parts.append("colour" if self.rgb else channels)
        return ", ".join(parts)


def check_axes(axes: str) -> None:
    """Refuse axes that are not a subset of ``TCZYX`` in that order with Y and X.

    Raises
    ------
    UserError
        When the axes are not in the order or Y or X is missing.
    """
    if [a for a in AXES if a in axes] != list(axes) or not {"Y", "X"} <= set(axes):
        raise UserError(f"The axes '{axes}' cannot be used.", "Use letters of TCZYX, in this order, with Y and X.")
