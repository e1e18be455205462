"""Magic correction of single objects: strokes become seeds, what they mean is shared out, the rest keeps its voxels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.edits.find import is_any
from napari_unet.core.edits.magic_growth import grow_into_background
from napari_unet.core.edits.magic_share import Seed, share_out, thickest
from napari_unet.core.edits.magic_strokes import Stroke, flat_axis_of, meant_by

if TYPE_CHECKING:
    from napari_unet.core.edits.edit import Labels
    from napari_unet.core.edits.magic_scene import Basins, Scene

SHARE = 0.05  # of an object's plane; what a minus stroke cuts off below that are specks at its rim

Mask = NDArray[np.bool_]


@dataclass
class Wish:
    """One object as it shall be.

    Parameters
    ----------
    seed : Seed
        Where it starts.
    objects : list of int
        Those that it is made of.
    whole : list of int
        Those of its objects that belong to no other wish.
    """

    seed: Seed
    objects: list[int]
    whole: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Decoded:
    """Which voxels each wish got.

    Parameters
    ----------
    before : integer array
        The labels in the box.
    owner : int32 array, same shape
        0 where nothing changes, 1..n by wish, n + 1 where no object is any more.
    wishes : list of Wish
        In that order.
    """

    before: Labels = field(repr=False)
    owner: NDArray[np.int32] = field(repr=False)
    wishes: list[Wish]

    @property
    def n_new(self) -> int:
        """Count the wishes that need a new id."""
        return self._names().count(0)

    def labels(self, new: range) -> Labels:
        """Give the labels in the box; `new` are ids for the wishes without one."""
        ids = iter(new)
        table = [0, *(one or next(ids) for one in self._names()), 0]
        return np.where(self.owner > 0, np.array(table, self.before.dtype)[self.owner], self.before)

    def _names(self) -> list[int]:
        """Give the id that each wish keeps, 0 for a new one; of an object that is divided the largest part keeps it."""
        names = [wish.whole[0] if wish.whole else 0 for wish in self.wishes]
        divided = dict.fromkeys(one for wish in self.wishes for one in wish.objects if one not in wish.whole)
        for one in divided:
            sizes = np.bincount(self.owner[self.before == one], minlength=len(names) + 2)[1 : len(names) + 1]
            for at in np.argsort(-sizes, kind="stable"):
                if sizes[at] and not names[at]:
                    names[at] = one
                    break
        return names


def decode_objects(
    scene: Scene, plus: Sequence[Stroke], minus: Sequence[Stroke], threshold: float, basins: Basins | None
) -> Decoded:
    """Decode the objects that strokes mean again.

    Parameters
    ----------
    scene : Scene
        Labels and maps around the strokes.
    plus, minus : sequence of Stroke
        In the coordinates of the scene.
    threshold : float
        Of the foreground.
    basins : callable or None
        Cuts background into basins.

    Raises
    ------
    CutOff
        When the scene is too small.
    UserError
        When the network saw nothing under a stroke.
    """
    labels = scene.labels
    wishes = [Wish(_seed(stroke.index, labels.shape), meant_by(stroke, labels)) for stroke in plus]
    refused: dict[int, list[Stroke]] = {}
    for stroke in minus:
        for one in meant_by(stroke, labels):
            refused.setdefault(one, []).append(stroke)
    _check_whole(scene, wishes, refused)
    growths = [_grown(scene, wish, stroke, threshold, basins) for wish, stroke in zip(wishes, plus, strict=True)]
    _check_whole(scene, wishes, refused)
    for stroke, own in zip(plus, wishes, strict=True):  # a way up never takes a voxel of another stroke
        for wish in wishes:
            wish.seed.mask[stroke.index] &= wish is own
    against = np.zeros(labels.shape, bool)
    for stroke in minus:
        against[stroke.index] = True
    meant = {one for wish in wishes for one in wish.objects}
    gone = []
    for one, strokes in refused.items():
        if one not in meant and any(stroke.is_click for stroke in strokes):
            gone.append(one)
        elif one not in meant:
            wishes += _left(labels, one, strokes, against, scene.sampling)
    owner = np.zeros(labels.shape, np.int32)
    for one in meant | set(refused):
        if one not in gone:
            _divide_object(scene, one, wishes, against if one in refused else None, owner)
    _divide_background(scene, wishes, growths, against, owner)
    owner[np.isin(labels, gone)] = len(wishes) + 1
    return Decoded(labels, owner, wishes)


def _divide_object(
    scene: Scene, one: int, wishes: Sequence[Wish], against: Mask | None, owner: NDArray[np.int32]
) -> None:
    """Give an object to the wish that alone means it, or share it out among those that do; written into `owner`."""
    own = scene.labels == one
    by = [number for number, wish in enumerate(wishes, start=1) if one in wish.objects]
    if len(by) == 1 and against is None:
        owner[own] = by[0]
        wishes[by[0] - 1].whole.append(one)
        return
    seeds = [wishes[number - 1].seed for number in by]
    wall = np.zeros(own.shape, bool) if against is None else own & against
    sides = _sides(own, wall)
    if len(sides) > 1 and all(any((seed.mask & side).any() for seed in seeds) for side in sides):
        shares = share_out(own & ~wall, seeds, np.zeros(own.shape, bool), scene.height, scene.sampling)
        shares = _to_nearest(shares, own)  # between plus strokes it is the boundary, and takes nothing away
    else:
        shares = share_out(own, seeds, wall, scene.height, scene.sampling)
    owner[own] = np.array([0, *by, len(wishes) + 1])[shares[own]]


def _divide_background(
    scene: Scene, wishes: Sequence[Wish], growths: Sequence[Mask], against: Mask, owner: NDArray[np.int32]
) -> None:
    """Give each wish its background, and share out what several want or a minus stroke crosses."""
    wanted = np.sum(growths, axis=0, dtype=np.int32)
    contested, rivals = np.zeros(owner.shape, bool), []
    for number, (wish, growth) in enumerate(zip(wishes, growths, strict=False), start=1):
        if len(wish.whole) < len(wish.objects) or ((wanted > 1) | against)[growth].any():
            contested |= growth
            rivals.append(number)
        else:
            owner[growth] = number
    if not rivals:
        return
    seeds = []
    for number in rivals:
        wish = wishes[number - 1]
        seeds.append(Seed((owner == number) | wish.seed.mask, climbs=not wish.objects))
    shares = share_out(contested | np.isin(owner, rivals), seeds, against, scene.height, scene.sampling)
    owner[contested] = np.array([0, *rivals, len(wishes) + 1])[shares[contested]]


def _grown(scene: Scene, wish: Wish, stroke: Stroke, threshold: float, basins: Basins | None) -> Mask:
    """Find the background that belongs to a wish; a click there may mean the object that the network saw."""
    growth = grow_into_background(scene, stroke, wish.objects, threshold, basins)
    wish.objects = growth.objects
    wish.seed.mask[growth.way] = True
    return growth.mask


def _left(labels: Labels, one: int, strokes: Sequence[Stroke], against: Mask, sampling: Sequence[float]) -> list[Wish]:
    """Say what is left of an object beside minus strokes: both sides of one right through it, or its thickest place."""
    own = labels == one
    plane: list[slice] = [slice(None)] * own.ndim
    if own.ndim > 2:
        flat = flat_axis_of(strokes[0])
        at = int(strokes[0].voxels[0, flat])
        plane[flat] = slice(at, at + 1)
    sides = _sides(own[tuple(plane)], against[tuple(plane)])
    if len(sides) < 2:
        return [Wish(Seed(thickest(own & ~against, sampling)), [one])]
    against[own] = False  # a cut takes nothing away
    wishes = []
    for side in sides:
        seed = np.zeros(own.shape, bool)
        seed[tuple(plane)] = side
        wishes.append(Wish(Seed(seed, climbs=False), [one]))
    return wishes


def _sides(own: Mask, wall: Mask) -> list[Mask]:
    """Give what a wall leaves of a mask on its sides, without specks at the rim; one where it divides nothing."""
    if not (own & wall).any():
        return []
    pieces, n = scipy.ndimage.label(own & ~wall)
    beside = np.unique(pieces[scipy.ndimage.binary_dilation(own & wall)])
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)
    return [pieces == piece for piece in beside if piece and sizes[piece] >= SHARE * own.sum()]


def _to_nearest(shares: NDArray[np.int32], own: Mask) -> NDArray[np.int32]:
    nearest = scipy.ndimage.distance_transform_edt(shares == 0, return_distances=False, return_indices=True)
    return np.where(own, shares[tuple(nearest)], 0)


def _check_whole(scene: Scene, wishes: Sequence[Wish], refused: Collection[int]) -> None:
    ids = {one for wish in wishes for one in wish.objects} | set(refused)
    if ids:
        scene.check_whole(is_any(scene.labels, sorted(ids)))


def _seed(index: tuple[NDArray[np.intp], ...], shape: tuple[int, ...]) -> Seed:
    mask = np.zeros(shape, bool)
    mask[index] = True
    return Seed(mask)
