"""What a set of images is like: the facts that a model's description and a plan are derived from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.pipeline.scale import object_diameter, sampling_of

if TYPE_CHECKING:
    from napari_unet.core.store.training_set import Sample


@dataclass(frozen=True)
class Fingerprint:
    """Describe images of one kind.

    Parameters
    ----------
    dims, channels : int
        Spatial axes; channels that a network takes.
    colour : {"repeat", "luminance", "exact"}
        How an image becomes those channels, as in ``ModelSpec``.
    shapes : tuple of tuples of int, voxels
        Of each image.
    voxel_sizes : tuple of tuples of float, µm, or None
        Of each image; None where any of them is not known.
    object_size : float, voxels of the finest axis, or None
        Median over the images of their objects' median diameters; None with too few objects.
    highest : int
        Highest label.
    is_scanner : bool
        The images come from a scanner (MRI).
    """

    dims: int
    channels: int
    colour: str
    shapes: tuple[tuple[int, ...], ...]
    voxel_sizes: tuple[tuple[float, ...], ...] | None
    object_size: float | None
    highest: int
    is_scanner: bool

    @property
    def voxel_size(self) -> tuple[float, ...] | None:
        """Give the median voxel size; None where any is unknown."""
        if self.voxel_sizes is None:
            return None
        return tuple(float(v) for v in np.median(np.asarray(self.voxel_sizes), axis=0))


def look_at(samples: Sequence[Sample], dims: int | None = None) -> Fingerprint:
    """Take the fingerprint of samples.

    Parameters
    ----------
    samples : sequence of Sample
        At least one.
    dims : int or None
        The spatial axes that are asked for.

    Raises
    ------
    UserError
        When there is none, or they differ in kind, or have other axes than are asked for.
    """
    if not samples:
        raise UserError("There is nothing to learn from.", "Give at least one image.")
    images = [sample.image for sample in samples]
    all_dims, channels = {image.dims for image in images}, {image.n_channels for image in images}
    has_colour = any(image.rgb for image in images)
    mixed_gray = channels == {1, 3} and has_colour
    if len(all_dims) != 1 or (len(channels) != 1 and not mixed_gray):
        raise UserError(
            f"The images have {sorted(all_dims)} dimensions and {sorted(channels)} channels.",
            "Train on images of one kind.",
        )
    if dims is not None and {dims} != all_dims:
        raise UserError(f"A {dims}D model was asked for; the images are {min(all_dims)}D.", "Leave the dimensions out.")
    known = [image.voxel_size for image in images if image.voxel_size is not None]
    return Fingerprint(
        dims=images[0].dims,
        channels=max(channels),
        colour="repeat" if has_colour else ("luminance" if max(channels) == 1 else "exact"),
        shapes=tuple(image.spatial_shape for image in images),
        voxel_sizes=tuple(known) if len(known) == len(images) else None,
        object_size=_object_size(samples),
        highest=max(int(sample.labels.max(initial=0)) for sample in samples),
        # NIfTI is what scanners' images are kept in.
        is_scanner=all(".nii" in image.source for image in images),
    )


def _object_size(samples: Sequence[Sample]) -> float | None:
    found = [object_diameter(s.labels, sampling_of(s.image.voxel_size, s.image.dims)) for s in samples]
    known = [size for size in found if size is not None]
    return float(np.median(known)) if known else None
