"""Segment images that are larger than the memory: tile by tile and block by block, from store to store.

The result is that of `segment`, up to the numbers of the objects. Every piece of work is a task that can be done again:
in this process, in others or on other machines, now or after an interruption.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.progress import Progress, Report, silent, within
from napari_unet.core.io import finish_labels, is_labels, write_objects
from napari_unet.core.pipeline.ladder import Ask, always
from napari_unet.core.pipeline.predictor import measure_statistics
from napari_unet.core.pipeline.segment import check_fits
from napari_unet.core.pipeline.stream_folder import LABELS, key_of, open_folder, prepare_folder, remove
from napari_unet.core.pipeline.stream_kept import find_maps, keep_maps, take_maps
from napari_unet.core.pipeline.stream_objects import kept_objects
from napari_unet.core.pipeline.stream_place import Job, Place, Workers, here
from napari_unet.core.pipeline.stream_plan import identify, make_plan
from napari_unet.core.pipeline.stream_work import decode, predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.core.base.image import Image
    from napari_unet.core.pipeline.stream_plan import Plan
    from napari_unet.core.pipeline.stream_show import Looker
    from napari_unet.core.store.models import Model

SHARES = (0.04, 0.86, 0.99)
"""Of the progress, at the end of: the plan, the network, decoding. The rest is the pyramid."""


@dataclass(frozen=True)
class Stored:
    """What was segmented into a store.

    Parameters
    ----------
    path : Path
        The labels, OME-Zarr.
    n_objects : int
        Of all time points; 0 for classes.
    voxels : tuple of int
        Of each class; empty for objects, whose sizes and confidences `io.read_objects` reads.
    notes : tuple of str
        What the user should know.
    """

    path: Path
    n_objects: int
    voxels: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def segment_to_store(
    model: Model,
    image: Image,
    path: Path,
    options: SegmentOptions | None = None,
    report: Report = silent,
    *,
    resume: bool = True,
    open_image: Callable[[], Image] | None = None,
    workers: Workers = here,
    may_use_cpu: Ask = always,
    looker: Looker | None = None,
    keeps_maps: bool = False,
) -> Stored:
    """Segment an image of any size into labels on the disk, in bounded memory.

    Parameters
    ----------
    model : Model
        A 2D model segments a 3D image plane by plane and joins the planes when decoding.
    image : Image
        Any axes; read by boxes.
    path : Path
        Of the labels, ends in ``.zarr``; labels that are there are replaced at the end. The work lies beside it until
        then, in ``NAME.work``.
    options : SegmentOptions or None
        None chooses everything automatically.
    report : Report
        Called after each tile and block; may raise `Cancelled`: what is done by then is kept.
    resume : bool
        Go on with an interrupted run; else begin anew.
    open_image : callable or None
        Opens the image in another process.
    workers : Workers
        Who does the work.
    may_use_cpu : function of an estimated time in s
        Asked before a GPU is given up for want of memory; other processes do not ask.
    looker : Looker or None
        Gets tiles and blocks as the payload of the progress, a tuple of one `Glimpse`, what is looked at first.
    keeps_maps : bool
        Keep the network's output in ``NAME.maps``. Where it lies beside `path` the network does not run again for
        other thresholds, unless `resume` is off.

    Returns
    -------
    Stored

    Raises
    ------
    UserError
        When the image cannot be segmented by this model, something else lies at `path`, or an interrupted run was of
        another model, image or options.

    Notes
    -----
    In memory are one tile with its context (see `run_tiled`), or one block of the labels (see `decode_blocks`), for
    each worker; and some 200 bytes for each object of a time point. On the disk are meanwhile 4 bytes for each voxel
    of the network's grid, before compression.
    """
    options = options or SegmentOptions()
    check_fits(image, model, options)
    if path.exists() and not is_labels(path):
        raise UserError(f"'{path}' is there already and holds no labels.", "Choose another name, or delete it.")
    path = Path(path).absolute()  # a worker has its own working directory
    folder = path.with_name(f"{path.name}.work")
    plan = _settle(folder, path.name, model, image, options, within(report, 0, SHARES[0]), resume, may_use_cpu)
    job = Job(folder, path.name, key_of(plan), open_image or (lambda: image))
    place = Place(job)
    run = here(job, may_use_cpu) if workers is here else workers(job)
    predict(place, run, within(report, *SHARES[:2]), looker)
    n_objects = decode(place, run, within(report, *SHARES[1:]), looker)
    report(Progress(SHARES[2], 1.0, "writing the pyramid"))
    finish_labels(folder / LABELS / path.name)
    if model.spec.target == "instances":
        write_objects(folder / LABELS / path.name, kept_objects(place))
    stored = Stored(path, n_objects, _class_voxels(place), _notes(place))
    remove(path)
    (folder / LABELS / path.name).rename(path)
    if keeps_maps:
        keep_maps(folder, path)
    remove(folder)
    report(Progress(1, 1))
    return stored


def _settle(
    folder: Path,
    name: str,
    model: Model,
    image: Image,
    options: SegmentOptions,
    report: Report,
    resume: bool,
    may_use_cpu: Ask,
) -> Plan:
    """Take the plan of an interrupted run, or make one."""
    statistics = measure_statistics(model, image, options)
    made_for = identify(model, image, options, statistics)
    kept = None
    if resume:
        plan = open_folder(folder, made_for)
        if plan is not None:
            return plan
        kept = find_maps(folder.parent, made_for)
    remove(folder)
    if kept is not None:
        prepare_folder(folder, name, kept[1], model, image, partial(take_maps, kept[0]))
        return kept[1]
    plan = make_plan(model, image, options, statistics, report, may_use_cpu)
    prepare_folder(folder, name, plan, model, image)
    return plan


def _class_voxels(place: Place) -> tuple[int, ...]:
    if place.model.spec.target == "instances":
        return ()
    counts = [json.loads(path.read_bytes()) for name, path in place.marked().items() if name.startswith("labels-")]
    return tuple(sum(column) for column in zip(*counts, strict=True))


def _notes(place: Place) -> tuple[str, ...]:
    """Say what the user should know: of the plan, and what had to be given up on the way, in whatever process."""
    marks = [path for name, path in place.marked().items() if name.startswith("maps-")]
    marks.sort(key=lambda path: path.stat().st_mtime_ns)
    told = [*place.plan.notes, *(note for path in marks for note in json.loads(path.read_bytes()))]
    # Of notes that differ in a number only, such as the size of tiles, the last.
    return tuple({re.sub(r"\d+", "", note): note for note in told}.values())
