"""Jobs: plain functions that run beside the window and always end in a defined state.

A job function is ``fn(request, report, stop) -> result``: it gets a frozen request and copies, calls `report` between
two units of work (which raises `Cancelled` after Cancel), and asks `stop()` whether to finish early with what it has.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, cast

from psygnal import Signal

from napari_unet.app.errors import describe_error
from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.progress import Progress, Report

logger = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T")
Stop = Callable[[], bool]
JobFunction = Callable[[R, Report, Stop], T]

RELAY_SECONDS = 0.1
"""The window hears of a job at most 10 times a second."""


class JobState(Enum):
    """Where a job is; all but the first are ends."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Failure:
    """Say why a job failed: for the user a message and a hint, for a report the details."""

    message: str
    hint: str
    details: str = ""


@dataclass(frozen=True)
class Update:
    """Carry the newest progress, and all payloads since the last update, to the main thread."""

    progress: Progress
    payloads: tuple[object, ...] = ()


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """Carry the end of a job to the main thread."""

    state: JobState
    result: T | None = None
    failure: Failure | None = None


class Job(Generic[T]):
    """Follow one job and steer it.

    All but `is_cancel_requested` and `is_stop_requested` belongs to the main thread; every signal is emitted there.

    Parameters
    ----------
    title : str
        What it does, in the user's words.
    topic : str
        Jobs of one topic supersede each other; empty for none.
    exclusive : bool
        It needs the network's device, which one job at a time may use.
    background : bool
        It takes minutes and gives way to the window (`app.priority`).
    """

    progressed = Signal(Progress)
    produced = Signal(object)
    ended = Signal(JobState)

    def __init__(self, title: str, topic: str = "", *, exclusive: bool = True, background: bool = False) -> None:
        self.title = title
        self.topic = topic
        self.is_exclusive = exclusive
        self.is_background = background
        self.state = JobState.RUNNING
        self.progress = Progress(0, 1)
        self.result: T | None = None
        self.failure: Failure | None = None
        self._cancel, self._stop = threading.Event(), threading.Event()
        self._is_stale = False
        self._started = time.monotonic()
        self._ended: float | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether the job has not ended."""
        return self.state is JobState.RUNNING

    @property
    def is_cancel_requested(self) -> bool:
        """Tell the job, in its thread, whether to give up."""
        return self._cancel.is_set()

    @property
    def is_stop_requested(self) -> bool:
        """Tell the job, in its thread, whether to finish early and keep the best."""
        return self._stop.is_set()

    @property
    def seconds_running(self) -> float:
        """Give the time since the start, until the end."""
        return (time.monotonic() if self._ended is None else self._ended) - self._started

    @property
    def seconds_left(self) -> float | None:
        """Estimate the time left from the share done so far; None while too little is done to tell."""
        share = self.progress.fraction
        if not self.is_running or share < 0.01:
            return None
        return self.seconds_running * (1 - share) / share

    def cancel(self) -> None:
        """Give the job up at its next report; nothing of it is kept ("Cancel", "Discard")."""
        self._cancel.set()

    def request_stop(self) -> None:
        """Let the job finish early and keep the best so far ("Stop and keep")."""
        self._stop.set()

    def supersede(self) -> None:
        """Drop the job's result whatever it will be, and give it up."""
        self._is_stale = True
        self.cancel()

    def receive(self, update: Update) -> None:
        """Take news from the job; called by the runner in the main thread."""
        if not self.is_running or self._is_stale:
            return
        self.progress = update.progress
        self.progressed.emit(update.progress)
        for payload in update.payloads:
            self.produced.emit(payload)

    def settle(self, outcome: Outcome[T]) -> None:
        """Take the job's end; called by the runner in the main thread, once."""
        if not self.is_running:
            return
        self._ended = time.monotonic()
        self.state = JobState.SUPERSEDED if self._is_stale else outcome.state
        if self.state is JobState.DONE:
            self.result = outcome.result
            self.progress = Progress(1, 1, self.progress.message)
        self.failure = outcome.failure if self.state is JobState.FAILED else None
        self.ended.emit(self.state)


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
        Takes an `Update` to the main thread; called at most 10 times a second, and once more before the end if
        payloads wait.

    Returns
    -------
    Outcome
        Done, cancelled, or failed with a message; never raises.
    """
    relayed = _Throttled(relay)

    def report(progress: Progress) -> None:
        if job.is_cancel_requested:
            raise Cancelled
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
    """Pass progress on at most every `RELAY_SECONDS`; payloads wait, they are never lost."""

    def __init__(self, relay: Callable[[Update], None]) -> None:
        self._relay = relay
        self._next = 0.0
        self._progress: Progress | None = None
        self._payloads: list[object] = []

    def __call__(self, progress: Progress) -> None:
        self._progress = progress
        if progress.payload is not None:
            self._payloads.append(progress.payload)
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        if self._progress is None:
            return
        update = Update(self._progress, tuple(self._payloads))
        self._progress = None
        self._payloads.clear()
        self._next = time.monotonic() + RELAY_SECONDS
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
