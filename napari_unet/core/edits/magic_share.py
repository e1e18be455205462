"""Share voxels out between strokes, along the boundaries that the network saw between them.

References
----------
Marker-controlled watershed: F. Meyer, S. Beucher: Morphological segmentation. Journal of Visual Communication and Image
Representation 1990, doi:10.1016/1047-3203(90)90014-M.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import scipy
import skimage  # like scipy, its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.base.tiles import bounding_box
from napari_unet.core.edits.cut import find_saddles
from napari_unet.core.edits.depth import depth_of

CLEAR, NARROW, FAINT = 0.15, 0.05, 0.02
"""Of the lower of two peaks, by which the map or the thickness falls between them: where it is a boundary for certain,
where it is a neck, and where it is no noise."""

Voxel = tuple[int, ...]
Height = Callable[[NDArray[np.bool_]], NDArray[np.floating]]
"""Of a mask; high in the middle of what shall be one."""


@dataclass(frozen=True)
class Seed:
    """What one object starts from.

    Parameters
    ----------
    mask : bool array
        Voxels that belong to it for certain.
    climbs : bool
        From there on to the peaks of the map it belongs to it as well.
    """

    mask: NDArray[np.bool_] = field(repr=False)
    climbs: bool = True


def share_out(
    room: NDArray[np.bool_],
    seeds: Sequence[Seed],
    against: NDArray[np.bool_],
    height: NDArray[np.float32],
    sampling: Sequence[float],
) -> NDArray[np.int32]:
    """Give each voxel to one of the seeds, or to what is none of them.

    Each connected part is flooded on its own. A seed first claims the peak that is above it, so that it does not
    matter where in an object one clicks. Where two seeds are below the same peak, or the map hardly falls between their
    peaks, the network saw one object: then they part where that is narrow; where it is not narrow either, at the
    slightest fall of the map; and else each voxel goes to the nearest seed.

    Parameters
    ----------
    room : bool array, n-D
        What is shared out.
    seeds : sequence of Seed
        Arrays of the same shape; where they overlap the first counts.
    against : bool array, same shape
        Voxels that belong to no seed.
    height : float array, same shape
        High in the middle of objects.
    sampling : (ndim,) float
        Relative length of a voxel's edges.

    Returns
    -------
    int32 array
        0 outside the room and where no seed comes, 1..n for the seeds, n + 1 for none of them.
    """
    out = np.zeros(room.shape, np.int32)
    parts, n = scipy.ndimage.label(room, np.ones((3,) * room.ndim))
    for number, place in enumerate(scipy.ndimage.find_objects(parts, n), start=1):
        part = parts[place] == number
        markers = np.where(against[place], len(seeds) + 1, 0).astype(np.int32)
        for at, seed in reversed(list(enumerate(seeds, start=1))):
            markers[seed.mask[place]] = at
        markers *= part
        climbing = [at for at, seed in enumerate(seeds, start=1) if seed.climbs]
        seen, thick = partial(_seen, height[place]), partial(depth_of, sampling=sampling)
        heights = ((seen, CLEAR), (thick, NARROW), (seen, FAINT))
        out[place][part] = _flood(part, markers, climbing, len(seeds) + 1, heights)[part]
    return out


def climb(height: NDArray[np.floating], start: Voxel, known: dict[Voxel, Voxel] | None = None) -> list[Voxel]:
    """Go up the steepest way from a voxel; gives the voxels passed, the peak last.

    Parameters
    ----------
    height : float array, n-D
        What is climbed.
    start : tuple of int
        Where it begins.
    known : dict, optional
        For each voxel ever passed the next one; filled on the way, so that many ways cost little more than one.
    """
    above: dict[Voxel, Voxel] = {} if known is None else known
    way = [start]
    while True:
        here = way[-1]
        if here not in above:
            above[here] = _highest_beside(height, here)
        if above[here] == here:
            return way
        way.append(above[here])


def _highest_beside(height: NDArray[np.floating], voxel: Voxel) -> Voxel:
    around = tuple(slice(max(0, at - 1), at + 2) for at in voxel)
    window = height[around]
    highest = int(window.argmax())
    if window.flat[highest] <= height[voxel]:
        return voxel
    steps = np.unravel_index(highest, window.shape)
    return tuple(int(step) + part.start for step, part in zip(steps, around, strict=True))


def _flood(
    part: NDArray[np.bool_],
    markers: NDArray[np.int32],
    climbing: Sequence[int],
    nobody: int,
    heights: Sequence[tuple[Height, float]],
) -> NDArray[np.int32]:
    """Flood the first of some heights; seeds between which it does not fall far enough are divided by the next."""
    there = [int(one) for one in np.unique(markers) if one]
    if len(there) < 2:
        return np.where(part, there[0] if there else 0, 0).astype(np.int32)
    if not heights:
        nearest = scipy.ndimage.distance_transform_edt(markers == 0, return_distances=False, return_indices=True)
        return np.where(part, markers[tuple(nearest)], 0)
    look, fall = heights[0]
    values = np.where(part, look(part), -np.inf)
    claimed, leaders = _claim_peaks(values, markers, [one for one in there if one in climbing], nobody)
    low = -np.where(part, values, values[part].min())
    flooded: NDArray[np.int32] = skimage.segmentation.watershed(low, claimed, mask=part)  # type: ignore[no-untyped-call] # no types
    for members in _not_apart(flooded, values, leaders, fall):
        basin = np.isin(flooded, members)
        own = np.where(basin & np.isin(markers, members), markers, 0)
        flooded[basin] = _flood(basin, own, climbing, nobody, heights[1:])[basin]
    return flooded


def _not_apart(
    flooded: NDArray[np.int32], height: NDArray[np.floating], leaders: Mapping[int, int], fall: float
) -> list[list[int]]:
    """Give the seeds that are one: those of one peak, and those whose peaks hardly rise above the pass between them."""
    peaks = {one: float(height[flooded == one].max()) for one in set(leaders.values())}
    team = dict(leaders)
    for (one, other), saddle in find_saddles(flooded, height).items():
        lower = min(peaks.get(one, np.inf), peaks.get(other, np.inf))
        if one in peaks and other in peaks and lower - saddle < fall * lower:
            team = {seed: team[one] if by == team[other] else by for seed, by in team.items()}
    teams: dict[int, list[int]] = {}
    for seed, by in team.items():
        teams.setdefault(by, []).append(seed)
    return [members for members in teams.values() if len(members) > 1]


def _seen(height: NDArray[np.float32], part: NDArray[np.bool_]) -> NDArray[np.floating]:
    return height


def _claim_peaks(
    height: NDArray[np.floating], markers: NDArray[np.int32], climbing: Sequence[int], nobody: int
) -> tuple[NDArray[np.int32], dict[int, int]]:
    """Add the ways up to the markers, and say with which seed each goes: itself, or the one that has its peak.

    A peak goes to the seed with most voxels below it. What is no object gets only peaks that no seed wants.
    """
    above: dict[Voxel, Voxel] = {}
    ways = {one: [climb(height, start, above) for start in _voxels(markers == one)] for one in (*climbing, nobody)}
    wanted: dict[Voxel, Counter[int]] = {}
    for one in climbing:
        for way in ways[one]:
            wanted.setdefault(way[-1], Counter())[one] += 1
    owner = {peak: by.most_common(1)[0][0] for peak, by in wanted.items()}
    leaders = {one: one for one in climbing}
    for one in set(climbing) - set(owner.values()):
        leaders[one] = owner[Counter(way[-1] for way in ways[one]).most_common(1)[0][0]]
    claimed = markers.copy()
    for one, leader in leaders.items():
        claimed[markers == one] = leader
    for one, own in ways.items():
        for way in own:
            if owner.get(way[-1], nobody) == one:
                for voxel in way:
                    claimed[voxel] = claimed[voxel] or one
    return claimed, leaders


def _voxels(mask: NDArray[np.bool_]) -> Iterator[Voxel]:
    return (tuple(int(at) for at in voxel) for voxel in np.argwhere(mask))


def thickest(mask: NDArray[np.bool_], sampling: Sequence[float]) -> NDArray[np.bool_]:
    """Mark the voxel of a mask that is farthest from what is outside; nothing where the mask is empty."""
    found = np.zeros(mask.shape, bool)
    box = bounding_box(mask)
    if mask[box].size:
        depth = depth_of(mask[box], sampling)
        at = np.unravel_index(int(depth.argmax()), depth.shape)
        found[tuple(int(i) + part.start for i, part in zip(at, box, strict=True))] = True
    return found
