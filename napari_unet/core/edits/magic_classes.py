"""Magic correction of classes: a class grows or shrinks around a stroke, by its own probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy
import skimage  # like scipy, its parts load when first used: the dock opens without them
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari_unet.core.edits.edit import Labels
    from napari_unet.core.edits.magic_scene import Scene
    from napari_unet.core.edits.magic_strokes import Stroke

FAINT = 0.02  # probability; below it a network sees nothing of a class

Mask = NDArray[np.bool_]


def decode_classes(
    scene: Scene, plus: Sequence[Stroke], minus: Sequence[Stroke], threshold: float, chosen: int
) -> Labels:
    """Give a class what it may have around plus strokes, and take from classes around minus strokes.

    Parameters
    ----------
    scene : Scene
        Labels and the probabilities of the background and of all classes.
    plus, minus : sequence of Stroke
        In the coordinates of the scene. A stroke that begins in a class and leaves it enlarges that class.
    threshold : float
        Probability above which a voxel may join, or leave; less where the strokes lie on less.
    chosen : int
        The class that other plus strokes add.

    Returns
    -------
    integer array
        The labels in the scene. What leaves a class gets the likeliest of the others.

    Raises
    ------
    CutOff
        When the scene is too small.
    UserError
        When the network knows no such class, or saw nothing of it.
    """
    after = scene.labels.copy()
    barrier = _drawn(minus, after.shape)
    for stroke in minus:
        for one in dict.fromkeys(scene.labels[stroke.index].tolist()):
            if one > 0:
                doubt = 1 - _probability(scene, one)
                under = _drawn([stroke], after.shape) & (scene.labels == one)
                lost = _around(scene, under, doubt, scene.labels == one, _drawn(plus, after.shape), threshold)
                after[lost] = _likeliest_other(scene, one)[lost]
    for stroke in plus:
        begun, ended = int(scene.labels[stroke.index][0]), scene.labels[stroke.index]
        one = begun if begun > 0 and (ended != begun).any() else chosen
        likely, under = _probability(scene, one), _drawn([stroke], after.shape) & (scene.labels != one)
        if not under.any():
            continue
        if float(np.median(likely[under])) < FAINT:
            raise UserError("The network saw nothing of this class at that place.", "Paint it with napari's brush.")
        meant = np.isin(scene.labels, scene.labels[under])
        after[_around(scene, under, likely, meant, barrier & ~under, threshold)] = one
    return after


def _around(
    scene: Scene, under: Mask, values: NDArray[np.float32], room: Mask, against: Mask, threshold: float
) -> Mask:
    """Find what hangs together with a stroke at half of its own probability; a stroke against it takes its own part."""
    level = min(threshold, 0.5 * float(np.median(values[under])))
    room = (room & (values >= level)) | under
    parts = scipy.ndimage.label(room)[0]
    region: Mask = np.isin(parts, np.unique(parts[under]))
    if (region & against).any():
        markers = np.where(under, 1, np.where(against, 2, 0))
        region = skimage.segmentation.watershed(-values, markers, mask=region) == 1  # type: ignore[no-untyped-call] # no types
    scene.check_whole(region, is_endless=True)
    return region


def _probability(scene: Scene, one: int) -> NDArray[np.float32]:
    if one >= len(scene.maps):
        raise UserError(
            f"The network knows {len(scene.maps) - 1} classes; this is class {one}.",
            "Choose one of its classes in napari's label box.",
        )
    values: NDArray[np.float32] = scene.maps[one]
    return values


def _likeliest_other(scene: Scene, one: int) -> NDArray[np.intp]:
    others = scene.maps.copy()
    others[one] = -1
    likeliest: NDArray[np.intp] = others.argmax(axis=0)
    return likeliest


def _drawn(strokes: Sequence[Stroke], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    for stroke in strokes:
        mask[stroke.index] = True
    return mask
