"""Use tools that change very many voxels: where the labels are large, they are worked out beside the window."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_unet.app.jobs import Job
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import silent
from napari_unet.core.edits import EDITS
from napari_unet.ui import counting, layers, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_unet.app.session import Session
    from napari_unet.app.whole_edit import WholeEdit, WholeRequest
    from napari_unet.ui.counting import Counting
    from napari_unet.ui.frame import Frame
    from napari_unet.ui.results import Link, Results

WAIT_MS = 50  # for the end of a stroke
NAMING = ("relabel", "renumber")


class WholeEdits:
    """Work out, then write; begin again where the labels were changed meanwhile.

    Parameters
    ----------
    results, session
        What the tabs share.
    counting : Counting
        Knows whether voxels were written.
    """

    def __init__(self, results: Results, session: Session, counting: Counting) -> None:
        self._results, self._session, self._counting = results, session, counting
        self._job: Job[WholeEdit] | None = None
        results.closing.connect(lambda link: session.jobs.supersede(_topic(link)))

    @property
    def is_busy(self) -> bool:
        """Tell whether something is being worked out."""
        return self._job is not None and self._job in self._session.jobs.active

    def give_up(self) -> bool:
        """Drop what is being worked out; tells whether there was something."""
        job, self._job = self._job, None
        if job is None or job not in self._session.jobs.active:
            return False
        self._session.jobs.supersede(job.topic)
        return True

    def use(
        self, link: Link, name: str, frame: Frame, ids: Sequence[int], parameters: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Use a tool: one undo step, at once or as soon as it is worked out.

        Parameters
        ----------
        link : Link
            The labels.
        name : str
            A key of `EDITS`.
        frame : Frame
            The part of the labels that the tool gets.
        ids : sequence of int
            The objects that are meant.
        parameters : callable
            Gives what the tool's function takes; asked once more when it has to begin again.

        Raises
        ------
        UserError
            What the tool says; while another is being worked out.
        """
        from napari_unet.app.whole_edit import WholeRequest, work_out

        if self.is_busy:
            raise UserError("The tool before is still at work.", "Wait a moment, or press Ctrl+Z to give it up.")
        whole, result = layers.labels_array(link.labels), self._session.result(link.key)
        tool = EDITS[name]
        request = WholeRequest(tool, frame.labels, ids, parameters(), whole, result, frame.key, name in NAMING)
        if whole.size <= counting.AT_ONCE:
            self._write(link, request, work_out(request, silent, bool))
            return
        job: Job[WholeEdit] = Job(tool.title, _topic(link), exclusive=False)
        again = partial(self.use, link, name, frame, ids, parameters)
        done = partial(self._on_done, link, request, (self._counting.revision(link.key), link.labels.data), again)
        self._job = job
        self._session.jobs.start(work_out, request, job, on_done=done)  # the job panel tells what the tool refuses

    def _on_done(
        self, link: Link, request: WholeRequest, at: tuple[int, Any], again: Callable[[], None], found: WholeEdit
    ) -> None:
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:  # a stroke is no change before it ends
            QTimer.singleShot(WAIT_MS, partial(self._on_done, link, request, at, again, found))
            return
        revision, data = at
        with messages.told():
            if self._results.link(link.key) is not link or link.labels.data is not data:
                raise UserError(f"The labels were replaced while '{request.tool.title}' worked.", "Use it once more.")
            known = self._session.result(link.key)
            if known is request.result and self._counting.revision(link.key) == revision:
                self._write(link, request, found)
            else:
                again()

    def _write(self, link: Link, request: WholeRequest, found: WholeEdit) -> None:
        with self._results.step(request.tool.title, link.key):
            if found.result is not request.result:
                self._session.rename(link.key, found.result)
            self._results.write_whole(link, found, request.tool.title)


def _topic(link: Link) -> str:
    return f"edit {link.key}"
