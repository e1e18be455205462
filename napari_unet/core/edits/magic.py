"""Correct objects by clicks and strokes: what the network saw there is decoded again around them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.edit import LabelEdit, Labels, edit_between
from napari_unet.core.edits.find import free_ids
from napari_unet.core.edits.magic_classes import decode_classes
from napari_unet.core.edits.magic_scene import Basins, CutOff, Maps, Scene
from napari_unet.core.edits.magic_strokes import Stroke, join_crossing, strokes_of
from napari_unet.core.edits.tool import asks, sampling_of

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box

MARGIN = {2: 48, 3: 16}
"""Voxels around the strokes that are looked at first, by number of axes; doubled until all that changes is inside."""

MOST_VOXELS = 1 << 21
"""What grows over more than that around a click is no object."""


def magic(
    labels: Labels,
    selection: Sequence[int],
    *,
    threshold: Annotated[
        float,
        asks(
            "Threshold",
            "Foreground probability above which a voxel may join; where you click on less, about half of that.",
            min=0.05,
            max=0.95,
            step=0.05,
        ),
    ] = 0.5,
    add: Sequence[ArrayLike] = (),
    remove: Sequence[ArrayLike] = (),
    maps: Maps | None = None,
    basins: Basins | None = None,
    is_semantic: bool = False,
    voxel_size: Sequence[float] | None = None,
    new_id: int | None = None,
) -> LabelEdit:
    """Correct what you click: one stroke in each object, minus where none is; the network's output is decoded again.

    Parameters
    ----------
    labels : integer array, n-D
        0 is the background. Only a box around the strokes is read.
    selection : sequence of int
        Not used: the strokes say what is meant.
    threshold : float, 0 to 1
        Foreground probability above which background may join an object; less where the strokes lie on less.
    add : sequence of (N, labels.ndim) float, voxels
        Each stroke is one object: several in one object divide it, one through several joins them, one that leaves an
        object enlarges it, one in the background makes a new object. N is 1 for a click.
    remove : sequence of (N, labels.ndim) float, voxels
        Where no object is: a click deletes the object, a stroke right through it cuts it in two, another stroke takes
        away what is around it. Beside strokes of `add` it only limits them.
    maps : Maps
        What the network saw.
    basins : callable, optional
        Cuts background into the basins of the boundary distance, as objects are decoded; without it what hangs
        together is one basin.
    is_semantic : bool
        The labels are classes: `add` enlarges a class, `remove` makes it smaller, by its own probability.
    voxel_size : (labels.ndim,) float, µm, optional
        Makes distances true in anisotropic images.
    new_id : int, optional
        The first id of new objects, by default one above the largest label; of classes the one to add.

    Returns
    -------
    LabelEdit
        Objects that no stroke means keep every voxel.

    Raises
    ------
    UserError
        When nothing is drawn, there is no output of the network, it saw nothing there, or nothing would change.
    """
    from napari_unet.core.edits.magic_objects import decode_objects  # the dock opens without it

    if maps is None:
        raise no_output()
    if not 0 < threshold < 1:
        raise UserError(f"The threshold is {threshold:g}.", "Give a number between 0 and 1.")
    plus, minus = join_crossing(strokes_of(add, labels.shape)), strokes_of(remove, labels.shape)
    if not (plus or minus):
        raise UserError("Nothing is clicked.", "Hold Q and click or draw in the objects; with Shift where none is.")
    sampling = _relative(voxel_size, labels.ndim)
    near = MARGIN.get(labels.ndim, MARGIN[3])
    margins = np.array([[ceil(near / edge)] * 2 for edge in sampling])
    while True:
        box = _around([*plus, *minus], margins, labels.shape)
        scene = Scene(labels, maps, box, sampling)
        inside = [one.within(box) for one in plus], [one.within(box) for one in minus]
        try:
            if is_semantic:
                after = decode_classes(scene, *inside, threshold, new_id or 1)
            else:
                found = decode_objects(scene, *inside, threshold, basins)
                after = found.labels(free_ids(labels, found.n_new, new_id) if found.n_new else range(0))
        except CutOff as cut:
            if cut.is_endless and scene.labels.size > MOST_VOXELS:
                raise UserError(
                    "The network saw no boundary around that place.",
                    "Add minus strokes there, or outline it with Draw.",
                ) from None
            for side in cut.sides:
                margins[side] *= 2
            continue
        return edit_between(box, scene.labels, after, _nothing())


def no_output() -> UserError:
    """Say what to do where no network has made the labels, or its output is not kept."""
    return UserError(
        "There is no network output for these labels.",
        "Segment the image in this session first; for labels of another kind use Split, Merge, Grow or Draw.",
    )


def _around(strokes: Sequence[Stroke], margins: NDArray[np.int_], shape: tuple[int, ...]) -> Box:
    """Give the box around strokes; `margins` are (ndim, 2), for the low and the high end of each axis."""
    voxels = np.concatenate([stroke.voxels for stroke in strokes])
    low = np.maximum(voxels.min(axis=0) - margins[:, 0], 0)
    high = np.minimum(voxels.max(axis=0) + 1 + margins[:, 1], shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _relative(voxel_size: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Give the edges of a voxel in units of the shortest."""
    if voxel_size is None:
        return (1.0,) * ndim
    edges = sampling_of("µm", voxel_size, ndim)
    return tuple(edge / min(edges) for edge in edges)


def _nothing() -> UserError:
    return UserError(
        "The labels are like that already.",
        "Click in each of several cells in one object, draw through what is one cell, click where a cell is missing, "
        "or draw beyond the edge of an object; with Shift where none is.",
    )
