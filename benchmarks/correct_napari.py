"""An annotator with napari's own tools alone: plans the cheapest sequence for a steady hand, then does it with its own.

It knows all of napari's tools: brush (a ball in a stack), encircling with the right button, bucket, eraser, picker,
preserve labels. Before each move it tries all sequences that would do for a steady hand, and takes the one with the
fewest gestures: a person knows from experience, and pays for no trials. What its hand then does may not be enough; it
looks, and plans the rest again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.correct_errors import Error, Labels, Mask, State, compare, is_corrected, what_is_left
from benchmarks.correct_hand import Hand, radius_of
from benchmarks.correct_places import Painted, dab, strokes
from napari_unet.core.base.tiles import bounding_box, full_box, grow

Token = tuple[str, float | str]

PICK, NEW, ZERO = "pick", "new", "zero"
SAME_SIZE = 0.25
MOST_PLANS = 6
"""That are followed up where several cells are painted one after the other."""

MOST_TRIES = 8
"""Sequences for one true object before it is given up; as many as ours may outline."""

RISK = 2.0
"""Gestures that are expected on top of a sequence that only just does for a steady hand (IoU below 0.85)."""

NEAR = 24
"""px around an error in which it is planned first."""

FINE = 0.5
"""Radius of the brush that encircles, in px."""


@dataclass(frozen=True)
class Move:
    """Something done with one tool.

    Parameters
    ----------
    tokens : list of Token
        What has to be set, and how many press-releases it takes.
    do : callable
        Gives the labels afterwards, as a hand does it.
    """

    tokens: list[Token]
    do: Callable[[Labels, Hand], Labels] = field(repr=False)


Plan = tuple[list[Move], Labels]
"""What is done, and the labels afterwards if the hand is steady."""


@dataclass(frozen=True)
class Held:
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

    def follow(self, tokens: Sequence[Token]) -> tuple[int, Held]:
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


UNTOUCHED = Held()
STEADY = Hand(np.random.default_rng(0), 0.0)


class Painter:
    """Repair errors one after the other.

    The bucket fills all pieces of an object; going through slices is not counted.

    Parameters
    ----------
    truth : int32 array
        What the labels shall become.
    sampling : (ndim,) float
        Relative length of a voxel's edges.
    least : float
        IoU from which an object is right.
    hand : Hand
        That paints.
    held : Held
        What is set already.
    highest : int
        The largest label there is.
    """

    def __init__(
        self,
        truth: Labels,
        sampling: Sequence[float],
        least: float,
        hand: Hand,
        held: Held = UNTOUCHED,
        highest: int = 0,
    ) -> None:
        self._truth, self._sampling, self._least, self._hand = truth, sampling, least, hand
        self.held, self._highest = held, highest

    def repair(self, error: Error, labels: Labels, was: State) -> tuple[int, Labels, bool]:
        """Give the gestures it took, the labels afterwards, and whether the error is gone."""
        n, now, left = 0, labels, [error]
        for _ in range(MOST_TRIES * max(1, len(error.truths))):
            found = self._go_on(left[0], now)
            if found is None:
                break
            n, now = n + found[0], found[1]
            if is_corrected(error, now, self._truth, was, labels):
                return n, now, True
            left = what_is_left(error, now, self._truth, was, labels)
            if not left:
                break
        return n, now, False

    def _go_on(self, error: Error, labels: Labels) -> tuple[int, Labels] | None:
        """Do what would be cheapest for a steady hand; looks at the surroundings first, which saves time."""
        concerned = np.isin(self._truth, error.truths) | np.isin(labels, error.objects)
        near = grow(bounding_box(concerned), (4, NEAR, NEAR)[-labels.ndim :], labels.shape)
        for place in (near, full_box(labels.shape)):
            local = Painter(self._truth[place], self._sampling, self._least, self._hand, self.held, int(labels.max()))
            found = local._cheapest(error, labels[place])
            if found is not None:
                after = labels.copy()
                after[place], self.held = found[1], local.held
                return found[0], after
        return None

    def _cheapest(self, error: Error, labels: Labels) -> tuple[int, Labels] | None:
        was, chosen = compare(labels, self._truth, self._least), None
        costed = [(*self.held.follow(_tokens(moves)), moves, after) for moves, after in self._plans(error, labels)]
        for n, held, moves, after in sorted(costed, key=lambda plan: plan[0]):
            if chosen is not None and n >= chosen[0]:
                break
            if is_corrected(error, after, self._truth, was, labels):
                expected = n + self._risk(error, after)
                if chosen is None or expected < chosen[0]:
                    chosen = expected, n, held, moves
        if chosen is None:
            return None
        _, n, self.held, moves = chosen
        for move in moves:
            labels = move.do(labels, self._hand)
        return n, labels

    def _risk(self, error: Error, after: Labels) -> float:
        """Give the gestures that are expected on top where even a steady hand would only just do."""
        now = compare(after, self._truth, self._least)
        return RISK * any(now.best[one] < (1 + self._least) / 2 for one in error.truths)

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

    def _fill(self, ids: Sequence[int], value: int = 0) -> Move:
        tokens: list[Token] = [("dims", self._truth.ndim), ("mode", "fill"), ("label", NEW if value else ZERO)]

        def do(labels: Labels, hand: Hand) -> Labels:
            return np.where(np.isin(labels, ids), value, labels).astype(np.int32)

        return Move([*tokens, ("do", len(ids))], do)

    def _draw(self, labels: Labels, one: int, label: str, id_: int, *, spare: bool) -> Iterator[Plan]:
        """Draw a true object as `id_`: with the brush, until it is right or better than that, or around it."""
        target, have = self._truth == one, labels == id_
        room = (labels == 0) | have if spare else np.ones(labels.shape, bool)
        wanted = (self._least, (self._least + 1) / 2)
        for flat in (False, True)[: labels.ndim - 1]:
            for done in strokes(target, have, room, self._sampling, wanted, flat=flat):
                move = self._paint(done, one, label, id_, spare=spare, flat=flat)
                yield [move], np.where(done.mask, id_, labels).astype(np.int32)
        if labels.ndim == 2:
            move = self._encircle(target, label, id_, spare=spare)
            yield [move], move.do(labels, STEADY)

    def _paint(self, done: Painted, one: int, label: str, id_: int, *, spare: bool, flat: bool) -> Move:
        dims = 2 if flat else self._truth.ndim
        tokens: list[Token] = [("label", label), ("dims", dims), ("mode", "paint"), ("preserve", int(spare))]
        tokens += [("size", done.radius), ("do", done.n_strokes)]
        radius = _widest(self._truth == one)

        def do(labels: Labels, hand: Hand) -> Labels:
            after = labels.copy()
            part = after[done.box]
            for way in done.ways:
                covered = hand.mask(way) if flat else dab(hand.way(way, radius), done.radius, self._sampling)
                part[covered & ((part == 0) | (not spare))] = id_
            return after

        return Move(tokens, do)

    def _encircle(self, target: Mask, label: str, id_: int, *, spare: bool) -> Move:
        tokens: list[Token] = [("label", label), ("dims", 2), ("mode", "paint"), ("preserve", int(spare))]

        def do(labels: Labels, hand: Hand) -> Labels:
            return np.where(hand.mask(target) & ((labels == 0) | (not spare)), id_, labels).astype(np.int32)

        return Move([*tokens, ("size", FINE), ("do", 1)], do)

    def _erase(self, labels: Labels, one: int, id_: int) -> Iterator[Plan]:
        """Erase what is too much, slice by slice."""
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
                move = self._rub(gone.copy(), id_, n)
                yield [move], move.do(labels, STEADY)
                return

    def _rub(self, gone: Mask, id_: int, n: int) -> Move:
        def do(labels: Labels, hand: Hand) -> Labels:
            return np.where(hand.mask(gone) & (labels == id_), 0, labels).astype(np.int32)

        return Move([("dims", 2), ("mode", "erase"), ("do", n)], do)

    # ------------------------------------------------------------ by kind

    def _false(self, error: Error, labels: Labels) -> Iterator[Plan]:
        yield self._then(([], labels), self._fill(error.objects[:1]))

    def _merged(self, error: Error, labels: Labels) -> Iterator[Plan]:
        """Draw all but the largest over it; or all of them, and remove the rest."""
        sizes = {one: int((self._truth == one).sum()) for one in error.truths}
        order = sorted(error.truths, key=lambda one: sizes[one])
        plans: list[Plan] = [([], labels)]
        for number, one in enumerate(order):
            if number == len(order) - 1:
                yield from plans
            plans = [
                ([*moves, *more], after)
                for moves, before in plans
                for more, after in self._draw(before, one, NEW, self._new(before), spare=False)
            ]
            plans = sorted(plans, key=lambda plan: self.held.follow(_tokens(plan[0]))[0])[:MOST_PLANS]
        for plan in plans:
            yield self._then(plan, self._fill(error.objects[:1]))

    def _split(self, error: Error, labels: Labels) -> Iterator[Plan]:
        """Fill all pieces with one label, and draw what is still missing; or draw it all."""
        new = self._new(labels)
        filled = self._then(([], labels), self._fill(error.objects, new))
        yield filled
        for more, after in self._draw(filled[1], error.truths[0], NEW, new, spare=False):
            held = [replace(more[0], tokens=more[0].tokens[1:])]  # the label is that of the bucket still
            yield [*filled[0], *held], after
        yield from self._anew(error, labels)

    def _shape(self, error: Error, labels: Labels) -> Iterator[Plan]:
        """Pick it and draw what is missing, erase what is too much, both, or make it new."""
        (one,), (id_,) = error.truths, error.objects
        yield from self._erase(labels, one, id_)
        for spare in (True, False):
            for moves, after in self._draw(labels, one, PICK, id_, spare=spare):
                yield moves, after
                for more, erased in self._erase(after, one, id_):
                    yield [*moves, *more], erased
        yield from self._anew(error, labels)

    def _missed(self, error: Error, labels: Labels) -> Iterator[Plan]:
        yield from self._anew(error, labels)

    def _anew(self, error: Error, labels: Labels) -> Iterator[Plan]:
        """Draw it under a new label; then, or before, remove what is left of the old objects."""
        new, old = self._new(labels), error.objects
        for spare in (True, False):
            for plan in self._draw(labels, error.truths[0], NEW, new, spare=spare):
                yield plan
                if old:
                    yield self._then(plan, self._fill(old))
        if old:
            moves, emptied = self._then(([], labels), self._fill(old))
            for more, after in self._draw(emptied, error.truths[0], NEW, new, spare=True):
                yield [*moves, *more], after

    def _new(self, labels: Labels) -> int:
        return max(self._highest, int(labels.max())) + 1

    def _then(self, plan: Plan, move: Move) -> Plan:
        return [*plan[0], move], move.do(plan[1], STEADY)


def _tokens(moves: Sequence[Move]) -> list[Token]:
    return [token for move in moves for token in move.tokens]


def _widest(mask: Mask) -> float:
    """Give the radius of an object; of one in a stack, in the slice where it is largest."""
    return radius_of(mask if mask.ndim == 2 else mask[int(mask.sum((1, 2)).argmax())])


def _iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
