"""How far what is clicked reaches into the background: as far as the network saw it, at a threshold that adapts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.find import is_any
from napari_unet.core.edits.magic_share import climb

if TYPE_CHECKING:
    from napari_unet.core.edits.magic_scene import Basins, Scene
    from napari_unet.core.edits.magic_strokes import Stroke

FAINT = 0.02  # probability; below it a network sees nothing, and half of it would be everywhere
FLOOR = 0.1  # probability; a stroke from an object through a dark gap takes no more than the gap
PROMINENCE = 0.16  # of the boundary distance, as decoding has it, where a peak reaches 1
LOWEST = 0.1  # of the boundary distance; peaks below it are noise as much as objects
QUARTER = 0.25  # of the voxels of a stroke; what they have at least, but for slips


@dataclass(frozen=True)
class Growth:
    """What a stroke takes of the background.

    Parameters
    ----------
    mask : bool array
        Voxels without an object.
    objects : list of int
        What the stroke means; a click outside an object's edge may mean that object.
    way : index arrays, one for each axis
        From such a click into the object.
    """

    mask: NDArray[np.bool_] = field(repr=False)
    objects: list[int]
    way: tuple[NDArray[np.intp], ...]


def grow_into_background(
    scene: Scene, stroke: Stroke, objects: Sequence[int], threshold: float, basins: Basins | None
) -> Growth:
    """Find the background that belongs to a stroke.

    Parameters
    ----------
    scene : Scene
        Labels and maps.
    stroke : Stroke
        In the coordinates of the scene.
    objects : sequence of int
        Those that the stroke runs through.
    threshold : float
        Of the foreground probability; used where the stroke lies on more.
    basins : callable or None
        Cuts background into basins.

    Returns
    -------
    Growth
        A click from which the boundary distance rises into an object means that object, and takes all around it that
        is no less probable than the voxel clicked. A click elsewhere is a new object, down to half of the probability
        that it rises to.

    Raises
    ------
    UserError
        When a new object is clicked where the network saw nothing.
    CutOff
        When the scene is too small.
    """
    free = scene.labels == 0
    under = tuple(axis[free[stroke.index]] for axis in stroke.index)
    if not under[0].size:
        return Growth(np.zeros(free.shape, bool), list(objects), stroke.index)
    values, room, peak = scene.foreground[under], free, 1.0
    clicked, way = float(np.median(values)), stroke.index
    top = float(values.max())
    if stroke.is_click:
        way = tuple(np.array(climb(scene.height, tuple(int(at) for at in stroke.voxels[0]))).T)
        above = int(scene.labels[tuple(axis[-1] for axis in way)])
        objects = [above] if above else []
        room = is_any(scene.labels, [0, *objects])
        top, peak = float(scene.foreground[way].max()), float(scene.height[way][-1])
    level = min(threshold, _level_beside(values) if objects else _level_of_new(clicked, top))
    room = room & ((scene.foreground >= level) | ~free)
    room[under] = True
    if basins is None:
        pieces = scipy.ndimage.label(room)[0]
    else:
        pieces = basins(scene.height, room, PROMINENCE * float(np.clip(peak, LOWEST, 1)))
    mask = np.isin(pieces, pieces[under]) & free & room
    mask[under] = True
    scene.check_whole(mask, is_endless=True)
    return Growth(mask, list(objects), way if objects else stroke.index)


def _level_beside(values: NDArray[np.float32]) -> float:
    """Give the probability down to which background joins an object; `values` are those under the stroke."""
    return max(FLOOR, float(np.quantile(values, QUARTER)))


def _level_of_new(clicked: float, top: float) -> float:
    """Give the probability down to which a new object reaches: half of its highest, and as low as the voxel clicked."""
    if top < FAINT:
        raise UserError(
            "The network saw nothing at that place.", "Outline it with Draw, or paint it with napari's brush."
        )
    return min(clicked, 0.5 * top)
