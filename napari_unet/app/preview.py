"""Show what a training sees: patches of the current image as the augmentation changes them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastremap
import numpy as np
from numpy.typing import NDArray

from napari_unet.app.model_cache import load_cached
from napari_unet.app.teaching import to_samples
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.normalise import Normalisation, measure
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import Progress, Report
from napari_unet.core.base.tiles import Box, bounding_box, grow
from napari_unet.core.store.training_set import Sample

if TYPE_CHECKING:
    from napari_unet.app.job import Stop
    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.base.image import Image
    from napari_unet.core.pipeline.prepare import Prepared

ROWS, COLUMNS = 2, 4
"""Of the grid of patches."""

GAP = 4
"""Voxels between two patches."""

MOST_POINTS = 4096
"""Voxels that are kept as possible middles of patches."""

EXACT_IN_FLOAT = 2**24
"""Label numbers up to this one survive the way through the sampler, which moves float32."""


@dataclass(frozen=True, eq=False)
class PreviewRequest:
    """Ask for augmented patches.

    Parameters
    ----------
    image : Image
        Must not change while the job runs.
    snapshot : Snapshot or None
        The labels and corrections of the image, where it has any.
    options : TrainOptions
        Its augmentation, patch and seed count.
    model : Path or None
        Folder of the model that would learn: it says the normalisation, and the augmentation if that is automatic.
    time : int
        The time point, while nothing is annotated.
    """

    image: Image
    snapshot: Snapshot | None = None
    options: TrainOptions = field(default_factory=TrainOptions)
    model: Path | None = None
    time: int = 0


@dataclass(frozen=True, eq=False)
class Patches:
    """A grid of augmented patches.

    Parameters
    ----------
    image : (C, [Z,] Y, X) float32, normalised
        The patches side by side, `GAP` voxels apart.
    labels : ([Z,] Y, X) int32
        The labels of the same voxels; 0 between the patches and where nothing is known.
    words : str
        What is shown.
    """

    image: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int32] = field(repr=False)
    words: str = ""


def augmented_patches(request: PreviewRequest, report: Report, stop: Stop) -> Patches:
    """Draw patches as a training does; a job function.

    They come from around the corrections, or from the middle of the image while nothing is annotated, at the image's
    own size: a training first brings the objects to the size that the model knows.

    Raises
    ------
    UserError
        When the image or the model cannot be used.
    """
    report(Progress(0, 2, "drawing patches"))
    from napari_unet.core.pipeline.sampler import Sampler

    samples = _annotated(request) or (_whole(request),)
    dims = request.image.dims
    edge = request.options.patch or (128 if dims == 2 else 64)
    patch = tuple(min(edge, n) for n in request.image.spatial_shape)
    name, normalisation = _as_the_model(request)
    sampler = Sampler(
        [_prepared(sample, normalisation, patch) for sample in samples],
        patch,
        ROWS * COLUMNS,
        augment=name,
        vectors=False,
        seed=request.options.seed,
        voxel_size=request.image.voxel_size,
    )
    report(Progress(1, 2, "changing them"))
    batch = sampler.draw()
    labels = batch.target[:, 0].round().int().numpy()
    what = "around your corrections" if samples[0].annotated is not None else "from the middle of the image"
    size = " x ".join(str(n) for n in patch)
    words = f"Augmentation '{name}', patches of {size} px {what}."
    return Patches(_tiled(batch.image.numpy()), _tiled(labels), words)


def _annotated(request: PreviewRequest) -> tuple[Sample, ...]:
    return () if request.snapshot is None else to_samples(request.snapshot)


def _whole(request: PreviewRequest) -> Sample:
    """Take the shown time point with the labels that it has, if any."""
    image, snapshot = request.image, request.snapshot
    labels = np.zeros(image.label_shape, np.uint8) if snapshot is None else snapshot.labels
    if "T" in image.axes:
        labels = labels[request.time]
        image = replace(image, data=image.data[request.time], axes=image.axes.replace("T", ""))
    return Sample(image, labels, None, image.name)


def _as_the_model(request: PreviewRequest) -> tuple[str, Normalisation]:
    """Choose augmentation and normalisation as the training of the model does."""
    from napari_unet.core.pipeline.fine_tune import augment_corrections

    chosen, normalisation = request.options.augment, Normalisation()
    if request.model is not None:
        model = load_cached(request.model)
        if model.spec.dims == request.image.dims:
            normalisation = Normalisation(**model.spec.normalisation)
            chosen = str(augment_corrections(model)) if chosen == "auto" else chosen
    return "microscopy" if chosen == "auto" else chosen, normalisation


def _prepared(sample: Sample, normalisation: Normalisation, patch: tuple[int, ...]) -> Prepared:
    """Normalise the part that patches can come from; the target is the labels themselves."""
    import torch

    from napari_unet.core.pipeline.prepare import Prepared

    box = _part(sample, patch)
    volume = np.asarray(sample.image.data[(..., *box)])
    volume = volume if "C" in sample.image.axes else volume[np.newaxis]
    labels = np.ascontiguousarray(sample.labels[box])
    known = np.ones(labels.shape, bool) if sample.annotated is None else sample.annotated[box] > 0
    if not known.size:
        raise UserError(f"The image '{sample.name}' is empty.", "Choose an image with voxels.")
    if int(labels.max()) >= EXACT_IN_FLOAT:
        labels = fastremap.renumber(labels, preserve_zero=True)[0]
    volume = measure(normalisation, [volume]).apply(volume)
    target = np.stack((labels, known, known)).astype(np.float32)
    return Prepared(
        torch.from_numpy(volume), torch.from_numpy(target), _points(known & (labels > 0)), _points(known), 1.0
    )


def _part(sample: Sample, patch: tuple[int, ...]) -> Box:
    """Give the box around what is annotated, or the middle of an image of any size."""
    shape = sample.labels.shape
    if sample.annotated is not None:
        return grow(bounding_box(sample.annotated > 0), patch, shape)
    middle = tuple(slice(max(0, n // 2 - p), n // 2 + p) for n, p in zip(shape, patch, strict=True))
    return grow(middle, patch, shape)


def _points(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    flat = np.flatnonzero(mask)
    return np.stack(np.unravel_index(flat[:: max(1, len(flat) // MOST_POINTS)], mask.shape), axis=1)


def _tiled(patches: NDArray[Any]) -> NDArray[Any]:
    """Put patches (N, ..., Y, X) side by side in the last two axes."""
    spaced = np.pad(patches, [(0, 0)] * (patches.ndim - 2) + [(0, GAP)] * 2)
    rows = [np.concatenate(list(spaced[first : first + COLUMNS]), -1) for first in range(0, len(spaced), COLUMNS)]
    return np.ascontiguousarray(np.concatenate(rows, -2)[..., :-GAP, :-GAP])
