"""Divide one mask into numbered pieces that cover it exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy
import skimage  # like scipy, its parts load when first used: the dock opens without them

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.drawing import draw_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SMOOTHING_PX = 1.0  # enough to remove the bumps that single boundary voxels make in the distance


def cut_by_shape(mask: NDArray[np.bool_], parts: int, voxel_size: Sequence[float] | None = None) -> NDArray[np.int32]:
    """Divide a mask at its narrowest places.

    The distance to the boundary is flooded from its maxima (Beucher & Lantuejoul 1979, watershed of the distance
    transform); then the two basins with the least pronounced saddle between them are joined until `parts` are left.

    Parameters
    ----------
    mask : bool array, n-D
        One object.
    parts : int
        The number of pieces; more where the mask falls into more unconnected pieces.
    voxel_size : (ndim,) float, µm, optional
        Sampling of the distance.

    Returns
    -------
    int32 array
        0 outside the mask, 1, 2, ... in its pieces.

    Raises
    ------
    UserError
        When the object has fewer bulges than `parts`.
    """
    padded = np.pad(mask, 1)
    exact = scipy.ndimage.distance_transform_edt(padded, sampling=voxel_size)
    distance = scipy.ndimage.gaussian_filter(exact, SMOOTHING_PX) * padded
    peaks = skimage.morphology.local_maxima(distance)  # type: ignore[no-untyped-call] # scikit-image has no types
    seeds = scipy.ndimage.label(peaks & padded, np.ones((3,) * mask.ndim))[0]
    basins: NDArray[np.int32] = skimage.segmentation.watershed(-distance, seeds, mask=padded)  # type: ignore[no-untyped-call] # as above
    pieces = _join_weakest(basins, distance, parts)[(slice(1, -1),) * mask.ndim]
    found = int(pieces.max())
    if found < parts:
        raise UserError(
            "The object has no narrow place to split it at." if found < 2 else f"The object has only {found} bulges.",
            "Draw a line across it.",
        )
    return pieces


def _join_weakest(basins: NDArray[np.int32], height: NDArray[np.float64], parts: int) -> NDArray[np.int32]:
    """Join neighbouring basins, those with the least drop from the lower peak to their saddle first."""
    saddles = find_saddles(basins, height)
    ids = [int(i) for i in np.unique(basins) if i]
    peak = dict(zip(ids, scipy.ndimage.maximum(height, basins, ids), strict=True)) if ids else {}
    member = np.arange(int(basins.max()) + 1)
    while len(peak) > parts and saddles:
        one, two = min(saddles, key=lambda pair: min(peak[pair[0]], peak[pair[1]]) - saddles[pair])
        keep, gone = (one, two) if peak[one] >= peak[two] else (two, one)
        member[member == gone] = keep
        del peak[gone]
        saddles = _renamed(saddles, gone, keep)
    numbers = np.zeros(len(member), dtype=np.int32)
    numbers[list(peak)] = np.arange(1, len(peak) + 1)
    return numbers[member][basins]


def find_saddles(basins: NDArray[np.int32], height: NDArray[np.floating]) -> dict[tuple[int, int], float]:
    """Find the highest place on the border between each two basins."""
    saddles: dict[tuple[int, int], float] = {}
    for axis in range(basins.ndim):
        front = (slice(None),) * axis + (slice(1, None),)
        back = (slice(None),) * axis + (slice(None, -1),)
        at = (basins[front] != basins[back]) & (basins[front] > 0) & (basins[back] > 0)
        pairs = np.sort(np.stack([basins[front][at], basins[back][at]], axis=1), axis=1)
        for (one, two), low in zip(pairs.tolist(), np.minimum(height[front][at], height[back][at]), strict=True):
            saddles[one, two] = max(float(low), saddles.get((one, two), 0.0))
    return saddles


def _renamed(saddles: dict[tuple[int, int], float], gone: int, keep: int) -> dict[tuple[int, int], float]:
    renamed: dict[tuple[int, int], float] = {}
    for pair, low in saddles.items():
        one, two = sorted(keep if i == gone else i for i in pair)
        if one != two:
            renamed[one, two] = max(low, renamed.get((one, two), 0.0))
    return renamed


def cut_by_seeds(
    mask: NDArray[np.bool_], seeds: NDArray[np.float64], voxel_size: Sequence[float] | None = None
) -> NDArray[np.int32]:
    """Divide a mask so that each seed gets a piece; between two they part at the narrowest place.

    Parameters
    ----------
    mask : bool array, n-D
        One object.
    seeds : (N, mask.ndim) float, voxels
        In the coordinates of the mask.
    voxel_size : (ndim,) float, µm, optional
        Sampling of the distance.

    Returns
    -------
    int32 array
        0 outside the mask, 1, 2, ... in its pieces; pieces of the mask without a seed belong to the nearest one.

    Raises
    ------
    UserError
        When fewer than two seeds lie in the object.
    """
    places = np.rint(seeds).astype(int)
    inside = np.all((places >= 0) & (places < mask.shape), axis=1)
    hits = np.unique(places[inside][mask[tuple(places[inside].T)]], axis=0)
    if len(hits) < 2:
        raise UserError(
            f"{len(hits)} of the {len(seeds)} seeds lie in the object; two are needed.", "Place one in each part."
        )
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(hits.T)] = np.arange(1, len(hits) + 1)
    distance = scipy.ndimage.distance_transform_edt(np.pad(mask, 1), voxel_size)[(slice(1, -1),) * mask.ndim]
    pieces = skimage.segmentation.watershed(-distance, markers, mask=mask)  # type: ignore[no-untyped-call] # no types
    return _to_nearest(pieces.astype(np.int32), mask)


def cut_by_line(mask: NDArray[np.bool_], line: NDArray[np.float64]) -> NDArray[np.int32]:
    """Divide a mask along a line, prolonged at both ends.

    Parameters
    ----------
    mask : bool array, 2D or 3D
        One object.
    line : (N, mask.ndim) float, voxels
        In the coordinates of the mask; may lie partly outside. In 3D the cut is a wall along the axis in which the
        line moves least.

    Returns
    -------
    int32 array
        0 outside the mask, 1, 2, ... on the sides of the line.

    Raises
    ------
    UserError
        When the line misses the object, has all of it on one side, or the object is neither 2D nor 3D.
    """
    if mask.ndim not in (2, 3):
        raise UserError(f"A line cannot cut a {mask.ndim}D object.", "Cut it in one time point.")
    depth = int(np.ptp(line, axis=0).argmin()) if mask.ndim == 3 else None
    flat = line if depth is None else np.delete(line, depth, axis=1)
    plane = mask.shape if depth is None else tuple(np.delete(mask.shape, depth))
    drawn = draw_line(flat, plane)
    wall = draw_line(_prolonged(flat, plane), plane)
    if depth is not None:
        drawn, wall = np.expand_dims(drawn, depth), np.expand_dims(wall, depth)
    if not (mask & drawn).any():
        raise UserError("The line does not touch the object.", "Draw it across the object.")
    sides = scipy.ndimage.label(~np.broadcast_to(wall, mask.shape))[0] * mask
    if len(np.unique(sides[sides > 0])) < 2:
        raise UserError("The line leaves the whole object on one side.", "Draw it across the object.")
    return _to_nearest(sides.astype(np.int32), mask)


def _to_nearest(pieces: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give what is left of a mask to the nearest piece."""
    nearest = scipy.ndimage.distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    whole: NDArray[np.int32] = pieces[tuple(nearest)] * mask
    return whole


def _prolonged(line: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Add a far point at both ends, in the direction of the line there."""
    far = 2.0 * (float(np.linalg.norm(shape)) + float(np.abs(line).max()))
    moves = [part for part in np.diff(line, axis=0) if np.hypot(*part) > 0]
    if not moves:
        raise UserError("The line is a single point.", "Draw it across the object.")
    first, last = moves[0] / np.hypot(*moves[0]), moves[-1] / np.hypot(*moves[-1])
    return np.concatenate([[line[0] - far * first], line, [line[-1] + far * last]])
