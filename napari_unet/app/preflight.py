"""Look at the samples before a training starts, and say what is likely to spoil it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import cc3d
import fastremap
import numpy as np

from napari_unet.app.annotations import Labels, Mask, unique_ids
from napari_unet.app.summary import Summary, summary
from napari_unet.app.teaching import KNOWN, UNKNOWN, Snapshot, to_samples
from napari_unet.core.base.progress import Progress, Report
from napari_unet.core.base.tiles import bounding_box, grow
from napari_unet.core.store.training_set import Sample

if TYPE_CHECKING:
    from napari_unet.app.job import Stop

FEW_OBJECTS = 3
"""Fewer objects than this rarely teach more than themselves."""


@dataclass(frozen=True)
class Problem:
    """Say what is off before a training.

    Parameters
    ----------
    text, hint : str
        What was found, and what to do.
    blocks : bool
        The training cannot start.
    """

    text: str
    hint: str
    blocks: bool = False


@dataclass(frozen=True)
class Review:
    """Say what a training would learn from, and what is off."""

    summary: Summary
    problems: tuple[Problem, ...]


def review(snapshots: Sequence[Snapshot], report: Report, stop: Stop) -> Review:
    """Look at what was corrected; a job function, for it takes a second on a large volume.

    The labels are copied first: they may be painted meanwhile.
    """
    total, samples = Summary(), list[Sample]()
    for index, live in enumerate(snapshots):
        report(Progress(index, len(snapshots), f"looking at '{live.name}'"))
        snapshot = replace(live, labels=np.array(live.labels))
        total += summary(snapshot.corrections, snapshot.labels)
        samples += to_samples(snapshot)
    semantic = any(snapshot.corrections.semantic for snapshot in snapshots)
    found = find_problems(samples, total, semantic=semantic)
    aside = () if semantic else tuple(problem for sample in samples for problem in _aside(sample))
    return Review(total, (*found, *aside))


def _aside(sample: Sample) -> Iterator[Problem]:
    """See whether the outlines lie on the image."""
    from napari_unet.core.metrics.alignment import alignment

    known = sample.labels if sample.annotated is None else np.where(sample.annotated == KNOWN, sample.labels, 0)
    found = alignment(lambda box: sample.image.box(0, box), known, sorted(unique_ids(known)))
    if found is None or found.verdict == "fits":
        return
    what = f"{found.n_objects} objects of '{sample.name}'"
    if found.verdict == "follows nothing":
        text, hint = f"The outlines of {what} follow nothing in the image.", "Check that the labels belong to it."
    else:
        axes = sample.image.spatial_axes
        words = ", ".join(f"{axis} {by:+.0f}" for axis, by in zip(axes, found.voxels, strict=True) if by)
        text = f"All {what} lie {words} voxels beside what the image shows."
        hint = "Check that the labels lie on the image: a layer may have been moved."
    yield Problem(text, hint)


def find_problems(samples: Sequence[Sample], counts: Summary, *, semantic: bool = False) -> tuple[Problem, ...]:
    """Find what is off in what will be learnt from.

    Parameters
    ----------
    samples : sequence of Sample
        From `to_samples`.
    counts : Summary
        Of the same corrections.
    semantic : bool
        The labels are classes.

    Returns
    -------
    tuple of Problem
        Empty where all is well; those that block come first.
    """
    if not samples:
        text = "There is nothing to learn from yet."
        return (Problem(text, "Accept or correct some objects, or mark a region as done.", blocks=True),)
    taught = [_cut(sample) for sample in samples]
    found = _class_problems(taught) if semantic else _object_problems(taught, counts)
    return tuple(sorted(found, key=lambda problem: not problem.blocks))


@dataclass(frozen=True)
class _Taught:
    """Labels and what of them is known, cut to the box around it: a few corrected cells in a large image."""

    name: str
    labels: Labels = field(repr=False)
    annotated: Labels = field(repr=False)


def _cut(sample: Sample) -> _Taught:
    if sample.annotated is None:
        return _Taught(sample.name, sample.labels, np.ones(sample.labels.shape, np.uint8))
    known = bounding_box(sample.annotated > 0)
    box = grow(known, (1,) * len(known), sample.labels.shape)  # with the neighbours of what is known
    return _Taught(sample.name, sample.labels[box], sample.annotated[box])


def _class_problems(taught: Sequence[_Taught]) -> list[Problem]:
    known = set[int]()
    for part in taught:
        known |= {int(one) for one in np.unique(part.labels[part.annotated == KNOWN])}
    if len(known) > 1:
        return []
    what = "background" if known == {0} else f"class {next(iter(known), 0)}"
    return [Problem(f"Only {what} is marked.", "Mark some of another class as well, or a region as done.")]


def _object_problems(taught: Sequence[_Taught], counts: Summary) -> list[Problem]:
    problems = []
    n_objects = sum(len(unique_ids(part.labels[part.annotated == KNOWN])) for part in taught)
    if n_objects < FEW_OBJECTS:
        how_many = ("No whole object teaches", "Only one whole object teaches", "Only two whole objects teach")
        text = f"{how_many[n_objects]}."
        problems.append(Problem(text, "Accept some more: ten make a clear difference."))
    if not counts.n_done and not counts.n_background:
        text = "Nothing is marked as background but a ring around the objects."
        problems.append(Problem(text, "Mark a region as done, or delete something that is no object."))
    in_pieces = [f"{one} in '{part.name}'" for part in taught for one in _in_pieces(part)]
    if in_pieces:
        text = f"{len(in_pieces)} object(s) lie in several pieces: {', '.join(in_pieces[:3])}."
        problems.append(Problem(text, "Delete stray voxels, or give each piece its own number."))
    n_touching = sum(_n_touching_unknown(part) for part in taught)
    if n_touching:
        text = f"{n_touching} object(s) touch one that nobody has looked at."
        problems.append(Problem(text, "Check the border between them, and accept the neighbour too."))
    return problems


def _in_pieces(part: _Taught) -> list[int]:
    whole = np.where(part.annotated == KNOWN, part.labels, 0)
    numbered, _ = fastremap.renumber(whole, preserve_zero=True)
    pieces, n_pieces = cc3d.connected_components(
        numbered, connectivity=8 if whole.ndim == 2 else 26, return_N=True, binary_image=False
    )
    owner = np.zeros(n_pieces + 1, np.int64)
    owner[pieces.ravel()] = whole.ravel()
    ids, counts = np.unique(owner[1:], return_counts=True)
    return [int(one) for one in ids[counts > 1]]


def _n_touching_unknown(part: _Taught) -> int:
    """Count known objects beside an unknown voxel: rings cover what is unlabelled, so another object lies there."""
    whole, unknown = (part.annotated == KNOWN) & (part.labels > 0), part.annotated == UNKNOWN
    touching: set[int] = set()
    for axis in range(whole.ndim):
        for step in (1, -1):
            beside = _moved(unknown, axis, step) & whole
            touching |= unique_ids(part.labels[beside])
    return len(touching)


def _moved(mask: Mask, axis: int, step: int) -> Mask:
    moved = np.roll(mask, step, axis)
    edge: list[slice | int] = [slice(None)] * mask.ndim
    edge[axis] = 0 if step > 0 else -1
    moved[tuple(edge)] = False
    return moved
