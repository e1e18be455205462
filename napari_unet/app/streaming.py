"""Segment images that do not fit the memory, from the disk to the disk: for the command line and the dock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # published without types

from napari_unet.app.model_cache import load_cached
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.glimpse import choose_steps
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.progress import Progress, Report, within
from napari_unet.core.store.spec import check_can_segment

if TYPE_CHECKING:
    from napari_unet.app.job import Stop
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.pipeline.stream_place import Workers

VOXEL_BYTES = 40
"""Memory that segmenting an image at once takes for each of its voxels: maps, labels and what decoding needs."""

SHARE = 0.5
"""Of the free memory: an image that needs more is segmented from the disk to the disk."""


@dataclass(frozen=True, eq=False)
class StreamRequest:
    """Ask for the labels of an image in a store.

    Parameters
    ----------
    image : Image
        Read by boxes, while the job runs.
    model : Path
        Folder of the model.
    path : Path
        Of the labels, ends in ``.zarr``.
    options : SegmentOptions
        What the user fixed.
    resume : bool
        Go on with an interrupted run; else begin anew.
    open_image : callable or None
        Opens the image in another process.
    workers : Workers or None
        Who does the work, from `hire`; None is this process.
    may_use_cpu : function of an estimated time in s, or None
        Asked before a GPU is given up for want of memory; None gives it up.
    seen : Box or None
        What somebody looks at, one slice for each axis of the labels: it is done first, and tiles and blocks come
        with the progress as glimpses of every so manieth voxel (`shown_steps`). None where nobody looks on.
    keeps_maps : bool
        Keep the network's output beside the labels, for other thresholds.
    """

    image: Image
    model: Path
    path: Path
    options: SegmentOptions = field(default_factory=SegmentOptions)
    resume: bool = True
    open_image: Callable[[], Image] | None = None
    workers: Workers | None = None
    may_use_cpu: Callable[[float], bool] | None = None
    seen: Box | None = None
    keeps_maps: bool = False


@dataclass(frozen=True)
class StreamResult:
    """Say what lies in the store.

    Parameters
    ----------
    path : Path
        The labels.
    model : str
        The model's name.
    n_objects : int
        Of all time points; 0 for classes.
    voxels : dict of str to int
        Of each class; empty for objects.
    notes : tuple of str
        What the user should know.
    """

    path: Path
    model: str
    n_objects: int
    voxels: dict[str, int]
    notes: tuple[str, ...] = ()


def segment_to_store(request: StreamRequest, report: Report, stop: Stop) -> StreamResult:
    """Segment an image into a store; `stop` is not asked. After Cancel the finished tiles are kept.

    Raises
    ------
    UserError
        When the model cannot be read, the image cannot be segmented by it, or the store cannot be written.
    """
    from napari_unet.core.pipeline import stream
    from napari_unet.core.pipeline.ladder import always
    from napari_unet.core.pipeline.stream_place import here
    from napari_unet.core.pipeline.stream_show import Looker

    report(Progress(0, 1, "loading the model"))
    model = load_cached(request.model)
    check_can_segment(model.spec)
    found = stream.segment_to_store(
        model,
        request.image,
        request.path,
        request.options,
        within(report, 0.01, 1.0),
        resume=request.resume,
        open_image=request.open_image,
        workers=request.workers or here,
        may_use_cpu=request.may_use_cpu or always,
        looker=None if request.seen is None else Looker(request.seen, shown_steps(request.image)),
        keeps_maps=request.keeps_maps,
    )
    voxels = dict(zip(model.spec.classes, found.voxels, strict=False)) if found.voxels else {}
    return StreamResult(request.path, model.spec.name, found.n_objects, voxels, found.notes)


def shown_steps(image: Image) -> tuple[int, ...]:
    """Give how coarse a large image is shown while it is segmented: every so manieth voxel of each spatial axis."""
    return choose_steps(image.label_shape, image.dims)


def is_large(image: Image) -> bool:
    """Tell whether segmenting an image at once would take more than a fair share of the free memory."""
    return is_too_large(image.label_shape)


def is_too_large(shape: tuple[int, ...]) -> bool:
    """Tell the same of a part of an image, from the shape of its labels."""
    return prod(shape) * VOXEL_BYTES > fair_bytes()


def fair_bytes() -> float:
    """Give a fair share of the free memory."""
    return SHARE * float(psutil.virtual_memory().available)


@contextmanager
def hire(n: int | None = None, scheduler: str | None = None) -> Iterator[Workers | None]:
    """Find workers for large images, for as long as they are needed.

    Parameters
    ----------
    n : int or None
        Processes to start on this machine; None or 1 work in this process.
    scheduler : str or None
        Address of the scheduler of a Dask cluster that is running.

    Yields
    ------
    Workers or None
        None is this process.

    Raises
    ------
    UserError
        When both are given, dask.distributed is not installed, or nobody is at the address.
    """
    if scheduler is not None and n is not None:
        raise UserError("Both --workers and --scheduler were given.", "A cluster brings its own workers.")
    if scheduler is None and (n is None or n == 1):
        yield None
        return
    from napari_unet.core.pipeline import cluster

    with cluster.local_workers(n or 1) if scheduler is None else cluster.cluster_workers(scheduler) as team:
        yield team
