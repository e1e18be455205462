"""Score a model on corrections that came after it was made, before it learns from them.

References
----------
A. P. Dawid: Statistical Theory: The Prequential Approach. J. R. Stat. Soc. A 1984, doi:10.2307/2981683.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.tiles import bounding_box
from napari_unet.core.pipeline.compare import Comparison, Judged, compare, judge
from napari_unet.core.pipeline.split import count_objects

if TYPE_CHECKING:
    from napari_unet.core.store.models import Model
    from napari_unet.core.store.training_set import Sample


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
        self._judged += judge(self.model, shown, late)
        self.n_objects += sum(1 if self._is_semantic else count_objects(sample) for sample in late)

    @property
    def _is_semantic(self) -> bool:
        return self.model.spec.target == "semantic"

    def verdict(self) -> Comparison:
        """Compare the old model and those that were shown, on all that was collected."""
        return compare(self._judged, semantic=self._is_semantic)
