"""Suggest the region most worth correcting next: many doubtful objects, away from the regions before.

Every third region is drawn by lot among the objects, whatever the model thinks of them: what is corrected then shows
where the model is wrong and sure of it. To look at doubtful objects finds errors faster; no method is known that needs
reliably fewer labels than regions drawn by lot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when first used: the dock opens without them

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.app.annotations import Box

FEWEST, MOST = 10, 20
"""Objects of a region."""

LESS = ((FEWEST, MOST), (4, FEWEST), (1, 4))
"""Where there is no room for so many, fewer."""

BY_LOT = 3
"""Every third region is drawn by lot."""

CANDIDATES = 200
"""Objects that regions are tried around, the most doubtful first; then the next, until a region is found."""

SMALL = 1e-9  # µm or voxels; objects may have the same middle

NEIGHBOURS = 5
"""How close the fifth neighbour is says how crowded it is around an object."""


@dataclass(frozen=True, eq=False)
class Places:
    """Objects and where they lie.

    Parameters
    ----------
    ids, sizes : (N,) int64
        Their numbers, and the voxels of each.
    low, high : (N, axes of the labels) int64, voxels
        The corners of each one's box; of an object that is there at several time points there is one for each.
    has_time : bool
        The first axis is time: a region is of one time point.
    """

    ids: NDArray[np.int64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)
    low: NDArray[np.int64] = field(repr=False)
    high: NDArray[np.int64] = field(repr=False)
    has_time: bool = False

    @property
    def centres(self) -> NDArray[np.float64]:
        """Give the middle of each one's box, voxels."""
        return (self.low + self.high - 1) / 2


@dataclass(frozen=True)
class Suggestion:
    """A region to correct.

    Parameters
    ----------
    box : Box
        In voxels, one slice for each axis of the labels.
    n_objects, n_open : int
        Objects whose middle lies in it, and how many of them nobody has judged.
    by_lot : bool
        It was drawn by lot.
    """

    box: Box
    n_objects: int
    n_open: int
    by_lot: bool = False


def suggest_region(
    places: Places,
    shape: tuple[int, ...],
    *,
    reviewed: NDArray[np.bool_],
    confidence: Mapping[int, float] | None = None,
    voxel_size: Sequence[float] | None = None,
    done: Sequence[Box] = (),
    earlier: Sequence[Box] = (),
) -> Suggestion | None:
    """Find the region most worth correcting next.

    Parameters
    ----------
    places : Places
        The objects.
    shape : tuple of int, voxels
        Of the labels.
    reviewed : (N,) bool
        Objects that a person has judged.
    confidence : mapping of int to float, 0 to 1
        Of predicted objects. Where it is not known, unusual sizes and crowds count as doubtful.
    voxel_size : sequence of float, µm, optional
        Makes a region equally long along all spatial axes.
    done : sequence of Box
        Finished regions: no region overlaps them.
    earlier : sequence of Box
        Regions suggested before: no region overlaps them while there is room elsewhere, so that the middles of two
        are a whole region apart.

    Returns
    -------
    Suggestion or None
        None where no object is left to be judged outside the finished regions. The same for the same input.
    """
    by_lot = len(earlier) % BY_LOT == BY_LOT - 1
    grid = _Grid(places, shape, voxel_size)
    doubt = np.where(reviewed, 0.0, _doubts(places, grid, confidence or {}))
    lots = np.random.default_rng(len(earlier)).permutation(len(doubt))
    order = lots if by_lot else np.argsort(-doubt, kind="stable")
    order = order[~reviewed[order]]
    for closed in ((*done, *earlier), tuple(done)):
        free = order[~_in_any(places.centres[order], closed)]
        for wanted in LESS:
            for first in range(0, len(free), CANDIDATES):
                found: list[tuple[float, Suggestion]] = []
                for box, inside in grid.boxes(free[first : first + CANDIDATES], wanted, closed):
                    n_open = int(np.count_nonzero(~reviewed[inside]))
                    if n_open:
                        found.append((float(doubt[inside].sum()), Suggestion(box, len(inside), n_open, by_lot)))
                    if found and by_lot:
                        break
                if found:
                    return max(found, key=lambda one: one[0])[1]
    return None


class _Grid:
    """Objects in space, time point by time point, and boxes around them."""

    def __init__(self, places: Places, shape: tuple[int, ...], voxel_size: Sequence[float] | None) -> None:
        self.places, self.shape = places, shape
        self.steps = np.ones(len(shape))
        if voxel_size is not None:
            self.steps[len(shape) - len(voxel_size) :] = voxel_size
        self.centres = places.centres
        self.points = self.centres * self.steps
        self.frame = places.low[:, 0] if places.has_time else np.zeros(len(self.points), np.int64)
        self.members = {int(t): np.flatnonzero(self.frame == t) for t in np.unique(self.frame)}
        self.trees = {t: scipy.spatial.cKDTree(self.points[members]) for t, members in self.members.items()}
        lengths = ((places.high - places.low) * self.steps).max(axis=1)
        self.margin = float(np.median(lengths)) / 2 if len(lengths) else 0.0

    def boxes(
        self, around: NDArray[np.intp], wanted: tuple[int, int], closed: Sequence[Box]
    ) -> Iterator[tuple[Box, NDArray[np.intp]]]:
        """Give boxes around objects that overlap no closed one, with the objects whose middle lies in each."""
        for at in around.tolist():
            members = self.members[int(self.frame[at])]
            least, most = (min(n, len(members)) for n in wanted)
            for box, near in self._around(at, least, most):
                if any(_overlap(box, other) for other in closed):
                    continue
                inside = members[near]
                inside = inside[_in_any(self.centres[inside], (box,))]
                if least <= len(inside) <= most:
                    yield box, inside

    def _around(self, at: int, least: int, most: int) -> Iterator[tuple[Box, list[int]]]:
        """Give boxes that hold so many objects, with their edges where objects are sparse; and which may be in each.

        They lie around one object, and around the middles between it and its two nearest neighbours: where objects
        stand in rows, a box around one of them would hold 9 or 25.
        """
        tree, here = self.trees[int(self.frame[at])], self.points[at]
        nearest = tree.data[np.atleast_1d(tree.query(here, min(3, tree.n))[1])]
        for middle in (here + nearest) / 2:
            away = np.atleast_1d(tree.query(middle, min(most + 1, tree.n), p=np.inf)[0])
            gaps = np.diff(away, append=away[-1] + 2 * self.margin)[least - 1 : most]
            best = int(gaps.argmax())
            reach = away[least - 1 + best] + min(float(gaps[best]) / 2, self.margin)
            radius = reach / self.steps
            low = np.maximum(np.ceil(middle / self.steps - radius), 0).astype(int)
            high = np.minimum(np.floor(middle / self.steps + radius) + 1, self.shape).astype(int)
            if self.places.has_time:
                low[0], high[0] = self.frame[at], self.frame[at] + 1
            if (low < high).all():
                near = tree.query_ball_point(middle, reach + float(self.steps.max()), p=np.inf)
                yield tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), sorted(near)


def _doubts(places: Places, grid: _Grid, confidence: Mapping[int, float]) -> NDArray[np.float64]:
    """Say how doubtful each object is, 0 to 1: by its confidence, else by its size and by how crowded it lies."""
    known = np.array([confidence.get(one, np.nan) for one in places.ids.tolist()], float)
    if not len(known) or not np.isnan(known).any():
        return 1 - known
    sizes = np.log(places.sizes)
    off = np.abs(sizes - np.median(sizes))
    spread = 1.4826 * float(np.median(off))  # a standard deviation, were the logarithms normally distributed
    unusual = np.minimum(off / (3 * spread), 1.0) if spread else (off > 0).astype(float)
    reach = np.full(len(sizes), np.inf)
    for time, members in grid.members.items():
        k = min(NEIGHBOURS, len(members) - 1)
        if k:
            reach[members] = grid.trees[time].query(grid.points[members], [k + 1])[0][:, 0]
    usual = float(np.median(reach))
    crowded = usual / (usual + reach + SMALL) if np.isfinite(usual) else np.zeros(len(sizes))
    return np.where(np.isnan(known), (unusual + crowded) / 2, 1 - known)


def _in_any(points: NDArray[np.float64], boxes: Sequence[Box]) -> NDArray[np.bool_]:
    hit = np.zeros(len(points), bool)
    for box in boxes:
        low, high = [part.start for part in box], [part.stop - 1 for part in box]
        hit |= ((points >= low) & (points <= high)).all(axis=1)
    return hit


def _overlap(one: Box, other: Box) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))
