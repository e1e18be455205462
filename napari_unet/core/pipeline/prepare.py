"""From a sample to the tensors that training cuts its patches from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.core.base.normalise import Normalisation, Statistics, measure
from napari_unet.core.base.resize import resize_linear, resize_nearest
from napari_unet.core.base.tiles import Box, bounding_box, grow
from napari_unet.core.pipeline.channels import check_channels, read_samples, select_channels
from napari_unet.core.pipeline.scale import object_diameter, sampling_of, voxel_factors, zoom_factor, zoomed_shape
from napari_unet.core.pipeline.sections import as_sections
from napari_unet.core.targets import get_target
from napari_unet.core.targets.base import Encoded
from napari_unet.core.targets.weights import weight_map

if TYPE_CHECKING:
    from napari_unet.core.store.spec import ModelSpec
    from napari_unet.core.store.training_set import Sample


@dataclass(frozen=True)
class Prepared:
    """A sample at the network's scale.

    Parameters
    ----------
    image : (C, [Z,] Y, X) float16
        Normalised.
    target : (K, [Z,] Y, X) float16
        Vectors first (where the target has them), then the other channels, then both weights.
    centres : (N, D) int
        The middle of each object that teaches.
    known : (M, D) int
        Some of the annotated voxels.
    weight : float
        How often patches come from this sample, relative to others.
    """

    image: Tensor
    target: Tensor
    centres: NDArray[np.intp]
    known: NDArray[np.intp]
    weight: float


LARGEST_VALUE = 6e4
"""Of float16: one hot pixel in a dark image would otherwise become infinite."""

MAX_KNOWN = 4096
"""Annotated voxels that are kept as possible patch centres."""


REACH = 512
"""Voxels around what is annotated that are kept, where objects are enlarged so much fewer: more than a patch sees."""


def prepare_all(
    samples: Sequence[Sample], spec: ModelSpec, *, weighting: str = "none", also_small: bool = False
) -> list[Prepared]:
    """Prepare samples; what a model for planes learns of a stack is its planes in which anything is annotated.

    Parameters
    ----------
    samples : sequence of Sample
        Of at least as many axes as the model.
    spec, weighting
        As for `prepare`.
    also_small : bool
        Where objects are enlarged because they were measured, prepare them as they are besides: the first pass over
        another image may not see such small ones, and then nothing there is enlarged.

    Raises
    ------
    UserError
        As for `prepare`.
    """
    found = []
    for sample in samples:
        check_channels(sample.image, spec, None)
        # Measured once: as in segmentation, all planes of a stack are as bright as they are.
        statistics = measure(Normalisation(**spec.normalisation), read_samples(sample.image, spec, None))
        parts: Iterable[Sample] = [sample] if sample.image.dims == spec.dims else planes(sample)
        for part in parts:
            sizes = (True, False) if also_small and _is_enlarged(part, spec) else (True,)
            made = [
                prepare(part, spec, rescale=rescale, weighting=weighting, statistics=statistics) for rescale in sizes
            ]
            found += [replace(one, weight=one.weight / len(made)) for one in made]
    return found


def _is_enlarged(sample: Sample, spec: ModelSpec) -> bool:
    """Tell whether objects are enlarged because of their measured size."""
    return _by_voxels(sample, spec) is None and max(_factors(sample, spec)) > 1


def planes(sample: Sample) -> Iterator[Sample]:
    """Give each Z plane of a stack in which anything is annotated as a sample of its own."""
    for z in range(len(sample.labels)):
        annotated = None if sample.annotated is None else sample.annotated[z]
        if annotated is None or annotated.any():
            yield replace(
                sample,
                image=sample.image.plane(z),
                labels=sample.labels[z],
                annotated=annotated,
                name=f"{sample.name}-z{z}",
            )


def prepare(
    sample: Sample,
    spec: ModelSpec,
    *,
    weight: float | None = None,
    rescale: bool = True,
    weighting: str = "none",
    statistics: Statistics | None = None,
) -> Prepared:
    """Normalise, rescale and encode one sample.

    Parameters
    ----------
    sample : Sample
        Image, labels and what of them is annotated.
    spec : ModelSpec
        Channels, normalisation, object size and target.
    weight : float or None
        Share of the patches; by default grows with the root of the number of objects.
    rescale : bool
        Bring the objects to the model's object size where they are off.
    weighting : str
        What the voxels' weights for the class are multiplied by: nothing, or a key of
        ``core.targets.weights.WEIGHTINGS``.
    statistics : Statistics or None
        What normalises the image; measured where it is not known.

    Raises
    ------
    UserError
        When the channels do not fit the model, or the weighting its target.
    """
    check_channels(sample.image, spec, None)
    if spec.target == "instances":
        sample = as_sections(sample)
    volume = select_channels(sample.image, sample.image.volume(), spec, None)
    if statistics is None:
        statistics = measure(Normalisation(**spec.normalisation), read_samples(sample.image, spec, None))
    labels, annotated = sample.labels, sample.annotated
    factors = _factors(sample, spec) if rescale else (1.0,) * labels.ndim
    if annotated is not None and annotated.any():
        # A few corrected cells in a large image: what is far from them is never seen.
        box = _near(annotated, factors)
        volume, labels, annotated = volume[(slice(None), *box)], labels[box], annotated[box]
    volume = statistics.apply(volume)
    sampling = sampling_of(sample.image.voxel_size, sample.image.dims)
    if factors != (1.0,) * labels.ndim:
        shape = zoomed_shape(labels.shape, factors)
        volume = resize_linear(volume, shape)
        labels = resize_nearest(labels, shape)
        annotated = None if annotated is None else resize_nearest(annotated, shape)
        sampling = sampling_of(tuple(s / f for s, f in zip(sampling, factors, strict=True)), labels.ndim)
    encoded = _encode(spec.target, labels, annotated, sampling)
    target, class_weight = encoded.target, encoded.weight[:1]
    if weighting != "none":
        class_weight = class_weight * weight_map(weighting, spec.target, labels, encoded, sampling)
    if get_target(spec.target).vectors:
        target = np.concatenate((target[-labels.ndim :], target[: -labels.ndim]))
    stack = np.concatenate((target, class_weight, encoded.weight[1:])).astype(np.float16)
    centres = centres_of(labels if annotated is None else np.where(annotated > 0, labels, 0))
    known = _known(annotated, labels.shape)
    share = np.sqrt(max(1, len(centres))) if weight is None else weight
    image = torch.from_numpy(volume.clip(-LARGEST_VALUE, LARGEST_VALUE).astype(np.float16))
    return Prepared(image, torch.from_numpy(stack), centres, known, float(share))


def _encode(
    target: str, labels: NDArray[Any], annotated: NDArray[np.uint8] | None, sampling: tuple[float, ...]
) -> Encoded:
    """Encode the box of what is annotated: outside of it all is 0, target and weight alike."""
    encode = get_target(target).encode
    if annotated is None or not annotated.any():
        return encode(labels, annotated, sampling)
    # One voxel more: objects end there, not at the border of the image.
    box = grow(bounding_box(annotated > 0), (1,) * labels.ndim, labels.shape)
    part = encode(labels[box], annotated[box], sampling)
    whole = Encoded(*(np.zeros((len(one), *labels.shape), np.float32) for one in (part.target, part.weight)))
    whole.target[(slice(None), *box)], whole.weight[(slice(None), *box)] = part.target, part.weight
    return whole


def _near(annotated: NDArray[np.uint8], factors: tuple[float, ...]) -> Box:
    """Give the box around what is annotated that patches can reach."""
    reach = tuple(ceil(REACH / max(1.0, factor)) for factor in factors)
    return grow(bounding_box(annotated != 0), reach, annotated.shape)


def _factors(sample: Sample, spec: ModelSpec) -> tuple[float, ...]:
    """Choose the enlargement by the same rules as segmentation does; the object size is known here."""
    image, dims = sample.image, sample.image.dims
    by_voxels = _by_voxels(sample, spec)
    if by_voxels is not None:
        return by_voxels
    if spec.target != "instances":
        return (1.0,) * dims
    taught = sample.labels if sample.annotated is None else np.where(sample.annotated == 1, sample.labels, 0)
    found = object_diameter(taught, sampling_of(image.voxel_size, dims))
    return (zoom_factor(found, spec.object_size),) * dims


def _by_voxels(sample: Sample, spec: ModelSpec) -> tuple[float, ...] | None:
    """Choose the enlargement by the voxel sizes, where both are known."""
    have, wanted = sample.image.voxel_size, spec.voxel_size
    if have is None or wanted is None or len(wanted) != sample.image.dims:
        return None
    return voxel_factors(have, wanted)


def centres_of(labels: NDArray[np.int_]) -> NDArray[np.intp]:
    """Give one voxel in the middle of each object: the mean position, rounded."""
    index = np.nonzero(labels)
    ids, inverse = np.unique(labels[index], return_inverse=True)
    counts = np.bincount(inverse, minlength=len(ids))
    means = [np.bincount(inverse, axis, minlength=len(ids)) / np.maximum(counts, 1) for axis in index]
    return np.stack(means, axis=1).round().astype(np.intp) if len(ids) else np.zeros((0, labels.ndim), np.intp)


def _known(annotated: NDArray[np.uint8] | None, shape: tuple[int, ...]) -> NDArray[np.intp]:
    size = int(np.prod(shape))
    flat = np.arange(size) if annotated is None else np.flatnonzero(annotated)
    flat = flat[:: max(1, len(flat) // MAX_KNOWN)]
    return np.stack(np.unravel_index(flat, shape), axis=1)
