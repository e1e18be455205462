"""An annotator with our tools: tries them in a fixed order, and pays for those that fail and for taking them back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.correct_errors import MATCHED, Error, Labels, State, compare, is_corrected
from benchmarks.correct_napari import Painter
from benchmarks.correct_places import middle, way_through
from napari_unet.app.edges import KeptMaps, basins
from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import EDITS, apply_edit

if TYPE_CHECKING:
    from napari_unet.app.requests import KeptOutput

MOST_PRESSES = 3  # of Grow or Shrink; who sees that more are needed paints
ONE_SIDED, ALL_ROUND = 0.75, 0.6  # share of what is wrong, and of the boundary, by which an object looks too small
MANY = 4  # cells in one object of a plane; fewer are painted over faster than clicked


@dataclass
class Spent:
    """What one error has taken.

    Parameters
    ----------
    gestures : int
        Keys and press-releases, failed attempts and undo included.
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
    """

    truth: Labels
    labels: Labels
    kept: KeptOutput
    voxel_size: tuple[float, ...] | None
    sampling: Sequence[float]
    least: float
    now: Spent = field(default_factory=Spent)

    def __post_init__(self) -> None:
        self._brush = Painter(self.truth, self.sampling, self.least)

    def repair(self, errors: Sequence[Error]) -> list[Spent]:
        """Go through errors in their order; those for Magic of one kind are done in one hold of its key first."""
        spent = {error: Spent() for error in errors}
        for kind in dict.fromkeys(error.kind for error in errors):
            own = [error for error in errors if error.kind == kind]
            left = self._at_once(own, spent) if kind in ("split", "missed") else dict(zip(own, own, strict=True))
            for error, rest in left.items():
                self.now = spent[error]
                self._one(rest)
        return [spent[error] for error in errors]

    # ------------------------------------------------------------ tools

    def _use(self, name: str, selection: Sequence[int], gestures: int, **more: Any) -> Labels | None:
        """Use a tool; None where it refuses."""
        started = time.perf_counter()
        self.now.gestures += gestures
        try:
            edit = EDITS[name](self.labels, selection, **more)
        except UserError:
            return None
        finally:
            self.now.seconds += time.perf_counter() - started
        return apply_edit(self.labels, edit)

    def _magic(self, add: Sequence[Any] = (), remove: Sequence[Any] = (), *, key: int = 1) -> Labels | None:
        known = {"maps": KeptMaps(self.kept), "basins": basins, "voxel_size": self.voxel_size}
        return self._use("magic", [], key + len(add) + len(remove), add=add, remove=remove, **known)

    def _keep(self, error: Error, after: Labels | None, by: str, n_steps: int = 1) -> bool:
        """Look at what came out: keep it where the error is gone, else take it back with Ctrl+Z."""
        if after is None:
            return False
        if is_corrected(error, after, self.truth, self._state(), self.labels):
            self.labels, self.now.by = after, by
            return True
        self.now.gestures += n_steps
        return False

    def _state(self) -> State:
        return compare(self.labels, self.truth, self.least)

    # ------------------------------------------------------------ many at once

    def _at_once(self, errors: Sequence[Error], spent: dict[Error, Spent]) -> dict[Error, Error]:
        """Hold Q and go through all errors of a kind; gives what is left of each that is not corrected."""
        drawn = {error: stroke for error in errors if (stroke := self._stroke(error)) is not None}
        rest = {error: error for error in errors}
        if not drawn:
            return rest
        before, was = self.labels, self._state()
        self.now = Spent()
        after = self._magic(list(drawn.values()))
        for number, error in enumerate(drawn):
            spent[error].gestures += 1 + (number == 0)
            spent[error].seconds += self.now.seconds / len(drawn)
        state = compare(before if after is None else after, self.truth, self.least)
        if after is None or not was.right <= state.right:
            spent[next(iter(drawn))].gestures += after is not None
            return self._one_by_one(drawn, spent) if len(drawn) > 1 else rest
        self.labels = after
        for error, stroke in drawn.items():
            left = self._left(error, stroke, state)
            if left is None:
                del rest[error]
                spent[error].by = "magic"
            else:
                rest[error] = left
        return rest

    def _one_by_one(self, drawn: dict[Error, NDArray[np.float64]], spent: dict[Error, Spent]) -> dict[Error, Error]:
        """Hold Q for each: all at once was refused, or harmed another object."""
        rest = {error: error for error in drawn}
        for error, stroke in drawn.items():
            self.now = spent[error]
            if self._keep(error, self._magic([stroke]), "magic"):
                del rest[error]
        return rest

    def _stroke(self, error: Error) -> NDArray[np.float64] | None:
        own = self.truth == error.truths[0]
        if error.kind == "split":
            ways = way_through(self.labels, [one for one in error.objects if (self.labels == one).any()], own)
            return None if ways is None else ways[0]
        free = own & (self.labels == 0)
        return middle(free, self.sampling)[None].astype(float) if free.any() else None

    def _left(self, error: Error, stroke: NDArray[np.float64], state: State) -> Error | None:
        """Say what is wrong where one of many strokes did not do; None where it did."""
        one = error.truths[0]
        there = int(self.labels[tuple(np.rint(stroke[0]).astype(int))])
        if state.best[one] >= self.least and not state.superfluous.intersection(error.objects):
            return None
        return Error("shape", (one,), (there,)) if there and state.best[one] < self.least else error

    # ------------------------------------------------------------ one error

    def _one(self, error: Error) -> None:
        if is_corrected(error, self.labels, self.truth, self._state(), self.labels):
            self.now.by = self.now.by or "another"
            return
        tried = {"false": self._false, "merged": self._merged, "split": self._split, "shape": self._shape}
        if error.kind in tried and tried[error.kind](error):
            return
        found = self._brush.repair(error, self.labels, self._state())
        if found is not None:
            self.now.gestures += found[0]
            self.labels, self.now.by = found[1], "napari"

    def _false(self, error: Error) -> bool:
        return self._keep(error, self._use("delete", error.objects, 1), "delete")

    def _merged(self, error: Error) -> bool:
        """Press S at it, as often as there are cells too many; where that fails and there are many, click in each."""
        before, steps = self.labels, 0
        own = np.isin(before, error.objects)
        cells = [(self.truth == one) & own for one in error.truths]
        for _ in cells[1:]:
            crowded = self._crowded(cells)
            if not crowded:
                break
            after = self._use("split", [crowded], 1, voxel_size=self.voxel_size)
            if after is None:
                break
            self.labels, steps = after, steps + 1
        after, self.labels = self.labels, before
        if steps and (self._keep_apart(error, after) or self._keep(error, after, "split", steps)):
            return True
        if len(cells) < MANY and before.ndim == 2:
            return False
        clicks = [middle(cell, self.sampling)[None].astype(float) for cell in cells if cell.any()]
        return self._keep(error, self._magic(clicks), "magic")

    def _keep_apart(self, error: Error, after: Labels) -> bool:
        """Go on from cells that are single ones now, though not all of them are like the true ones: each by itself."""
        was, now = self._state(), compare(after, self.truth, self.least)
        if any(now.best[one] < MATCHED for one in error.truths) or not was.right <= now.right:
            return False
        self.labels, self.now.by = after, "split"
        for one in error.truths:
            if self._state().best[one] < self.least:
                ids = np.bincount(self.labels[self.truth == one])
                ids[0] = 0
                self._one(Error("shape", (one,), (int(ids.argmax()),)))
        if any(self._state().best[one] < self.least for one in error.truths):
            self.now.by = ""
        return True

    def _crowded(self, cells: Sequence[NDArray[np.bool_]]) -> int:
        """Give an object in which more than one cell has most of itself; 0 where there is none."""
        homes = [int(np.bincount(self.labels[cell]).argmax()) for cell in cells if cell.any()]
        return next((home for home in homes if home and homes.count(home) > 1), 0)

    def _split(self, error: Error) -> bool:
        """Click on all pieces while Pick is down, and merge."""
        pieces = [one for one in error.objects if (self.labels == one).any()]
        return len(pieces) > 1 and self._keep(error, self._use("merge", pieces, len(pieces) + 2), "merge")

    def _shape(self, error: Error) -> bool:
        """Grow or shrink it where it looks too small or too large all round."""
        (one,), (id_,) = error.truths, error.objects
        own, drawn = self.truth == one, self.labels == id_
        lacks, exceeds = int((own & ~drawn).sum()), int((drawn & ~own).sum())
        tool, part, least = ("grow", own & ~drawn, lacks) if lacks > exceeds else ("shrink", drawn & ~own, exceeds)
        if not drawn.any() or least < ONE_SIDED * (lacks + exceeds):
            return False
        rim = drawn & ~ndimage.binary_erosion(drawn)
        beside = ndimage.binary_dilation(part) & rim if tool == "grow" else part & rim
        if beside.sum() < ALL_ROUND * rim.sum():
            return False
        n_presses = max(1, round(float(part.sum() / rim.sum())))
        if n_presses > MOST_PRESSES:
            return False
        before, steps = self.labels, 0
        for _ in range(n_presses):
            after = self._use(tool, [id_], 1)
            if after is None:
                break
            self.labels, steps = after, steps + 1
        after, self.labels = self.labels, before
        return steps > 0 and self._keep(error, after, tool, steps)
