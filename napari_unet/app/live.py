"""The job that learns while the user corrects, and shows in the picture what it has learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from napari_unet.app import library, lineage, training_set
from napari_unet.app.live_updates import LabelUpdate, compare
from napari_unet.app.model_cache import load_cached
from napari_unet.app.requests import FineTuneRequest, KeptOutput, Training
from napari_unet.app.teaching import to_samples
from napari_unet.app.unfinished import CHECKPOINT, Unfinished, begun
from napari_unet.core.base.errors import Cancelled, Interrupted, UserError
from napari_unet.core.base.files import remove_folder
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import Progress, Report
from napari_unet.core.store.spec import check_can_segment

if TYPE_CHECKING:
    from napari_unet.app.job import Stop
    from napari_unet.app.live_inbox import Inbox, Look
    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.pipeline.live import LiveResult, Published
    from napari_unet.core.store.models import Model
    from napari_unet.core.store.training_set import Sample

LATE = "each judged before it was learnt from"

MOST_SHOWN = {2: 2048, 3: 256}
"""Voxels along Y and X, by the dimensions of the model, that are segmented anew; of a larger view its middle."""


@dataclass(frozen=True, eq=False)
class LiveRequest:
    """Ask to learn while the user corrects.

    Parameters
    ----------
    model : Path
        Where it starts.
    inbox : Inbox
        What the window hands in meanwhile.
    options : TrainOptions
        What the user fixed.
    folder : Path or None
        The training set of a live training that was interrupted; it goes on with what that had learned.
    """

    model: Path
    inbox: Inbox
    options: TrainOptions = field(default_factory=TrainOptions)
    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class Shown:
    """Say what is shown by now.

    Parameters
    ----------
    number, n_cells : int
        The model, from 1, and the objects that it has learned from.
    key : str
        Of the labels layer.
    update : LabelUpdate or None
        What changes in the picture.
    problem : str
        Why nothing does.
    """

    is_urgent: ClassVar[bool] = True
    number: int
    n_cells: int
    key: str = ""
    update: LabelUpdate | None = field(default=None, repr=False)
    problem: str = ""


def learn_live(request: LiveRequest, report: Report, stop: Stop) -> Training:
    """Teach a model until the user stops it, and save it if it is no worse; a job function.

    Raises
    ------
    UserError
        When the model cannot be read, or the first corrections do not fit it.
    """
    from napari_unet.app import commands  # loads much, and the dock opens without it
    from napari_unet.app.lesson import prepare_lesson
    from napari_unet.core.pipeline.live import live

    report(Progress(0, 0, "loading the model"))
    model = load_cached(request.model)
    check_can_segment(model.spec)
    learning = request.folder or lineage.set_folder(library.free_name(f"{request.model.name}-live"))
    source, screen = _Source(request.inbox), _Screen(request.inbox, report, stop)

    def asked() -> FineTuneRequest:
        return FineTuneRequest(request.model, source.snapshots, options=request.options)

    def watch(seconds: float) -> Sequence[Sample] | None:
        screen.catch_up()
        news = source.take(seconds)
        # Once the user has seen something; from then on a crash leaves what can be gone on with.
        if screen.has_shown and not (learning / training_set.RECORDS).is_file():
            lesson = prepare_lesson(asked(), semantic=model.spec.target == "semantic", report=report)
            training_set.keep(learning, request.model.name, lesson.gathered.kept)
        return news

    noted = Unfinished(learning, "live", str(request.model), options=request.options)
    try:
        with begun(noted):
            found = live(model, watch, request.options, report, stop, screen.show, learning / CHECKPOINT)
        # Where too few corrections came late, or they speak against it, all that is known decides, as after Fine-tune.
        training = _kept(found, asked(), report) if found.is_better else commands.fine_tune(asked(), report, _go_on)
    except Interrupted:
        raise  # what is there is gone on with
    except (Cancelled, UserError):
        remove_folder(learning)
        raise
    remove_folder(learning)
    return replace(training, stopped=True)


def _kept(found: LiveResult, asked: FineTuneRequest, report: Report) -> Training:
    """Save a model that is better, with what it has learnt from."""
    from napari_unet.app import commands
    from napari_unet.app.lesson import prepare_lesson

    lesson = prepare_lesson(asked, semantic=found.candidate.spec.target == "semantic", report=report)
    verdict = found.comparison
    spec = lineage.described(found.candidate.spec, lesson.chain, (verdict.low, verdict.high))
    folder = commands.save_new(replace(found.candidate, spec=spec), library.next_name(asked.model.name), None)
    training_set.keep(lineage.set_folder(folder.name), asked.model.name, lesson.gathered.kept)
    commands.settle(lineage.set_folder(folder.name), folder.name, asked.model.name)
    return Training(
        name=folder.name,
        folder=folder,
        parent=lesson.chain[-1].name,
        accepted=True,
        before=verdict.before,
        after=verdict.after,
        n_held_out=found.n_late,
        held_out=LATE,
        history=found.history,
        interval=(verdict.low, verdict.high),
        n_units=verdict.n_units,
        unit=verdict.unit,
        parts=lesson.held_out(verdict.parts),
        notes=lesson.gathered.notes,
    )


def _go_on() -> bool:
    return False


class _Source:
    """Make samples of what the window hands in; samples that teach the same stay the same objects."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._known: dict[str, tuple[Snapshot, tuple[Sample, ...]]] = {}
        self._names: dict[str, str] = {}

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """Give the newest labels."""
        return tuple(snapshot for snapshot, _ in self._known.values())

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Give all that teaches."""
        return tuple(sample for _, samples in self._known.values() for sample in samples)

    def take(self, seconds: float) -> tuple[Sample, ...] | None:
        """Give all samples if any of them is new."""
        news = self._inbox.take(seconds)
        if news is None:
            return None
        self._inbox.make_room()
        before, self._known = self._known, {key: self._look(key, snapshot) for key, snapshot in news.items()}
        old = [sample for _, samples in before.values() for sample in samples]
        new = self.samples
        is_same = len(old) == len(new) and all(a is b for a, b in zip(old, new, strict=True))
        return None if is_same else new

    def _look(self, key: str, snapshot: Snapshot) -> tuple[Snapshot, tuple[Sample, ...]]:
        known, samples = self._known.get(key, (None, ()))
        if known is snapshot:
            return snapshot, samples
        by_name = {sample.name: sample for sample in samples}
        made = to_samples(replace(snapshot, name=self._name(key, snapshot.name)))
        return snapshot, tuple(_same_or(by_name.get(sample.name), sample) for sample in made)

    def _name(self, key: str, name: str) -> str:
        """Keep two images of one name apart, and call each as it was called first."""
        if key not in self._names:
            taken, n = set(self._names.values()), 2
            free = name
            while free in taken:
                free, n = f"{name}-{n}", n + 1
            self._names[key] = free
        return self._names[key]


def _same_or(old: Sample | None, new: Sample) -> Sample:
    """Give the old sample where the new one teaches nothing else."""
    if old is None or old.annotated is None or new.annotated is None or old.image.data is not new.image.data:
        return new
    is_same = np.array_equal(old.annotated, new.annotated) and np.array_equal(old.labels, new.labels)
    return old if is_same else new


class _StoppedError(Exception):
    """The user has stopped the learning: nothing more is shown."""


class _Screen:
    """Segment what the user looks at with the model that is learning."""

    def __init__(self, inbox: Inbox, report: Report, stop: Stop) -> None:
        self._inbox, self._report, self._stop = inbox, report, stop
        self._published: Published | None = None
        self._seen: Look | None = None

    @property
    def has_shown(self) -> bool:
        """Tell whether there was a model to look at."""
        return self._published is not None

    def show(self, published: Published) -> None:
        """Show a model."""
        self._published, self._seen = published, self._cut(self._inbox.look, published.model)
        update, problem = None, ""
        try:
            update = self._segment(published.model, self._seen)
        except _StoppedError:
            return
        except UserError as error:  # the learning is worth more than the picture
            problem = f"{error.message} {error.hint}"
        key = "" if self._seen is None else self._seen.key
        shown = Shown(published.number, published.n_cells, key, update, problem)
        self._report(Progress(0, 0, "learning from your corrections", shown))

    def catch_up(self) -> None:
        """Show the newest model where the user looks elsewhere by now; not where that lies inside."""
        look = self._inbox.look
        if self._published is None or look is None or look == self._seen:
            return
        if self._seen is None or not _is_inside(look, self._seen):
            self.show(self._published)

    @staticmethod
    def _cut(look: Look | None, model: Model) -> Look | None:
        return None if look is None else replace(look, box=middle(look.box, MOST_SHOWN[model.spec.dims]))

    def _segment(self, model: Model, look: Look | None) -> LabelUpdate | None:
        from napari_unet.core.pipeline.segment import segment

        snapshot = None if look is None else self._inbox.latest(look.key)
        if look is None or snapshot is None:
            return None
        box = look.box
        found = segment(model, snapshot.image, look.options, self._checked, box)
        newest = self._inbox.latest(look.key)  # the user went on meanwhile
        kept = KeptOutput(found.prediction, box, "T" in snapshot.image.axes, found.confidence)
        return None if newest is None else compare(newest, found.labels, box, kept)

    def _checked(self, progress: Progress) -> None:
        self._report(Progress(0, 0, "segmenting what you look at"))
        if self._stop():
            raise _StoppedError


def _is_inside(look: Look, seen: Look) -> bool:
    """Tell whether something looked at was seen as a part of something else."""
    is_part = all(s.start <= one.start and one.stop <= s.stop for one, s in zip(look.box, seen.box, strict=False))
    return is_part and (look.key, look.options, len(look.box)) == (seen.key, seen.options, len(seen.box))


def middle(box: Box, edge: int) -> Box:
    """Cut a box to the middle of Y and X, at most `edge` voxels long."""
    cut = []
    for part in box[-2:]:
        over = max(0, part.stop - part.start - edge)
        first = part.start + over // 2
        cut.append(slice(first, part.stop - (over - over // 2)))
    return (*box[:-2], *cut)
