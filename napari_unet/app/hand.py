"""The user's hand: while it paints or moves the view, a job in the background rests between two units of work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from napari_unet.app.job import Job, JobFunction, Stop
    from napari_unet.core.base.progress import Progress, Report

R = TypeVar("R")
T = TypeVar("T")

STILL_AFTER = 0.2
"""Seconds since its last move after which a hand is still: in between it sets the next stroke."""

REST = 6.0
"""Of the time that the unit of work before took: beside a hand that never stops a job works a seventh of the time."""

LONGEST_REST, LOOK = 5.0, 0.02
"""Seconds: of one rest, so that long steps get on too; and between two looks at the hand."""


class Hand:
    """Know when the user's hand last moved; one for each window.

    A processor that draws the window as well, and an interpreter that runs one thread at a time, have no priority low
    enough: only a job that does nothing disturbs nobody.
    """

    def __init__(self) -> None:
        self._moved = -STILL_AFTER

    def move(self) -> None:
        """Say that it moves; called by the window, up to a hundred times a second."""
        self._moved = time.monotonic()

    @property
    def is_still(self) -> bool:
        """Tell whether it rests."""
        return time.monotonic() - self._moved >= STILL_AFTER

    def let_rest(self, fn: JobFunction[R, T], job: Job[Any]) -> JobFunction[R, T]:
        """Give a job's function with rests where it reports, for as long as the hand moves.

        Parameters
        ----------
        fn : callable
            ``fn(request, report, stop) -> result``.
        job : Job
            Cancel and stop end a rest.

        Returns
        -------
        callable
            The same with rests.
        """

        def resting(request: R, report: Report, stop: Stop) -> T:
            began = time.monotonic()

            def report_and_rest(progress: Progress) -> None:
                nonlocal began
                report(progress)
                self._rest(time.monotonic() - began, lambda: job.is_cancel_requested or job.is_stop_requested)
                began = time.monotonic()

            return fn(request, report_and_rest, stop)

        return resting

    def _rest(self, worked: float, is_called: Callable[[], bool]) -> None:
        until = time.monotonic() + min(REST * worked, LONGEST_REST)
        while not (self.is_still or is_called()) and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))
