"""What is kept for one labels layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unet.app.annotations import Corrections, Labels
    from napari_unet.app.requests import KeptOutput
    from napari_unet.core.base.image import Image


@dataclass(frozen=True, eq=False)
class Result:
    """Keep what belongs to one labels layer; replaced as a whole, never changed.

    Parameters
    ----------
    image : Image
        What was segmented.
    corrections : Corrections
        What the user said.
    prediction : KeptOutput or None
        The network's output, to decode again.
    model : str
        The model that made it; empty for labels drawn by hand.
    confidence : dict of int to float
        Of the predicted objects, by their ids in the layer, 0 to 1.
    made_by : mapping of str to JSON
        The model, the SHA-256 of its weights and the options of the last prediction; empty where that is not known.
    """

    image: Image
    corrections: Corrections
    prediction: KeptOutput | None = None
    model: str = ""
    confidence: Mapping[int, float] = field(default_factory=dict)
    made_by: Mapping[str, Any] = field(default_factory=dict, repr=False)


def carry_confidence(kept: KeptOutput, labels: Labels, predicted: Labels) -> dict[int, float]:
    """Carry confidence over from a prediction's numbers to the ids that its objects got in the layer."""
    known: NDArray[np.float32] = kept.confidence
    both = (labels > 0) & (predicted > 0)
    if known.size == 0 or not both.any():
        return {}
    ids, first = np.unique(labels[both], return_index=True)
    return {int(one): float(known[number]) for one, number in zip(ids, predicted[both][first], strict=True)}


def bytes_kept(before: Result, after: Result) -> int:
    """Give the memory that `before` holds and `after` does not share: what an undo step keeps alive."""
    total = 0
    for name in ("predicted", "background", "painted"):
        array = getattr(before.corrections, name)
        if array is not None and array is not getattr(after.corrections, name):
            total += array.nbytes
    old, new = before.prediction, after.prediction
    if old is not None and (new is None or old.output is not new.output):
        total += old.n_bytes
    return total
