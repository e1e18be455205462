"""A question that a job asks its user: from the job's thread, while the window goes on."""

from __future__ import annotations

import threading

from napari_unet.core.base.progress import Progress, Report

POLL_SECONDS = 0.2
"""Between two reports while an answer is waited for: so fast is Cancel answered."""


class Question:
    """Ask for a yes or a no; goes to the main thread as the payload of a progress.

    Parameters
    ----------
    text : str
        What is asked, in the user's words.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_yes = False
        self._answered = threading.Event()

    @property
    def is_open(self) -> bool:
        """Tell whether nobody has answered yet."""
        return not self._answered.is_set()

    def answer(self, yes: bool) -> None:
        """Answer; called in the main thread."""
        self.is_yes = yes
        self._answered.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer in the job's thread; False when there is none after so many seconds."""
        return self._answered.wait(seconds)


class Asker:
    """Let a job ask its user.

    Parameters
    ----------
    report : Report
        The job's own; raises `Cancelled` after Cancel, also while an answer is waited for.
    asks : bool
        Somebody listens. If nobody does, every answer is yes.
    """

    def __init__(self, report: Report, *, asks: bool) -> None:
        self._report, self._asks = report, asks
        self._last = Progress(0, 1)
        self._cpu: bool | None = None if asks else True

    def report(self, progress: Progress) -> None:
        """Report as the job does, and remember how far it is."""
        self._last = progress
        self._report(progress)

    def may_use_cpu(self, seconds: float) -> bool:
        """Ask whether the network may run on the CPU, which takes so many seconds; once for each job."""
        if self._cpu is None:
            self._cpu = self._ask(
                "The memory of the GPU is too small for this network. Go on on the CPU? "
                f"That takes about {in_words(seconds)}."
            )
        return self._cpu

    def _ask(self, text: str) -> bool:
        question = Question(text)
        payload: Question | None = question
        while question.is_open:
            # Again and again: what waits to be relayed goes with the next report, and Cancel is answered by one.
            self._report(Progress(self._last.done, self._last.total, "waiting for your answer", payload))
            payload = None
            question.wait(POLL_SECONDS)
        return question.is_yes


def in_words(seconds: float) -> str:
    """Say a time: ``40 s``, ``12 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
