"""Training on what is open: what it would teach, the jobs that learn from it, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from psygnal import Signal

from napari_unet.app import library, lineage
from napari_unet.app.jobs import Job, JobFunction
from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari_unet.app.annotations import Labels
    from napari_unet.app.jobs import Jobs
    from napari_unet.app.live_inbox import Inbox
    from napari_unet.app.preflight import Review
    from napari_unet.app.requests import Training
    from napari_unet.app.result import Result
    from napari_unet.app.teaching import Snapshot
    from napari_unet.app.unfinished import Unfinished
    from napari_unet.core.base.options import TrainOptions

R = TypeVar("R")


class Work(Protocol):
    """What a training needs of a session: its jobs, its current model, and the results that are open in it."""

    jobs: Jobs

    @property
    def model(self) -> str | None:
        """Give the current model's name."""

    def model_folder(self) -> Path:
        """Give its folder."""

    def adopt_model(self, name: str) -> None:
        """Use a model that a training has brought."""

    def result(self, key: str) -> Result:
        """Give what is kept for a labels layer."""


class Trainer:
    """Start the trainings of a session, and make what they bring its current model.

    Parameters
    ----------
    session : Session
        Its current model is taught, from the results that are open in it.
    """

    ended = Signal(object)
    """With the `Training`."""

    def __init__(self, session: Work) -> None:
        self.last: Training | None = None
        self._session = session

    def review(self, labels: Mapping[str, Labels], on_done: Callable[[Review], None]) -> Job[Review]:
        """Count what all open results would teach and find what would spoil a training, beside the window.

        The job copies the labels; a newer review supersedes an older one.
        """
        from napari_unet.app.preflight import review  # loads much, and the dock opens without it

        job: Job[Review] = Job("Look at the corrections", "review", exclusive=False)
        return self._session.jobs.start(review, self.snapshots(labels, copy=False), job, on_done=on_done)

    def snapshots(self, labels: Mapping[str, Labels], *, copy: bool = True) -> tuple[Snapshot, ...]:
        """Copy what all open results teach, so that the user can go on painting; see `take_snapshot`."""
        from napari_unet.app.teaching import take_snapshot

        kept = [(key, self._session.result(key), array) for key, array in labels.items()]
        return tuple(
            take_snapshot(one.image, array, one.corrections, origin=key, copy=copy) for key, one, array in kept
        )

    def fine_tune(
        self,
        labels: Mapping[str, Labels],
        options: TrainOptions,
        *,
        on_payload: Callable[[object], None] | None = None,
    ) -> Job[Training]:
        """Teach the current model's lineage from all labels so far; if that gets no worse, the new one becomes current.

        Raises
        ------
        UserError
            When there is nothing to learn from, no model, or another job has the device.
        """
        from napari_unet.app import commands
        from napari_unet.app.requests import FineTuneRequest

        folder = self._session.model_folder()
        # What the versions before have learnt from teaches as well: after a sample was left out, that may be all.
        snapshots = self.snapshots(labels) if lineage.has_samples(folder) else self.teachers(labels)
        request = FineTuneRequest(folder, snapshots, options=options)
        return self._start(commands.fine_tune, request, f"Fine-tune '{self._session.model}'", on_payload)

    def learn_live(
        self,
        inbox: Inbox,
        options: TrainOptions,
        folder: Path | None = None,
        *,
        on_payload: Callable[[object], None],
    ) -> Job[Training]:
        """Teach the current model while the user corrects; ended by ``request_stop``. See `app.live_session`.

        Raises
        ------
        UserError
            When there is no model, or another job has the device.
        """
        from napari_unet.app import live

        request = live.LiveRequest(self._session.model_folder(), inbox, options, folder)
        return self._start(live.learn_live, request, f"Teach '{self._session.model}' while you correct", on_payload)

    def train(
        self,
        labels: Mapping[str, Labels],
        options: TrainOptions,
        title: str,
        *,
        start: Path | None = None,
        on_payload: Callable[[object], None] | None = None,
    ) -> Job[Training]:
        """Train a new model on all open results, from random weights or those of `start`; it becomes current.

        Raises
        ------
        UserError
            When there is nothing to learn from, or another job has the device.
        """
        from napari_unet.app import commands
        from napari_unet.app.requests import TrainRequest

        request = TrainRequest(self.teachers(labels), options=options, title=title, start=start)
        return self._start(commands.train, request, f"Train '{title}'", on_payload)

    def resume(self, one: Unfinished, *, on_payload: Callable[[object], None] | None = None) -> Job[Training]:
        """Go on with a fine-tuning or a new model that was interrupted, on what was saved when it began.

        Raises
        ------
        UserError
            When the model that it starts from is gone, or another job has the device.
        """
        from napari_unet.app import commands
        from napari_unet.app.requests import FineTuneRequest, TrainRequest

        start = library.find_model(one.model) if one.model else None
        title = f"Go on with '{one.title or one.folder.name}'"
        if one.kind == "new" or start is None:
            asked = TrainRequest(options=one.options, title=one.title, start=start, resume=one.folder)
            return self._start(commands.train, asked, title, on_payload)
        request = FineTuneRequest(start, options=one.options, resume=one.folder)
        return self._start(commands.fine_tune, request, title, on_payload)

    def teachers(self, labels: Mapping[str, Labels]) -> tuple[Snapshot, ...]:
        """Copy what all open results teach.

        Raises
        ------
        UserError
            When they teach nothing.
        """
        from napari_unet.app.summary import teaches_nothing

        if all(teaches_nothing(self._session.result(key).corrections, array) for key, array in labels.items()):
            raise UserError(
                "There is nothing to learn from yet.", "Accept or correct some objects, or finish a region."
            )
        return self.snapshots(labels)

    def _start(
        self,
        fn: JobFunction[R, Training],
        request: R,
        title: str,
        on_payload: Callable[[object], None] | None,
    ) -> Job[Training]:
        job: Job[Training] = Job(title, background=True)
        if on_payload is not None:
            job.produced.connect(on_payload)
        return self._session.jobs.start(fn, request, job, on_done=self._on_trained)

    def _on_trained(self, training: Training) -> None:
        self.last = training
        if training.accepted and training.folder is not None:
            self._session.adopt_model(training.name)
        self.ended.emit(training)
