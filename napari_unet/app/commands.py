"""The job functions that do what a user asks for: the same for dock and command line."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.app import library, lineage, training_set, unfinished
from napari_unet.app.asking import Asker
from napari_unet.app.gathering import Taught, gather
from napari_unet.app.glimpses import Glimpses
from napari_unet.app.lesson import prepare_lesson, resumed_lesson, saved
from napari_unet.app.model_cache import load_cached
from napari_unet.app.requests import (
    FineTuneRequest,
    KeptOutput,
    PretrainRequest,
    RedecodeRequest,
    SegmentRequest,
    SegmentResult,
    Training,
    TrainRequest,
)
from napari_unet.app.teaching import to_samples, with_unique_names
from napari_unet.core.base.errors import Cancelled, Interrupted, UserError
from napari_unet.core.base.files import check_writable, remove_folder
from napari_unet.core.base.progress import Progress, Report, within
from napari_unet.core.store.spec import check_can_segment

if TYPE_CHECKING:
    from napari_unet.app.job import Stop
    from napari_unet.core.base.options import SegmentOptions, TrainOptions
    from napari_unet.core.pipeline.train import TrainResult
    from napari_unet.core.store.models import Model
    from napari_unet.core.store.training_set import Sample

__all__ = [
    "FineTuneRequest",
    "KeptOutput",
    "PretrainRequest",
    "RedecodeRequest",
    "SegmentRequest",
    "SegmentResult",
    "TrainRequest",
    "Training",
    "fine_tune",
    "load_cached",
    "pretrain",
    "redecode",
    "segment",
    "train",
]


def segment(request: SegmentRequest, report: Report, stop: Stop) -> SegmentResult:
    """Segment an image; `stop` is not asked, half an image is of no use.

    Raises
    ------
    UserError
        When the model cannot be read or the image cannot be segmented by it.
    """
    from napari_unet.core.pipeline import segment as pipeline

    report(Progress(0, 1, "loading the model"))
    model = load_cached(request.model)
    check_can_segment(model.spec)
    glimpses = Glimpses(report)
    asker = Asker(glimpses.report, asks=request.asks)
    found = pipeline.segment(
        model,
        request.image,
        request.options,
        within(asker.report, 0.02, 1.0),
        request.label_box,
        first=request.first,
        may_use_cpu=asker.may_use_cpu,
        on_tile=glimpses.add if request.asks else None,
    )
    kept = KeptOutput(
        found.prediction,
        request.label_box,
        "T" in request.image.axes,
        found.confidence,
        sum(maps.nbytes for maps in found.prediction.maps),
        _made_by(model, request.options),
    )
    return _result(model, found.labels, kept, found.object_size, found.notes)


def redecode(request: RedecodeRequest, report: Report, stop: Stop) -> SegmentResult:
    """Make labels of a kept output with other thresholds; the network does not run.

    Raises
    ------
    UserError
        When the model is not there any more.
    """
    from napari_unet.core.pipeline import segment as pipeline

    model, kept = load_cached(request.model), request.prediction
    labels = pipeline.redecode(model, kept.output, request.options, has_time=kept.has_time)
    confidence = pipeline.confidence(kept.output, labels, model)
    kept = replace(kept, confidence=confidence, made_by=_made_by(model, request.options))
    return _result(model, labels, kept)


def _result(
    model: Model,
    labels: NDArray[np.int32],
    kept: KeptOutput,
    object_size: float | None = None,
    notes: tuple[str, ...] = (),
) -> SegmentResult:
    classes = model.spec.classes if model.spec.target == "semantic" else ()
    return SegmentResult(labels, kept, kept.box, model.spec.name, classes, object_size, notes)


def _made_by(model: Model, options: SegmentOptions) -> dict[str, Any]:
    return {"model": model.spec.name, "weights_sha256": model.spec.weights_sha256, "options": asdict(options)}


def fine_tune(request: FineTuneRequest, report: Report, stop: Stop) -> Training:
    """Teach a model from corrections, and save the new one if it is no worse.

    It starts from the base of the model's lineage, on all labels so far. What it learns from is saved first, so that a
    crash loses no correction; nothing is left of a training that the user discards.

    Raises
    ------
    UserError
        When nothing teaches, or the model cannot be read.
    """
    from napari_unet.core.pipeline.fine_tune import fine_tune as run

    _check_free(request.out_folder)
    model = load_cached(request.model)
    check_can_segment(model.spec)
    semantic = model.spec.target == "semantic"
    learning = request.resume
    if learning is not None:
        lesson = resumed_lesson(request, learning, semantic=semantic)
    else:
        lesson = prepare_lesson(request, semantic=semantic, report=report)
        learning = lineage.set_folder(library.next_name(request.model.name)) if request.out_folder is None else None
    base = load_cached(lesson.chain[0].folder)
    name = (learning or request.out_folder or request.model).name
    try:
        if learning is not None and request.resume is None:
            report(Progress(0, 1, "saving what it learns from"))
            training_set.keep(learning, request.model.name, lesson.gathered.kept)
        with _noted(learning, "fine-tune", request.options, model=str(request.model)):
            found = run(
                base,
                lesson.gathered.samples,
                request.options,
                report,
                stop,
                None if learning is None else learning / unfinished.CHECKPOINT,
                rival=model,
                fresh=lesson.fresh,
            )
    except (Cancelled, UserError) as error:
        _discard(learning, error)
        raise
    ends = (found.comparison.low, found.comparison.high)
    folder = None
    if found.accepted or request.keep_worse:
        spec = lineage.described(found.candidate.spec, lesson.chain, ends)
        folder = save_new(replace(found.candidate, spec=spec), name, request.out_folder)
    if learning is not None:
        unfinished.finished(learning)
        if folder is not None:
            settle(learning, folder.name, request.model.name)
    return Training(
        name=name if folder is None else folder.name,
        folder=folder,
        parent=model.spec.name,
        accepted=found.accepted,
        before=found.before,
        after=found.after,
        n_held_out=found.n_held_out,
        held_out=found.held_out,
        history=found.history,
        stopped=found.stopped,
        interval=ends,
        n_units=found.comparison.n_units,
        unit=found.comparison.unit,
        parts=lesson.held_out(found.comparison.parts),
        notes=lesson.gathered.notes,
        reason=found.reason,
    )


def _discard(learning: Path | None, error: Exception) -> None:
    """Leave nothing of a training that was discarded; one whose window was closed, or that runs in another, stays."""
    if learning is not None and not isinstance(error, Interrupted) and not unfinished.runs_elsewhere(learning):
        remove_folder(learning)


def _noted(
    learning: Path | None, kind: unfinished.Kind, options: TrainOptions, *, model: str = "", title: str = ""
) -> AbstractContextManager[None]:
    """Write down what is trained, so that it can be gone on with."""
    if learning is None:
        return nullcontext()
    return unfinished.begun(unfinished.Unfinished(learning, kind, model, title, options))


def settle(learning: Path, name: str, parent: str) -> None:
    """Give the training set the name of its model, and clear old versions away."""
    if learning.name != name:
        learning.rename(lineage.set_folder(name))
    with suppress(OSError):  # a file may be in use elsewhere; the next training tries again
        lineage.tidy(name, (parent,))


def train(request: TrainRequest, report: Report, stop: Stop) -> Training:
    """Train a new model and save it: from random weights, or from those of another model.

    Raises
    ------
    UserError
        When nothing teaches, the samples do not fit each other, or the weights to start from do not fit them.
    """
    from napari_unet.core.pipeline.scratch import train_new

    _check_free(request.out_folder)
    start = None if request.start is None else load_cached(request.start)
    learning = request.resume
    if learning is not None:
        name, samples = learning.name, tuple(one.sample for one in saved(learning) if one.sample is not None)
    else:
        samples = _samples(request)
        name = library.free_name(request.title) if request.out_folder is None else request.out_folder.name
        learning = _keep_samples(name, samples, report) if request.out_folder is None else None
    checkpoint = request.checkpoint or (None if learning is None else learning / unfinished.CHECKPOINT)
    try:
        with _noted(learning, "new", request.options, model=str(request.start or ""), title=request.title):
            model, found = train_new(samples, request.options, name, report, stop, checkpoint, start=start)
    except (Cancelled, UserError) as error:
        _discard(learning, error)
        raise
    folder = save_new(_titled(model, request.title), name, request.out_folder)
    if learning is not None:
        unfinished.finished(learning)
    return _new(folder, found)


def pretrain(request: PretrainRequest, report: Report, stop: Stop) -> Training:
    """Let a network learn from images without labels, and save it to start trainings from.

    Raises
    ------
    UserError
        When there is no image, or the images do not fit each other.
    """
    from napari_unet.core.pipeline.pretrain import pretrain as run

    _check_free(request.out_folder)
    name = library.free_name(request.title or "pre-trained") if request.out_folder is None else request.out_folder.name
    model, found = run(request.images, request.options, name, report, stop, request.checkpoint)
    return _new(save_new(_titled(model, request.title), name, request.out_folder), found)


def _titled(model: Model, title: str) -> Model:
    return replace(model, spec=replace(model.spec, title=title)) if title else model


def _new(folder: Path, found: TrainResult) -> Training:
    """Say how a training ended that has no older model to be compared with."""
    score = math.nan if found.score is None else found.score
    return Training(folder.name, folder, "", True, math.nan, score, history=found.history, stopped=found.stopped)


def _samples(request: TrainRequest) -> tuple[Sample, ...]:
    made = [sample for snapshot in request.snapshots for sample in to_samples(snapshot)]
    samples = with_unique_names([*request.samples, *made])
    if not samples:
        raise UserError("There is nothing to learn from yet.", "Accept or correct some objects, or finish a region.")
    return samples


def _keep_samples(name: str, samples: tuple[Sample, ...], report: Report, parent: str = "") -> Path:
    """Save what a training learns from, and from which model it started."""
    report(Progress(0, 1, "saving what it learns from"))
    folder = lineage.set_folder(name)
    training_set.keep(folder, parent, gather([Taught(sample) for sample in samples], ()).kept)
    return folder


def _check_free(out_folder: Path | None) -> None:
    """Refuse a folder that exists, or cannot be made, before the training, not after it."""
    if out_folder is None:
        return
    if out_folder.exists():
        raise UserError(f"{out_folder} exists already.", "Choose another folder, or remove it.")
    check_writable(out_folder.parent)


def save_new(model: Model, name: str, out_folder: Path | None) -> Path:
    from napari_unet.core.store.models import save_model

    if out_folder is None and (library.models_folder() / name).exists():
        name = library.next_name(name)  # the user made a model of that name while this one was trained
    folder = library.new_model_folder(name) if out_folder is None else out_folder
    save_model(replace(model, spec=replace(model.spec, name=name)), folder)
    return folder
