"""One image of `napari-unet segment`: read, segmented and written, at once or through the disk."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.app import commands, streaming
from napari_unet.app.provenance import predicted_by
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.io import read_image, stem, suffix, write_labels, write_provenance
from napari_unet.core.io.paths import STORES, is_url
from napari_unet.core.store.spec import read_spec
from napari_unet.core.store.training_set import stack_channels

if TYPE_CHECKING:
    from napari_unet.app.job import Stop
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.progress import Report
    from napari_unet.core.pipeline.stream_place import Workers

FORMATS = ("auto", "zarr", "same")


@dataclass(frozen=True)
class Way:
    """Say how all images of a command are worked on.

    Parameters
    ----------
    model : Path
        Folder of the model.
    axes, voxel_size
        As in `read_image`.
    options : SegmentOptions
        What the user fixed.
    format : {"auto", "zarr", "same"}
        Through the disk into OME-Zarr, at once into the image's own format, or what suits each image.
    resume : bool
        Go on with interrupted runs.
    workers : Workers or None
        Who works on images that go through the disk; None is this process.
    """

    model: Path
    axes: str | None = None
    voxel_size: tuple[float, ...] | None = None
    options: SegmentOptions = field(default_factory=SegmentOptions)
    format: str = "auto"
    resume: bool = True
    workers: Workers | None = None


@dataclass(frozen=True)
class Task:
    """Say what becomes of one image, which lies in one file or in one for each channel."""

    name: Path
    sources: tuple[Path, ...]
    target: Path
    way: Way


def store_path(target: Path) -> Path:
    """Say where the labels go that do not fit into memory: beside those that would."""
    return target if suffix(target) in STORES else target.with_name(f"{stem(target)}.zarr")


def goes_through_the_disk(name: Path, format: str, *, is_shared: bool) -> bool:
    """Tell whether labels become OME-Zarr whatever the size of the image; several processes share it only there."""
    if format == "auto":
        return suffix(name) in STORES or is_url(name) or is_shared
    return format == "zarr"


def segment_one(task: Task, report: Report, stop: Stop) -> dict[str, Any]:
    """Segment an image and write its labels.

    Returns
    -------
    dict
        What the command tells of it.
    """
    start = time.perf_counter()
    way = task.way
    images = [read_image(path, way.axes, way.voxel_size) for path in task.sources]
    image = images[0] if len(images) == 1 else stack_channels(images)
    large = way.format == "auto" and streaming.is_large(image)
    through_the_disk = large or goes_through_the_disk(task.name, way.format, is_shared=way.workers is not None)
    work = _stream if through_the_disk else _at_once
    told = work(task, image, report, stop)
    return {"input": task.name, **told, "seconds": round(time.perf_counter() - start, 2)}


def _at_once(task: Task, image: Image, report: Report, stop: Stop) -> dict[str, Any]:
    found = commands.segment(commands.SegmentRequest(image, task.way.model, task.way.options), report, stop)
    write_labels(task.target, found.labels, image, predicted_by(image, found.prediction.made_by))
    return {
        "output": task.target,
        **_count(found.labels, found.classes),
        "object_size": found.object_size,
        "notes": found.notes,
    }


def _stream(task: Task, image: Image, report: Report, stop: Stop) -> dict[str, Any]:
    way, path = task.way, store_path(task.target)
    if len(task.sources) > 1 and way.workers is not None:
        raise UserError("Several processes cannot share an image of several files.", "Put its channels into one file.")
    if path.resolve() in {source.resolve() for source in task.sources}:
        raise UserError(f"The labels of '{task.name}' would replace the image.", "Choose another folder for --out.")
    source = task.sources[0] if is_url(task.sources[0]) else task.sources[0].absolute()
    found = streaming.segment_to_store(
        streaming.StreamRequest(
            image,
            way.model,
            path,
            way.options,
            way.resume,
            partial(read_image, source, way.axes, way.voxel_size) if way.workers else None,
            way.workers,
        ),
        report,
        stop,
    )
    spec = read_spec(way.model)
    made_by = {"model": spec.name, "weights_sha256": spec.weights_sha256, "options": asdict(way.options)}
    write_provenance(path, predicted_by(image, made_by))
    counted: dict[str, Any] = {"voxels": found.voxels} if found.voxels else {"n_objects": found.n_objects}
    return {"output": path, **counted, "object_size": None, "notes": found.notes}


def _count(labels: NDArray[np.int32], classes: tuple[str, ...]) -> dict[str, Any]:
    counts = np.bincount(labels.ravel())
    if not classes:
        return {"n_objects": int(np.count_nonzero(counts[1:]))}
    voxels = [int(n) for n in np.pad(counts, (0, len(classes) + 1))[1 : len(classes) + 1]]
    return {"voxels": dict(zip(classes, voxels, strict=True))}


def describe(result: dict[str, Any]) -> str:
    """Say what was found in an image."""
    notes = "".join(f" ({one})" for one in result["notes"])
    if "n_objects" in result:
        n = result["n_objects"]
        size = "" if result["object_size"] is None else f" of about {result['object_size']:.0f} px"
        return f"{n} object{'s' * (n != 1)}{size}{notes}"
    return ", ".join(f"{name} {n} voxels" for name, n in result["voxels"].items()) + notes
