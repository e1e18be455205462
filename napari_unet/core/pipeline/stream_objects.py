"""What is known of each object of a large image: its size, and how sure the network is of it.

Sizes and extents are counted block by block. An object is then looked at once more as a whole, together with those that
begin in the same block, because its confidence needs the shape of all of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import cc3d
import fastremap
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.files import write_atomic
from napari_unet.core.base.resize_box import nearest_index
from napari_unet.core.base.tiles import Box, grow
from napari_unet.core.pipeline.prediction import image_sampling
from napari_unet.core.pipeline.predictor import make_prediction

if TYPE_CHECKING:
    from napari_unet.core.pipeline.stream_place import Place

Whole = NDArray[np.int64]

MOST_VOXELS = 2**24
"""That are looked at at a time, some 20 bytes each. An object whose box holds more has no confidence."""


@dataclass(frozen=True)
class Extents:
    """Objects of one time point.

    Parameters
    ----------
    first : int
        Objects before this time point: the first one here has the number after it.
    size : (n,) int64
        Voxels.
    low, high : (n, D) int64
        The box around each: its first voxel, and one after its last, along each axis.
    """

    first: int
    size: Whole
    low: Whole
    high: Whole


def list_objects(labels: NDArray[np.int32], box: Box) -> dict[str, list[Any]]:
    """Count the voxels of each object in a block, and find the box around them, as plain values for a mark."""
    numbers, known = fastremap.renumber(labels, in_place=False)
    known.pop(0, None)
    found = cc3d.statistics(numbers.astype(np.uint32, copy=False), no_slice_conversion=True)
    at = np.fromiter(known.values(), np.intp)
    bounds = found["bounding_boxes"][at].reshape(len(at), labels.ndim, 2) + np.array([[s.start] * 2 for s in box])
    return {
        "ids": [int(one) for one in known],
        "size": found["voxel_counts"][at].tolist(),
        "low": bounds[..., 0].tolist(),
        "high": (bounds[..., 1] + 1).tolist(),
    }


def gather_objects(place: Place, time: int, first: int, n_objects: int) -> Extents:
    """Put together what `list_objects` found in all blocks of a time point."""
    dims = place.image.dims
    size = np.zeros(n_objects, np.int64)
    low, high = np.full((n_objects, dims), np.iinfo(np.int64).max), np.zeros((n_objects, dims), np.int64)
    for name, path in place.marked().items():
        if name.startswith(f"labels-{time}-"):
            told = json.loads(path.read_bytes())
            at = np.array(told["ids"], np.intp) - 1 - first
            if len(at):
                size[at] += told["size"]
                low[at], high[at] = np.minimum(low[at], told["low"]), np.maximum(high[at], told["high"])
    return Extents(first, size, low, high)


def group_objects(extents: Extents, block: tuple[int, ...]) -> Iterator[tuple[Whole, Box]]:
    """Choose which objects are looked at together: those that begin in a block, or fewer where their box is too large.

    Yields
    ------
    ids : (k,) int64
        Numbers of objects, in order; each object is in one group at most.
    box : Box
        Around all of them.
    """
    there = np.flatnonzero(extents.size)  # where labels are coarser than the maps, an object may vanish
    blocks = extents.low[there] // np.array(block)
    order = np.lexsort(blocks.T[::-1])
    ends = np.flatnonzero(np.any(np.diff(blocks[order], axis=0), axis=1)) + 1
    waiting = [part for part in np.split(there[order], ends) if len(part)][::-1]
    while waiting:
        at = np.sort(waiting.pop())
        low, high = extents.low[at].min(0), extents.high[at].max(0)
        if prod(int(n) for n in high - low) <= MOST_VOXELS:
            yield at + 1 + extents.first, tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        elif len(at) > 1:
            # The axis along which they reach the farthest; those that end late are looked at apart.
            late = at[np.argsort(extents.high[at, int(np.argmax(high - low))], kind="stable")]
            waiting += [late[len(late) // 2 :], late[: len(late) // 2]]


def measure_objects(place: Place, name: str, time: int, ids: Whole, box: Box) -> None:
    """Tell how sure the network is of some objects, as `prediction.confidence` would; kept in the mark.

    Parameters
    ----------
    place : Place
        Where the work is.
    name : str
        Of the mark.
    time : int
        Time point.
    ids, box
        From `group_objects`.
    """
    shape, plan = place.image.spatial_shape, place.plan
    read = grow(box, (1,) * len(box), shape)  # with the voxels around the objects all of their distances are known
    labels = place.labels[(time, *read) if "T" in place.image.axes else read]
    source, index = behind(place, read)
    maps = place.frame(time)[(slice(0, 2), *source)][(slice(None), *index)]
    prediction = make_prediction((), shape, place.image, plan.factors)
    sampling = image_sampling(prediction.sampling, place.finest, shape)
    place.mark(name, place.model.target.confidence(_only(labels, ids), maps, sampling)[1:].tolist())


def behind(place: Place, box: Box) -> tuple[Box, tuple[Any, ...]]:
    """Find what lies behind a box of the image on the finest grid: the box there, and which of its voxels are taken."""
    index = [
        nearest_index(old, new, part)
        for old, new, part in zip(place.finest, place.image.spatial_shape, box, strict=True)
    ]
    source = tuple(slice(int(i[0]), int(i[-1]) + 1) for i in index)
    return source, np.ix_(*(i - s.start for i, s in zip(index, source, strict=True)))


def keep_objects(place: Place, time: int, extents: Extents, groups: dict[str, Whole]) -> None:
    """Put all that is known of the objects of a time point into a file of the work folder; groups by their marks."""
    confidence = np.full(len(extents.size), np.nan, np.float32)
    for name, ids in groups.items():
        confidence[ids - 1 - extents.first] = json.loads(place.marked()[name].read_bytes())
    content = io.BytesIO()
    low = np.minimum(extents.low, extents.high)  # of an object that vanished nothing is known
    np.savez(
        content, size=extents.size, confidence=confidence, low=low.astype(np.int32), high=extents.high.astype(np.int32)
    )
    write_atomic(place.folder / f"objects-{time}.npz", content.getvalue())


def kept_objects(place: Place) -> dict[str, NDArray[np.generic]]:
    """Give what is known of all objects of all time points, by their numbers, as `io.read_objects` gives it."""
    parts = [np.load(place.folder / f"objects-{time}.npz") for time in range(place.image.n_times)]
    nowhere = np.zeros((1, place.image.dims), np.int32)
    first = {
        "size": np.zeros(1, np.int64),
        "confidence": np.full(1, np.nan, np.float32),
        "low": nowhere,
        "high": nowhere,
    }
    columns: dict[str, NDArray[np.generic]] = {
        name: np.concatenate([background, *(part[name] for part in parts)]) for name, background in first.items()
    }
    if "T" in place.image.axes:
        counts = [1 + len(parts[0]["size"]), *(len(part["size"]) for part in parts[1:])]  # with the background
        columns["time"] = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    return columns


def _only(labels: NDArray[np.int32], ids: Whole) -> NDArray[np.int32]:
    """Give some objects the numbers 1..k in their order; everything else is background."""
    low, high = int(ids[0]), int(ids[-1])
    numbers = np.zeros(high - low + 3, np.int32)  # one more at either end, for all that lie outside
    numbers[ids - low + 1] = np.arange(1, len(ids) + 1)
    out: NDArray[np.int32] = numbers[np.clip(labels - np.int32(low - 1), 0, high - low + 2)]
    return out
