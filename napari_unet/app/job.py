"""One job: its states, and what the window and the job's thread say to each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from psygnal import Signal

from napari_unet.core.base.progress import Progress, Report

R = TypeVar("R")
T = TypeVar("T")
Stop = Callable[[], bool]
JobFunction = Callable[[R, Report, Stop], T]


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
    goes_on : bool
        After Cancel what is done is kept, and the same job goes on from there.
    """

    progressed = Signal(Progress)
    produced = Signal(object)
    ended = Signal(JobState)

    def __init__(
        self,
        title: str,
        topic: str = "",
        *,
        exclusive: bool = True,
        background: bool = False,
        goes_on: bool = False,
    ) -> None:
        self.title = title
        self.topic = topic
        self.is_exclusive = exclusive
        self.is_background = background
        self.goes_on = goes_on
        self.state = JobState.RUNNING
        self.progress = Progress(0, 1)
        self.result: T | None = None
        self.failure: Failure | None = None
        self._cancel, self._stop = threading.Event(), threading.Event()
        self._is_stale = self._is_left = False
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
    def is_left(self) -> bool:
        """Tell the job, in its thread, whether to keep what another day needs to go on."""
        return self._is_left

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

    def leave(self) -> None:
        """Give the job up because the window closes; it may be gone on with."""
        self._is_left = True
        self.supersede()

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
