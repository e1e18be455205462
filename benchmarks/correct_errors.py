"""The errors of a segmentation, found by matching to the truth, and when one counts as corrected."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.metrics.overlap import Overlap, overlap

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]

KINDS = ("false", "merged", "split", "shape", "missed")
"""In the order in which both annotators go through them: who deletes first has room to draw."""

MATCHED, MOSTLY = 0.5, 0.5
"""IoU from which two objects are the same one; share of one that makes it lie in another."""


@dataclass(frozen=True)
class Error:
    """One thing that a person would see and repair.

    Parameters
    ----------
    kind : str
        One of `KINDS`. *false*: an object where none is. *merged*: more than half of each of several true objects lies
        in one. *split*: more than half of each of several objects lies in one true one. *shape*: one object for one
        true one, but not like enough. *missed*: a true object that is not there.
    truths : tuple of int
        True objects concerned.
    objects : tuple of int
        Predicted objects concerned, by their numbers in the prediction.
    """

    kind: str
    truths: tuple[int, ...]
    objects: tuple[int, ...]


@dataclass(frozen=True)
class State:
    """How labels compare with the truth.

    Parameters
    ----------
    found : Overlap
        All pairs.
    best : dict of int to float
        The IoU of each true object with the object most like it.
    superfluous : frozenset of int
        Objects that are no true one.
    least : float
        IoU from which a true object is there.
    """

    found: Overlap = field(repr=False)
    best: dict[int, float]
    superfluous: frozenset[int]
    least: float

    @property
    def right(self) -> frozenset[int]:
        """Give the true objects that are there."""
        return frozenset(one for one, iou in self.best.items() if iou >= self.least)


def compare(labels: Labels, truth: Labels, least: float) -> State:
    """Compare labels with the truth; an object is right from an IoU of `least` on."""
    found = overlap(labels, truth)
    best = np.zeros(len(found.true_ids))
    np.maximum.at(best, found.columns, found.iou)
    matched = set(found.pred_ids[found.rows[found.iou >= MATCHED]].tolist())
    superfluous = frozenset(set(found.pred_ids.tolist()) - matched)
    return State(found, dict(zip(found.true_ids.tolist(), best.tolist(), strict=True)), superfluous, least)


def find_errors(labels: Labels, truth: Labels, least: float) -> list[Error]:
    """List the errors of a prediction, in the order of `KINDS`; each object and each true object is in one at most."""
    state = compare(labels, truth, least)
    pairs = state.found
    pred, true = pairs.pred_ids[pairs.rows], pairs.true_ids[pairs.columns]
    of_true = pairs.shared / pairs.true_sizes[pairs.columns]
    of_pred = pairs.shared / pairs.pred_sizes[pairs.rows]
    wrong = [one for one in state.best if one not in state.right]
    errors, done, used = list[Error](), set[int](), set[int]()

    def note(kind: str, truths: list[int], objects: list[int]) -> None:
        errors.append(Error(kind, tuple(truths), tuple(objects)))
        done.update(truths)
        used.update(objects)

    for one in np.unique(pred[of_true > MOSTLY]).tolist():
        inside = true[(pred == one) & (of_true > MOSTLY)].tolist()
        if len(inside) > 1 and not done.issuperset(inside):
            note("merged", [t for t in inside if t not in done], [one])
    for one in np.unique(true[of_pred > MOSTLY]).tolist():
        pieces = pred[(true == one) & (of_pred > MOSTLY)].tolist()
        if len(pieces) > 1 and one not in done and not used.intersection(pieces):
            note("split", [one], pieces)
    for one in wrong:
        if one in done:
            continue
        alike = (true == one) & ((pairs.iou > MATCHED) | (of_pred > MOSTLY) | (of_true > MOSTLY))
        partner = [
            p for p in pred[alike].tolist() if p not in used and (p in state.superfluous or state.best[one] > MATCHED)
        ]
        if len(partner) == 1:
            note("shape", [one], partner)
        else:
            note("missed", [one], [])
    for one in sorted(state.superfluous - used):
        note("false", [], [one])
    return sorted(errors, key=lambda error: KINDS.index(error.kind))


def is_corrected(error: Error, after: Labels, truth: Labels, was: State, before: Labels) -> bool:
    """Tell whether an error is gone, by the same rule for both annotators.

    The true objects concerned are there; every true object that was right before still is; and neither the objects
    concerned nor any voxel written lies in an object that is no true one, unless that object was there before and
    belongs to another error.

    Parameters
    ----------
    error : Error
        What shall be gone.
    after : int32 array
        The labels as they are now.
    truth : int32 array, same shape
        What is right.
    was : State
        Of the labels before.
    before : int32 array, same shape
        The labels as they were.
    """
    now = compare(after, truth, was.least)
    if any(now.best[one] < was.least for one in error.truths) or not was.right <= now.right:
        return False
    touched = set(np.unique(after[after != before]).tolist()) - {0}
    others = was.superfluous - set(error.objects)
    return not (now.superfluous & (touched | set(error.objects))) - others


def what_is_left(error: Error, after: Labels, truth: Labels, was: State, before: Labels) -> list[Error]:
    """List what a person sees where an error is not gone: what is still wrong of it, or has become wrong meanwhile.

    Parameters
    ----------
    error, after, truth, was, before
        As in `is_corrected`.

    Returns
    -------
    list of Error
        Parts of the error first.
    """
    now = compare(after, truth, was.least)
    wrong = {one for one in error.truths if one not in now.right} | (was.right - now.right)
    touched = set(np.unique(after[after != before]).tolist()) - {0}
    stray = (now.superfluous & (touched | set(error.objects))) - (was.superfluous - set(error.objects))
    found = [one for one in find_errors(after, truth, was.least) if wrong.intersection(one.truths)]
    of_truths = {id_ for one in found for id_ in one.objects}
    found.sort(key=lambda one: not set(error.truths).intersection(one.truths))
    return found + [Error("false", (), (one,)) for one in sorted(stray - of_truths)]
