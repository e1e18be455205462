"""What happens to a job when its window goes: napari asks first, the job is cancelled, its last checkpoint is kept."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from napari.utils.task_status import Status
from qtpy.QtCore import QCoreApplication

if TYPE_CHECKING:
    import uuid

    from napari.viewer import Viewer

    from napari_unet.app.autosave import Autosaver
    from napari_unet.app.autosave_work import Status as AutosaveStatus
    from napari_unet.app.jobs import Job, JobState
    from napari_unet.app.session import Session
    from napari_unet.ui.thread_runner import ThreadRunner

WAIT_S = 5.0
"""A job answers at its next tile or step; longer than this nobody waits for a window to close."""

_ENDS = {"done": Status.COMPLETED, "failed": Status.FAILED}


class CloseQuestion:
    """Put the running job on napari's list of tasks, so that closing the window asks first.

    Parameters
    ----------
    viewer : napari Viewer
        Its window keeps the list; without a window nothing is asked.
    session : Session
        Its jobs are listed.
    """

    def __init__(self, viewer: Viewer, session: Session) -> None:
        self._viewer, self._session = viewer, session
        self._ids: dict[Job[object], uuid.UUID] = {}
        session.jobs.changed.connect(self._on_jobs)

    def _on_jobs(self) -> None:
        job = self._session.jobs.running
        window = getattr(self._viewer, "window", None)
        # napari gives plugins no public way onto this list (0.9); a test notices when the private one goes.
        register = getattr(window, "_register_task_status", None)
        if job is None or job in self._ids or register is None:
            return
        self._ids[job] = register("napari-unet", Status.BUSY, job.title, cancel_callback=_cancels(job))
        job.ended.connect(self._on_ended)

    def _on_ended(self, state: JobState) -> None:
        update = getattr(getattr(self._viewer, "window", None), "_update_task_status", None)
        for job in [job for job in self._ids if not job.is_running]:
            number = self._ids.pop(job)
            if update is not None:
                update(number, _ENDS.get(job.state.value, Status.CANCELLED))


class UnsavedQuestion:
    """Put labels that cannot be saved on napari's list of tasks, so that closing the window asks first.

    Parameters
    ----------
    viewer : napari Viewer
        Its window keeps the list; without a window nothing is asked.
    saver : Autosaver
        Its status is followed.
    """

    def __init__(self, viewer: Viewer, saver: Autosaver) -> None:
        self._viewer = viewer
        self._id: uuid.UUID | None = None
        saver.status_changed.connect(self._on_status)

    def _on_status(self, status: AutosaveStatus) -> None:
        window = getattr(self._viewer, "window", None)
        register = getattr(window, "_register_task_status", None)
        update = getattr(window, "_update_task_status", None)
        is_unsaved = status.kind in ("failed", "held")
        if is_unsaved and self._id is None and register is not None:
            self._id = register("napari-unet", Status.BUSY, "Labels are not saved", cancel_callback=lambda: True)
        elif not is_unsaved and status.kind != "waiting" and self._id is not None and update is not None:
            update(self._id, Status.COMPLETED)
            self._id = None


def _cancels(job: Job[object]) -> Callable[[], bool]:
    """Give what napari calls to cancel a job; napari keeps it for good, so it must not keep the job and its result."""
    known = weakref.ref(job)

    def cancel() -> bool:
        there = known()
        if there is not None:
            there.cancel()
        return True

    return cancel


class Closable(Protocol):
    """Something that listens to the viewer."""

    def close_links(self) -> None:
        """Listen no longer."""
        ...


class ShutDown:
    """End everything that would outlive the dock; once, whoever calls first: the dock's end or the program's.

    Parameters
    ----------
    session : Session
        Its jobs are cancelled and dropped.
    runner : ThreadRunner
        Waited for, with a limit; a training writes its last checkpoint meanwhile.
    wait_for_torch : callable
        Waits for the thread that loads torch, at most so many seconds.
    listeners : tuple of Closable
        What listens to the viewer.
    """

    def __init__(
        self,
        session: Session,
        runner: ThreadRunner,
        wait_for_torch: Callable[[float], None],
        listeners: tuple[Closable, ...],
    ) -> None:
        self._session, self._runner, self._wait, self._listeners = session, runner, wait_for_torch, listeners
        self._is_done = False
        self._app = QCoreApplication.instance()
        if self._app is not None:
            self._app.aboutToQuit.connect(self)

    def __call__(self, *_: object) -> None:
        """Cancel, stop listening, wait."""
        if self._is_done:
            return
        self._is_done = True
        if self._app is not None:
            self._app.aboutToQuit.disconnect(self)
        for listener in self._listeners:
            listener.close_links()
        session = self._session
        for signal in (session.jobs.changed, session.history.changed, session.model_changed):
            signal.disconnect()
        session.result_changed.disconnect()
        session.trainer.ended.disconnect()
        for job in session.jobs.active:
            job.leave()
        self._runner.wait(WAIT_S)
        self._wait(WAIT_S)
        self._listeners = ()
