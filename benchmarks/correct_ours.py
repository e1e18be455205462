"""An annotator with our tools: outlines what is wrong, deletes what is nothing, and pays for what fails."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.correct_errors import Error, Labels, Mask, compare, is_corrected, what_is_left
from benchmarks.correct_hand import radius_of
from benchmarks.correct_napari import Painter
from napari_unet.app.edges import EdgeMap
from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import EDITS, apply_edit
from napari_unet.core.edits.drawing import draw_outline

if TYPE_CHECKING:
    from benchmarks.correct_hand import Hand
    from napari_unet.app.requests import KeptOutput

MOST_OUTLINES = 20
"""That the Draw mode remembers."""

MOST_TRIES = 8
"""Outlines of one true object before it is given up."""


@dataclass
class Spent:
    """What one error has taken.

    Parameters
    ----------
    gestures : int
        Keys and press-releases, also of what failed.
    seconds : float
        That the tools computed.
    by : str
        What corrected it; empty where nothing did.
    """

    gestures: int = 0
    seconds: float = 0.0
    by: str = ""


@dataclass
class Annotator:
    """Repair the errors of one image.

    A person who knows the tools outlines in the Draw mode, which stays on: an object that is missing, in pieces or of a
    wrong shape once; of several in one, all but the largest, from the smallest on. Whatever is not good enough then, or
    was harmed, is outlined again, and what is left over deleted with the key at the pointer; there is nothing to undo.
    What is still wrong after eight outlines is painted with napari's brush. In a stack the first outline of an object
    lies where it is largest, the next one, drawn with Shift held, where the object that came of it is worst; a slice
    that was outlined badly is outlined again.

    Parameters
    ----------
    truth : int32 array
        What the labels shall become.
    labels : int32 array
        As predicted; replaced as they are corrected.
    kept : KeptOutput
        The network's output.
    voxel_size : tuple of float, µm, or None
        Of the image.
    sampling : (ndim,) float
        Relative length of a voxel's edges.
    least : float
        IoU from which an object is right.
    hand : Hand
        That draws.
    """

    truth: Labels
    labels: Labels
    kept: KeptOutput
    voxel_size: tuple[float, ...] | None
    sampling: Sequence[float]
    least: float
    hand: Hand
    now: Spent = field(default_factory=Spent)
    is_drawing: bool = False
    earlier: list[NDArray[np.float64]] = field(default_factory=list)
    made: dict[int, int] = field(default_factory=dict)
    last: int = 0

    def __post_init__(self) -> None:
        self._brush = Painter(self.truth, self.sampling, self.least, self.hand)

    def repair(self, errors: Sequence[Error]) -> list[Spent]:
        """Go through errors in their order."""
        return [self._one(error) for error in errors]

    def _one(self, error: Error) -> Spent:
        self.now = Spent()
        before, was = self.labels, compare(self.labels, self.truth, self.least)
        if is_corrected(error, before, self.truth, was, before):
            self.now.by = "another"
            return self.now
        by, tries = "", dict.fromkeys(self._order(error.truths), 0)
        waiting = list(tries)[:-1] if error.kind == "merged" else list(tries)
        for _ in range(MOST_TRIES * max(1, len(tries)) + len(error.objects)):
            state = compare(self.labels, self.truth, self.least)
            wrong = [one for one in waiting if one not in state.right]
            wrong = wrong or self._order({*(set(error.truths) | was.right) - state.right})
            wrong = [one for one in wrong if tries.setdefault(one, 0) < MOST_TRIES]
            if wrong:
                waiting = [one for one in waiting if one != wrong[0]]
                tries[wrong[0]] += 1
                by = "draw" if self._outline(wrong[0]) else by
            elif stray := self._stray(error, state.superfluous, was.superfluous, before):
                by = by or "delete"
                self._use("delete", [stray], 1)
            else:
                break
            if is_corrected(error, self.labels, self.truth, was, before):
                self.now.by = by
                return self.now
        for left in what_is_left(error, self.labels, self.truth, was, before):
            self._paint(left)
        if is_corrected(error, self.labels, self.truth, was, before):
            self.now.by = "napari"
        return self.now

    def _paint(self, error: Error) -> None:
        """Take napari's brush: outlines have not done."""
        self._brush.held, self.is_drawing = replace(self._brush.held, mode="pan_zoom"), False
        n, self.labels, _ = self._brush.repair(error, self.labels, compare(self.labels, self.truth, self.least))
        self.now.gestures += n

    def _order(self, truths: Any) -> list[int]:
        return sorted(truths, key=lambda one: np.count_nonzero(self.truth == one))

    def _stray(self, error: Error, now: frozenset[int], was: frozenset[int], before: Labels) -> int:
        """Give an object that is nothing and belongs to this error; 0 without one."""
        touched = set(np.unique(self.labels[self.labels != before]).tolist()) - {0}
        return min((now & (touched | set(error.objects))) - (was - set(error.objects)), default=0)

    # ------------------------------------------------------------ tools

    def _outline(self, one: int) -> bool:
        """Outline a true object; the key that begins to draw is paid once."""
        target = self.truth == one
        at = self._slice(one, target)
        drawn = self.hand.outline(target if at is None else target[at])
        if drawn is None:
            return False
        outline = drawn if at is None else np.insert(drawn, 0, at, axis=1)
        edges = None if at is None else EdgeMap(self.kept)
        n_keys, self.is_drawing = int(not self.is_drawing), True
        more = {"outline": outline, "earlier": self.earlier[-MOST_OUTLINES:], "edges": edges}
        more["goes_on"] = self.last == one
        if not self._use("draw", [], 1 + n_keys, voxel_size=self.voxel_size, **more):
            return False
        self.last = one  # like the dock, which remembers an outline that was used
        self.earlier.append(outline)
        if at is not None:
            inside = self.labels[at][draw_outline(drawn, target[at].shape)]
            self.made[one] = int(np.bincount(inside[inside > 0]).argmax())
        return True

    def _slice(self, one: int, target: Mask) -> int | None:
        """Choose a slice of a stack: where the object is largest, then where more is wrong than a hand leaves wrong."""
        if target.ndim == 2:
            return None
        there = np.flatnonzero(target.any((1, 2)))
        wrong = target ^ (self.labels == self.made[one]) if one in self.made else target
        gains = [np.count_nonzero(wrong[at]) - self.hand.slips(radius_of(target[at])) for at in there]
        return int(there[np.argmax(gains)])

    def _use(self, name: str, selection: Sequence[int], gestures: int, **more: Any) -> bool:
        """Use a tool; False where it refuses."""
        started = time.process_time()
        self.now.gestures += gestures
        try:
            edit = EDITS[name](self.labels, selection, **more)
        except UserError:
            return False
        finally:
            self.now.seconds += time.process_time() - started
        self.labels = apply_edit(self.labels, edit)
        return True
