"""Freeze what teaches: which voxels are known, and the labels in them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import fastremap
import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.app.annotations import (
    Corrections,
    Labels,
    Mask,
    at_time,
    changes,
    decided_voxels,
    done_mask,
    unique_ids,
)
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.sections import section_axis
from napari_unet.core.store.training_set import Sample

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image

UNKNOWN, KNOWN, CUT = 0, 1, 2
RING = 0.25
"""Width of the known background around an object that teaches, as a share of its diameter."""

FAR = 1e9
"""From slice to slice, for what was drawn in single ones."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Keep a labels layer as it was at the click, for a job to learn from.

    Parameters
    ----------
    image : Image
        With all its time points; not copied.
    labels : integer array
        A copy of the layer's array, or that array itself: see `take_snapshot`.
    corrections : Corrections
        At the same moment.
    name : str
        Becomes part of file names.
    origin : str
        Key of the labels layer: what comes from it later replaces this.
    """

    image: Image
    labels: Labels = field(repr=False)
    corrections: Corrections = field(repr=False)
    name: str
    origin: str = ""


def take_snapshot(
    image: Image, labels: Labels, c: Corrections, name: str = "", origin: str = "", *, copy: bool = True
) -> Snapshot:
    """Copy the labels, so that the user can go on painting.

    Parameters
    ----------
    image, labels, c, name, origin
        As in `Snapshot`.
    copy : bool
        False leaves the copy to the job, since a large one holds the window up: for a mere look at the labels, into
        which half a stroke may get.

    Raises
    ------
    UserError
        When the labels do not fit the image.
    """
    if labels.shape != image.label_shape:
        raise UserError(
            f"The labels have the shape {labels.shape}, the image '{image.name}' {image.label_shape}.",
            "Choose the image that the labels belong to.",
        )
    return Snapshot(image, np.array(labels) if copy else labels, c, file_name(name or image.name), origin)


def file_name(name: str) -> str:
    """Make a part of a file's name of what a user called something."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "image"


def annotated_mask(c: Corrections, labels: Labels, voxel_size: Sequence[float] | None = None) -> NDArray[np.uint8]:
    """Draw what is known of the labels of one time point.

    Known (1) are accepted and edited objects that are not unsure, a ring of a quarter of their diameter around them
    where nothing is labelled, deleted and erased voxels, background strokes, painted classes, and finished regions.
    An object that only reaches into a finished region is cut (2) inside it: its class is known, its shape is not.
    Everything else is unknown (0): predictions never teach.

    Parameters
    ----------
    c : Corrections
        Of this time point.
    labels : ([Z,] Y, X) integer
        As they are now.
    voxel_size : ([Z,] Y, X) float, µm, optional
        Makes the ring equally wide in anisotropic images.

    Returns
    -------
    ([Z,] Y, X) uint8
        0 unknown, 1 known, 2 class known but the object is cut.
    """
    annotated = np.zeros(labels.shape, np.uint8)
    done = done_mask(c)
    if c.semantic:
        annotated[decided_voxels(c, labels) | done] = KNOWN
        return annotated
    found = changes(c, labels)
    taught = (c.accepted | found.edited) - c.unsure
    annotated[_rings(labels, taught, voxel_size)] = KNOWN
    annotated[decided_voxels(c, labels, found) | done] = KNOWN
    annotated[_belongs(labels, _cut(labels, done)) & done] = CUT
    annotated[_belongs(labels, taught)] = KNOWN
    annotated[_belongs(labels, c.unsure)] = UNKNOWN
    return annotated


def teaching_labels(labels: Labels, annotated: NDArray[np.uint8]) -> Labels:
    """Clear the labels where nothing is known, so that no prediction can teach."""
    cleared: Labels = np.where(annotated > 0, labels, 0).astype(labels.dtype)
    return cleared


def to_samples(snapshot: Snapshot) -> tuple[Sample, ...]:
    """Turn a snapshot into training samples.

    Returns
    -------
    tuple of Sample
        One for each time point in which anything is known.
    """
    image, c = snapshot.image, snapshot.corrections
    if "T" not in image.axes:
        return _to_sample(image, snapshot.labels, c, snapshot.name)
    frames = replace(image, data=image.data[0], axes=image.axes.replace("T", ""))
    samples: tuple[Sample, ...] = ()
    for time in range(image.n_times):
        one = replace(frames, data=image.data[time])
        samples += _to_sample(one, snapshot.labels[time], at_time(c, time), f"{snapshot.name}-t{time:04d}")
    return samples


def _to_sample(image: Image, labels: Labels, c: Corrections, name: str) -> tuple[Sample, ...]:
    annotated = annotated_mask(c, labels, image.voxel_size)
    if not annotated.any():
        return ()
    return (Sample(replace(image, name=name), teaching_labels(labels, annotated), annotated, name),)


def with_unique_names(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Add a number to names that occur more than once, so that no sample overwrites another on disk."""
    unique: dict[str, Sample] = {}
    for sample in samples:
        name, n = sample.name, 2
        while name in unique:
            name, n = f"{sample.name}-{n}", n + 1
        unique[name] = replace(sample, name=name)
    return tuple(unique.values())


def _belongs(labels: Labels, ids: Iterable[int]) -> Mask:
    chosen = [one for one in ids if one > 0]
    belongs: Mask = np.isin(labels, chosen)
    return belongs


def _cut(labels: Labels, done: Mask) -> frozenset[int]:
    """Find the objects that lie partly in the finished regions and partly outside."""
    inside = unique_ids(labels[done])
    return inside & unique_ids(labels[~done]) if inside else inside


def _rings(labels: Labels, ids: frozenset[int], voxel_size: Sequence[float] | None) -> Mask:
    """Draw the unlabelled voxels near objects; works inside the padded box of each.

    What is drawn in single slices of a stack says nothing about the slices above and below.
    """
    import edt  # the dock opens without it

    ring = np.zeros(labels.shape, bool)
    size = np.array(voxel_size if voxel_size is not None else (1.0,) * labels.ndim)
    chosen = np.where(_belongs(labels, ids), labels, 0)
    numbered, _ = fastremap.renumber(chosen, preserve_zero=True)
    for index, box in enumerate(scipy.ndimage.find_objects(numbered), start=1):
        mask, steps = numbered[box] == index, size.copy()
        section = section_axis(mask, labels.shape, size)
        if section is not None:
            steps[section] = FAR
        within = np.delete(size, [] if section is None else section)
        radius = max(RING * _diameter(np.count_nonzero(mask) * float(within.prod()), len(within)), float(size.min()))
        near = tuple(
            slice(max(0, part.start - math.ceil(radius / step)), part.stop + math.ceil(radius / step))
            for part, step in zip(box, steps, strict=True)
        )
        distance = edt.edt(numbered[near] != index, anisotropy=tuple(steps), black_border=False)
        ring[near] |= distance <= radius
    ring &= labels == 0
    return ring


def _diameter(volume: float, ndim: int) -> float:
    """Give the diameter of the disc (2D) or ball (3D) of an area or volume."""
    return 2 * math.sqrt(volume / math.pi) if ndim == 2 else (6 * volume / math.pi) ** (1 / 3)
