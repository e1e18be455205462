"""An annotator with napari's own tools alone: the cheapest sequence that works, found without paying for trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.correct_errors import Error, Labels, Mask, State, is_corrected
from benchmarks.correct_places import strokes

Token = tuple[str, float | str]
Plan = tuple[list[Token], Labels]
"""What the hand does, and the labels afterwards."""

PICK, NEW, ZERO = "pick", "new", "zero"
SAME_SIZE = 0.25
MOST_PLANS = 6


@dataclass(frozen=True)
class Hand:
    """What is set in napari; whatever is set already costs nothing.

    Parameters
    ----------
    mode : str
        Of the layer.
    label : str or int
        What the brush and the bucket write; 0 is the background.
    dims : int
        Along how many axes they work.
    preserve : int
        1 where the brush spares other objects.
    size : float
        Radius of the brush, in px; what differs by less than a quarter is no other size.
    """

    mode: str = "pan_zoom"
    label: str = ""
    dims: int = 2
    preserve: int = 0
    size: float = 0.0

    def follow(self, tokens: Sequence[Token]) -> tuple[int, Hand]:
        """Count the gestures of a sequence: keys for a mode, M and X; the click of a pick; each press-release."""
        hand, n = self, 0
        for name, value in tokens:
            if name == "do":
                n += int(value)
            elif name == "label" and value == NEW:
                n, hand = n + 1, replace(hand, label=NEW)
            elif name == "label" and value == PICK:
                n, hand = n + 1 + (hand.mode != PICK), replace(hand, label=PICK, mode=PICK)
            elif name == "size":
                if abs(hand.size - float(value)) > SAME_SIZE * hand.size:
                    n, hand = n + 1, replace(hand, size=float(value))
            elif getattr(hand, name) != value:
                n, hand = n + 1, replace(hand, **{name: value})  # type: ignore[arg-type]  # by name
        return n, hand


class Painter:
    """Repair errors one after the other.

    Erasing is exact to the voxel, the bucket fills all pieces of an object; going through slices is not counted.

    Parameters
    ----------
    truth : int32 array
        What the labels shall become.
    sampling : (ndim,) float
        Relative length of a voxel's edges.
    least : float
        IoU from which an object is right.
    """

    def __init__(self, truth: Labels, sampling: Sequence[float], least: float) -> None:
        self._truth, self._sampling, self._least = truth, sampling, least
        self.hand = Hand()

    def repair(self, error: Error, labels: Labels, was: State) -> tuple[int, Labels] | None:
        """Give the gestures of the cheapest sequence and the labels after it; None where none corrects the error."""
        costed = [(*self.hand.follow(tokens), after) for tokens, after in self._plans(error, labels)]
        for n, hand, after in sorted(costed, key=lambda plan: plan[0]):
            if is_corrected(error, after, self._truth, was, labels):
                self.hand = hand
                return n, after
        return None

    def _plans(self, error: Error, labels: Labels) -> Iterator[Plan]:
        plans: dict[str, Callable[[Error, Labels], Iterator[Plan]]] = {
            "false": self._false,
            "merged": self._merged,
            "split": self._split,
            "shape": self._shape,
            "missed": self._missed,
        }
        yield from plans[error.kind](error, labels)

    # ------------------------------------------------------------ single moves

    def _fill(self, n: int, label: str = ZERO) -> list[Token]:
        return [("dims", self._truth.ndim), ("mode", "fill"), ("label", label), ("do", n)]

    def _paint(self, labels: Labels, one: int, label: str, id_: int, *, spare: bool) -> Iterator[Plan]:
        """Paint a true object as `id_`, until it is right, or better than that."""
        target, have = self._truth == one, labels == id_
        room = (labels == 0) | have if spare else np.ones(labels.shape, bool)
        wanted = (self._least, (self._least + 1) / 2)
        for flat in (False, True)[: labels.ndim - 1]:
            dims = 2 if flat else labels.ndim
            for done in strokes(target, have, room, self._sampling, wanted, flat=flat):
                moves: list[Token] = [("label", label), ("dims", dims), ("mode", "paint"), ("preserve", int(spare))]
                after = np.where(done.mask, id_, labels).astype(np.int32)
                yield [*moves, ("size", done.radius), ("do", done.n_strokes)], after

    def _erase(self, labels: Labels, one: int, id_: int) -> Iterator[Plan]:
        """Erase what is too much, slice by slice, and in a stack with the ball."""
        excess = (labels == id_) & (self._truth != one)
        if not excess.any():
            return
        if labels.ndim == 2:
            pieces = [excess]
        else:
            planes = sorted(np.flatnonzero(excess.any((1, 2))), key=lambda z: -int(excess[z].sum()))
            pieces = [np.where(np.arange(len(excess))[:, None, None] == z, excess, False) for z in planes]
        gone = np.zeros(labels.shape, bool)
        for n, piece in enumerate(pieces, start=1):
            gone |= piece
            if _iou((labels == id_) & ~gone, self._truth == one) >= self._least:
                yield [("dims", 2), ("mode", "erase"), ("do", n)], np.where(gone, 0, labels).astype(np.int32)
                return

    # ------------------------------------------------------------ by kind

    def _false(self, error: Error, labels: Labels) -> Iterator[Plan]:
        yield self._fill(1), np.where(labels == error.objects[0], 0, labels).astype(np.int32)

    def _merged(self, error: Error, labels: Labels) -> Iterator[Plan]:
        """Paint all but the largest over it; or all of them, and remove the rest."""
        sizes = {one: int((self._truth == one).sum()) for one in error.truths}
        order = sorted(error.truths, key=lambda one: sizes[one])
        plans: list[Plan] = [([], labels)]
        for number, one in enumerate(order):
            if number == len(order) - 1:
                yield from plans
            plans = [
                ([*tokens, *more], after)
                for tokens, before in plans
                for more, after in self._paint(before, one, NEW, int(before.max()) + 1, spare=False)
            ]
            plans = sorted(plans, key=lambda plan: self.hand.follow(plan[0])[0])[:MOST_PLANS]
        for tokens, after in plans:
            yield [*tokens, *self._fill(1)], np.where(after == error.objects[0], 0, after).astype(np.int32)

    def _split(self, error: Error, labels: Labels) -> Iterator[Plan]:
        """Fill all pieces with one label, and paint what is still missing; or paint it all."""
        new = int(labels.max()) + 1
        joined = np.where(np.isin(labels, error.objects), new, labels).astype(np.int32)
        filled = self._fill(len(error.objects), NEW)
        yield filled, joined
        for more, after in self._paint(joined, error.truths[0], NEW, new, spare=False):
            yield [*filled, *more[1:]], after
        yield from self._anew(error, labels)

    def _shape(self, error: Error, labels: Labels) -> Iterator[Plan]:
        """Pick it and paint what is missing, erase what is too much, both, or make it new."""
        (one,), (id_,) = error.truths, error.objects
        yield from self._erase(labels, one, id_)
        for spare in (True, False):
            for tokens, after in self._paint(labels, one, PICK, id_, spare=spare):
                yield tokens, after
                for more, erased in self._erase(after, one, id_):
                    yield [*tokens, *more], erased
        yield from self._anew(error, labels)

    def _missed(self, error: Error, labels: Labels) -> Iterator[Plan]:
        yield from self._anew(error, labels)

    def _anew(self, error: Error, labels: Labels) -> Iterator[Plan]:
        """Paint it under a new label; then, or before, remove what is left of the old objects."""
        new, n_old = int(labels.max()) + 1, len(error.objects)
        for spare in (True, False):
            for tokens, after in self._paint(labels, error.truths[0], NEW, new, spare=spare):
                yield tokens, after
                if n_old:
                    yield [*tokens, *self._fill(n_old)], _without(after, error.objects)
        if n_old:
            for tokens, after in self._paint(_without(labels, error.objects), error.truths[0], NEW, new, spare=True):
                yield [*self._fill(n_old), *tokens], after


def _without(labels: Labels, ids: Sequence[int]) -> Labels:
    return np.where(np.isin(labels, ids), 0, labels).astype(np.int32)


def _iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
