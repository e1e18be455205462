"""One thread for each job; what it reports comes back to the main thread through one queued signal."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import nullcontext
from itertools import count
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt

from napari_unet.app.jobs import run_job
from napari_unet.app.priority import limit_torch_threads, lower_priority, without_full_collections
from napari_unet.ui.qt import Signal

if TYPE_CHECKING:
    from napari_unet.app.hand import Hand
    from napari_unet.app.jobs import Job, JobFunction, Outcome, Update

PREFIX = "napari-unet-job"


class ThreadRunner(QObject):
    """Run jobs in threads of their own.

    A pooled thread would keep the lowered priority for the jobs after it, so each job gets a new one.

    Parameters
    ----------
    hand : Hand
        While it moves, jobs in the background rest.
    """

    _arrived = Signal()

    def __init__(self, hand: Hand) -> None:
        super().__init__()
        self._hand = hand
        self._numbers = count(1)
        self._mail: queue.SimpleQueue[tuple[Job[Any], Update | None, Outcome[Any] | None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._arrived.connect(self._on_arrived, Qt.ConnectionType.QueuedConnection)

    def run(self, fn: JobFunction[Any, Any], request: Any, job: Job[Any]) -> None:
        """Start a job."""
        name = f"{PREFIX}-{next(self._numbers)}"
        thread = threading.Thread(target=self._work, args=(fn, request, job), name=name, daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _work(self, fn: JobFunction[Any, Any], request: Any, job: Job[Any]) -> None:
        if job.is_exclusive:
            # Not the short jobs of pure Python: one that holds the interpreter's lock and gets no processor, because
            # other programs go first, would hold the window up.
            lower_priority()
        if job.is_background:
            limit_torch_threads()
            fn = self._hand.let_rest(fn, job)
        with without_full_collections() if job.is_background else nullcontext():
            outcome = run_job(fn, request, job, lambda update: self._post(job, update, None))
        self._post(job, None, outcome)

    def _post(self, job: Job[Any], update: Update | None, outcome: Outcome[Any] | None) -> None:
        self._mail.put((job, update, outcome))
        try:
            self._arrived.emit()
        except RuntimeError:  # Qt's side of the runner went with the dock: `wait` reads the mail itself
            return

    def _on_arrived(self) -> None:
        while not self._mail.empty():
            job, update, outcome = self._mail.get()
            if update is not None:
                job.receive(update)
            if outcome is not None:
                job.settle(outcome)

    def wait(self, seconds: float) -> bool:
        """Wait for all jobs and settle them; False when one is still running after so many seconds."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._on_arrived()
        return not any(thread.is_alive() for thread in self._threads)
