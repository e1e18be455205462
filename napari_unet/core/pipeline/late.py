"""Score a model on corrections that came after it was made, before it learns from them.

References
----------
A. P. Dawid: Statistical Theory: The Prequential Approach. J. R. Stat. Soc. A 1984, doi:10.2307/2981683.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.tiles import Box, bounding_box, grow
from napari_unet.core.pipeline.compare import Comparison, Judged, compare, judge
from napari_unet.core.pipeline.split import count_objects

if TYPE_CHECKING:
    from napari_unet.core.store.models import Model
    from napari_unet.core.store.training_set import Sample

ROOM = 64
"""Voxels around what is annotated that are segmented with it, at least."""


def late_part(sample: Sample, before: Sample | None, *, semantic: bool = False) -> Sample | None:
    """Keep what of a sample was not known when it was seen the last time.

    Parameters
    ----------
    sample : Sample
        As it is now.
    before : Sample or None
        The same image as it was; None where it is new.
    semantic : bool
        The labels are classes: voxels count, not objects.

    Returns
    -------
    Sample or None
        With nothing else annotated; an object of which any voxel was known before is not late. None where nothing is.
    """
    known = _known(sample)
    if before is None or before.labels.shape != sample.labels.shape:
        return sample if known.any() else None
    earlier = _known(before) > 0
    changed = (known > 0) & (~earlier | (sample.labels != before.labels))
    if not changed.any():
        return None
    box = bounding_box(changed)
    late = np.zeros(known.shape, np.uint8)
    if semantic:
        late[box] = np.where(earlier[box], 0, known[box])
    else:
        learnt = np.unique(sample.labels[earlier & (before.labels > 0)])
        is_new = ~np.isin(sample.labels[box], learnt)
        late[box] = np.where(np.where(sample.labels[box] > 0, is_new, ~earlier[box]), known[box], 0)
    return replace(sample, annotated=late) if late.any() else None


def in_places(sample: Sample) -> list[Sample]:
    """Part what is annotated here and there in a large image, so that what lies between is not segmented.

    Returns
    -------
    list of Sample
        One for each place; the sample itself where that would save less than half.
    """
    known = _known(sample) > 0
    places = [grow(box, (ROOM,) * known.ndim, known.shape) for box in _boxes(known)]
    joined = _joined(places)
    if 2 * sum(_size(box) for box in joined) >= _size(grow(bounding_box(known), (ROOM,) * known.ndim, known.shape)):
        return [sample]
    found = []
    for box in joined:
        here = np.zeros(known.shape, np.uint8)
        here[box] = _known(sample)[box]
        found.append(replace(sample, annotated=here))
    return found


def _boxes(known: NDArray[np.bool_]) -> list[Box]:
    """Give the box of each connected part."""
    parts = cc3d.connected_components(known, connectivity=8 if known.ndim == 2 else 26)
    return [tuple(box) for box in cc3d.statistics(parts, no_slice_conversion=False)["bounding_boxes"][1:]]


def _joined(boxes: list[Box]) -> list[Box]:
    """Join boxes that meet until none do: what is annotated is in one of them only."""
    left, found = list(boxes), list[Box]()
    while left:
        box = left.pop()
        near = [one for one in left if _meet(one, box)]
        if not near:
            found.append(box)
            continue
        left = [one for one in left if not _meet(one, box)]
        both = [box, *near]
        left.append(tuple(slice(min(p.start for p in a), max(p.stop for p in a)) for a in zip(*both, strict=True)))
    return found


def _meet(one: Box, other: Box) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def _size(box: Box) -> int:
    return math.prod(part.stop - part.start for part in box)


def _known(sample: Sample) -> NDArray[np.uint8]:
    return np.ones(sample.labels.shape, np.uint8) if sample.annotated is None else sample.annotated


def late_objects(sample: Sample, late: Sample | None) -> NDArray[Any]:
    """Give the numbers of the objects of a sample that came late."""
    if late is None or late.annotated is None:
        return np.zeros(0, sample.labels.dtype)
    found: NDArray[Any] = np.unique(late.labels[(late.annotated == 1) & (late.labels > 0)])
    return found


@dataclass
class LateJudge:
    """Collect what a model and its successors say of corrections that none of them had learned from.

    Parameters
    ----------
    model : Model
        The old one.
    n_objects : int
        That came late so far; of classes, the times that something came.
    """

    model: Model
    n_objects: int = 0
    _judged: list[Judged] = field(default_factory=list, repr=False)

    def see(self, late: Sequence[Sample], shown: Model) -> None:
        """Let the old model and the one shown now predict what has just come.

        Parameters
        ----------
        late : sequence of Sample
            See `late_part`.
        shown : Model
            Of the same kind; it has not learned from them.
        """
        self._judged += judge(self.model, shown, [part for sample in late for part in in_places(sample)])
        self.n_objects += sum(1 if self._is_semantic else count_objects(sample) for sample in late)

    @property
    def _is_semantic(self) -> bool:
        return self.model.spec.target == "semantic"

    def verdict(self) -> Comparison:
        """Compare the old model and those that were shown, on all that was collected."""
        return compare(self._judged, semantic=self._is_semantic)
