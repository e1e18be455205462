"""Segment an image that does not fit the memory, for the dock: where the labels lie, and how they are found again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.app import library, streaming
from napari_unet.app.asking import Asker
from napari_unet.app.job import Job
from napari_unet.app.model_cache import load_cached
from napari_unet.app.teaching import file_name
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import sha256
from napari_unet.core.base.lazy import rearrange
from napari_unet.core.base.options import LargeOptions, SegmentOptions
from napari_unet.core.base.progress import Progress, Report, within
from napari_unet.core.store.spec import check_can_segment

if TYPE_CHECKING:
    from napari_unet.app.annotations import Box
    from napari_unet.app.job import Stop
    from napari_unet.app.session import Session
    from napari_unet.core.base.image import Image

TOO_LARGE = "is larger than the memory that is free"
PART = "Choose 'Segment: this view': that gives labels of what you see, with all tools."


@dataclass(frozen=True, eq=False)
class LargeRequest:
    """Ask for the labels of a large image.

    Parameters
    ----------
    image : Image
        Read by boxes, while the job runs.
    model : Path
        Folder of the model.
    options : SegmentOptions
        What the user fixed.
    large : LargeOptions
        Who does the work, and whether it begins anew.
    folder : Path
        In which the labels lie.
    asks : bool
        Somebody answers questions.
    seen : Box or None
        What somebody looks at: as in `streaming.StreamRequest`.
    """

    image: Image
    model: Path
    options: SegmentOptions = field(default_factory=SegmentOptions)
    large: LargeOptions = field(default_factory=LargeOptions)
    folder: Path = field(default_factory=library.results_folder)
    asks: bool = False
    seen: Box | None = None


@dataclass(frozen=True)
class LargeResult:
    """Say which labels were made, or found.

    Parameters
    ----------
    path : Path
        OME-Zarr with a pyramid.
    classes : tuple of str
        Names of the classes 1..K; empty for objects.
    n_objects : int or None
        Of all time points; None for classes, and for labels that were there before.
    notes : tuple of str
        What the user should know.
    """

    path: Path
    classes: tuple[str, ...] = ()
    n_objects: int | None = None
    notes: tuple[str, ...] = ()


def start(
    session: Session,
    image: Image,
    on_done: Callable[[LargeResult], None],
    *,
    options: SegmentOptions,
    large: LargeOptions,
    topic: str = "",
    seen: Box | None = None,
) -> Job[LargeResult]:
    """Segment a large image with the session's model.

    Parameters
    ----------
    session : Session
        Its model and jobs.
    image, options, large, seen
        As in `LargeRequest`.
    on_done : callable
        Gets the result in the main thread.
    topic : str
        To drop the result when the layer is removed.

    Raises
    ------
    UserError
        Without a model, or while another job has the device.
    """
    request = LargeRequest(image, session.model_folder(), options, large, asks=True, seen=seen)
    job: Job[LargeResult] = Job(f"Segment '{image.name}'", topic, background=True, goes_on=True)
    session.jobs.start(segment_large, request, job, on_done=on_done)
    session.remember_model(image)
    return job


def segment_large(request: LargeRequest, report: Report, stop: Stop) -> LargeResult:
    """Segment a large image into labels on the disk, or find those that were made of it before.

    The labels' name ends in a key of the model, the image and the options, so that the same request goes on with what
    an interrupted one left, and no request overwrites labels that have been painted since.

    Raises
    ------
    UserError
        When the model cannot be read, the image cannot be segmented by it, other processes cannot open the image, or
        the disk refuses.
    """
    from napari_unet.core.pipeline.predictor import measure_statistics
    from napari_unet.core.pipeline.segment import check_fits
    from napari_unet.core.pipeline.stream_plan import identify

    report(Progress(0, 1, "loading the model"))
    model = load_cached(request.model)
    check_can_segment(model.spec)
    image, large = request.image, request.large
    check_fits(image, model, request.options)
    statistics = measure_statistics(model, image, request.options)
    made_for = identify(model, image, request.options, statistics)
    path, is_there = place_of(request.folder, image.name, model.spec.name, made_for, fresh=large.fresh)
    classes = model.spec.classes if model.spec.target == "semantic" else ()
    if is_there:
        return LargeResult(path, classes)
    is_shared = large.scheduler or (large.workers or 1) > 1
    open_image = opener(image) if is_shared else None
    if open_image is not None and measure_statistics(model, open_image(), request.options) != statistics:
        raise _not_from_disk(image)
    asker = Asker(report, asks=request.asks)
    with streaming.hire(None if large.scheduler else large.workers, large.scheduler or None) as workers:
        found = streaming.segment_to_store(
            streaming.StreamRequest(
                image,
                request.model,
                path,
                request.options,
                resume=not large.fresh,
                open_image=open_image,
                workers=workers,
                may_use_cpu=asker.may_use_cpu,
                seen=request.seen,
                keeps_maps=large.keep_maps,
            ),
            within(asker.report, 0.01, 1.0),
            stop,
        )
    return LargeResult(path, classes, None if classes else found.n_objects, found.notes)


def place_of(folder: Path, image: str, model: str, made_for: dict[str, Any], *, fresh: bool) -> tuple[Path, bool]:
    """Say where labels lie or will lie.

    Parameters
    ----------
    folder : Path
        Of all results.
    image, model : str
        Names, for people.
    made_for : dict
        From `identify`: the model, the image and the options in plain values.
    fresh : bool
        Labels that are there already do not count.

    Returns
    -------
    path : Path
        Ends in ``.zarr``.
    is_there : bool
        These labels have been finished before.
    """
    key = sha256(json.dumps(made_for, sort_keys=True).encode())[:10]
    stem = f"{file_name(image)[:60]}-{file_name(model)}-{key}"
    names = (folder / f"{stem}{'' if n == 1 else f'-{n}'}.zarr" for n in count(1))
    last = None
    for path in names:
        if path.exists():
            last = path
            continue
        is_begun = path.with_name(f"{path.name}.work").exists()
        return (path, False) if fresh or is_begun or last is None else (last, True)
    raise AssertionError("there are names without end")


def opener(image: Image) -> Callable[[], Image]:
    """Give what opens an image in another process.

    Raises
    ------
    UserError
        When the image lies in no file, or its file gives something else.
    """
    from napari_unet.core.io import read_image  # slow to load, and the dock opens without it

    for axes in (None, image.axes) if image.source else ():
        make = partial(read_image, image.source, axes, image.voxel_size)
        try:
            found = make()
        except UserError:
            continue
        if (found.axes, found.data.shape, found.data.dtype) == (image.axes, image.data.shape, image.data.dtype):
            return make
    raise _not_from_disk(image)


def _not_from_disk(image: Image) -> UserError:
    return UserError(
        f"Several processes cannot open '{image.name}': no file gives the same image.",
        "Save it as OME-Zarr and open that, or let one process do the work.",
    )


def crop(image: Image, box: Box) -> Image:
    """Take a part of an image as an image of its own; nothing is read.

    Parameters
    ----------
    image : Image
        Stays as it is.
    box : Box
        One slice for each axis of the labels.
    """
    parts = dict(zip(image.label_axes, box, strict=True))
    key = tuple(parts.get(axis, slice(None)) for axis in image.axes)
    corner = ", ".join(f"{axis} {part.start}" for axis, part in parts.items())
    return replace(image, data=rearrange(image.data, key), name=f"{image.name} at {corner}", source="")


def check_small(image: Image, what: str, hint: str = PART) -> None:
    """Refuse what needs a whole image, or its labels, in memory.

    Raises
    ------
    UserError
        When the image is large.
    """
    if streaming.is_large(image):
        raise UserError(f"'{image.name}' {TOO_LARGE}: {what}.", hint)


def refresh_pyramid(path: Path, report: Report, stop: Stop) -> None:
    """Write the coarser levels of labels anew, after they have been painted; a job function."""
    from napari_unet.core.io import finish_labels

    report(Progress(0, 1, "writing the pyramid"))
    finish_labels(path)
