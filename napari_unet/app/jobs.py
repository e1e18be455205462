"""Jobs: plain functions that run beside the window and always end in a defined state.

A job function is ``fn(request, report, stop) -> result``: it gets a frozen request and copies, calls `report` between
two units of work (which raises `Cancelled` after Cancel), and asks `stop()` whether to finish early with what it has.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from psygnal import Signal

from napari_unet.app.errors import describe_error
from napari_unet.app.job import Failure, Job, JobFunction, JobState, Outcome, Stop, Update
from napari_unet.core.base.errors import Cancelled, Interrupted, UserError

if TYPE_CHECKING:
    from napari_unet.core.base.progress import Progress

__all__ = [
    "Failure",
    "InlineRunner",
    "Job",
    "JobFunction",
    "JobState",
    "Jobs",
    "Outcome",
    "Runner",
    "Stop",
    "Update",
    "run_job",
]

logger = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T")

RELAY_SECONDS, BACKGROUND_SECONDS = 0.1, 2.0
"""The window hears of a job at most 10 times a second; of one in the background, beside which the user paints, more
seldom: with each change that is shown Qt puts the whole window together anew, 8 ms without a GPU."""


class Runner(Protocol):
    """Run a job function somewhere.

    Whoever implements it calls `run_job` in the thread of its choice, and in the main thread `job.receive` with each
    update and `job.settle` with the outcome.
    """

    def run(self, fn: JobFunction[R, T], request: R, job: Job[T]) -> None:
        """Start the job; may return before it has ended."""
        ...


class InlineRunner:
    """Run jobs at once, in the caller's thread: for tests and the command line."""

    def run(self, fn: JobFunction[R, T], request: R, job: Job[T]) -> None:
        """Run the job to its end."""
        job.settle(run_job(fn, request, job, job.receive))


def run_job(fn: JobFunction[R, T], request: R, job: Job[T], relay: Callable[[Update], None]) -> Outcome[T]:
    """Run a job function to whatever end it comes to; the one place that catches every exception.

    Parameters
    ----------
    fn : callable
        ``fn(request, report, stop) -> result``.
    request : object
        Frozen; handed to the function.
    job : Job
        Read for its two flags only, so that any thread may run it.
    relay : callable
        Takes an `Update` to the main thread; called at most 10 times a second, by a job in the background every 2 s,
        and once more before the end if payloads wait; at once where a payload has the attribute `is_urgent`.

    Returns
    -------
    Outcome
        Done, cancelled, or failed with a message; never raises.
    """
    relayed = _Throttled(relay, BACKGROUND_SECONDS if job.is_background else RELAY_SECONDS)

    def report(progress: Progress) -> None:
        if job.is_cancel_requested:
            raise Interrupted if job.is_left else Cancelled
        relayed(progress)

    try:
        result = fn(request, report, lambda: job.is_stop_requested)
        if job.is_cancel_requested:
            return Outcome(JobState.CANCELLED)
        relayed.flush()
        return Outcome(JobState.DONE, result)
    except Cancelled:
        return Outcome(JobState.CANCELLED)
    except Exception as error:
        message, hint = describe_error(error)
        if not isinstance(error, UserError):
            logger.error("the job '%s' failed", job.title, exc_info=error)
        # Only the text of the traceback leaves: the traceback itself would keep the tensors of its frames alive.
        return Outcome(JobState.FAILED, failure=Failure(message, hint, traceback.format_exc()))


class _Throttled:
    """Pass progress on at most every so many seconds; payloads wait, they are never lost."""

    def __init__(self, relay: Callable[[Update], None], seconds: float) -> None:
        self._relay, self._seconds = relay, seconds
        self._next = 0.0
        self._progress: Progress | None = None
        self._payloads: list[object] = []

    def __call__(self, progress: Progress) -> None:
        self._progress = progress
        if progress.payload is not None:
            self._payloads.append(progress.payload)
        # A payload that grows stale while it waits says so.
        if time.monotonic() >= self._next or getattr(progress.payload, "is_urgent", False):
            self.flush()

    def flush(self) -> None:
        if self._progress is None:
            return
        update = Update(self._progress, tuple(self._payloads))
        self._progress = None
        self._payloads.clear()
        self._next = time.monotonic() + self._seconds
        self._relay(update)


class Jobs:
    """Start jobs, one at a time on the device, and drop what has become stale.

    Parameters
    ----------
    runner : Runner
        Where they run.
    """

    changed = Signal()

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._active: list[Job[Any]] = []

    @property
    def active(self) -> tuple[Job[Any], ...]:
        """Give all jobs that have not ended."""
        return tuple(self._active)

    @property
    def running(self) -> Job[Any] | None:
        """Give the job that has the device; None where it is free."""
        return next((job for job in self._active if job.is_exclusive), None)

    @property
    def is_busy(self) -> bool:
        """Tell whether a job has the device."""
        return self.running is not None

    def start(
        self,
        fn: JobFunction[R, T],
        request: R,
        job: Job[T],
        *,
        on_done: Callable[[T], None] | None = None,
        on_failed: Callable[[Failure], None] | None = None,
    ) -> Job[T]:
        """Start a job.

        Parameters
        ----------
        fn, request
            The job function and its frozen request.
        job : Job
            New; connect to its signals before. Running jobs of its topic are superseded.
        on_done, on_failed : callable, optional
            Called in the main thread with the result or the failure, after the state has changed; not for a job that
            was cancelled or superseded.

        Returns
        -------
        Job
            The same.

        Raises
        ------
        UserError
            When the job needs the device and another one has it.
        """
        busy = self.running
        if job.is_exclusive and busy is not None:
            raise UserError(f"'{busy.title}' is still running.", "Wait for its end, or cancel it.")
        self.supersede(job.topic)

        def finish(state: JobState) -> None:
            self._remove(job)
            if state is JobState.DONE and on_done is not None:
                on_done(cast("T", job.result))
            if job.failure is not None and on_failed is not None:
                on_failed(job.failure)

        job.ended.connect(finish)
        self._active.append(job)
        self.changed.emit()
        try:
            self._runner.run(fn, request, job)
        except BaseException:
            self._remove(job)
            raise
        return job

    def _remove(self, job: Job[T]) -> None:
        if job in self._active:
            self._active.remove(job)
            self.changed.emit()

    def supersede(self, topic: str) -> None:
        """Drop what the running jobs of a topic will bring, such as those of a removed layer."""
        for job in self._active:
            if topic and job.topic == topic:
                job.supersede()

    def cancel_all(self) -> None:
        """Give all jobs up, as when the window closes."""
        for job in self._active:
            job.cancel()
