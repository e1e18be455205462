"""Progress of a job, and the one place where a job can be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Say how far a job is.

    Parameters
    ----------
    done, total : float
        Work finished and work in all, in the same unit (tiles, steps, seconds).
    message : str
        What the job does at the moment, in the user's words.
    payload : object
        An intermediate result for whoever listens (a history row, finished tile); frozen, never a live array.
    """

    done: float
    total: float
    message: str = ""
    payload: object | None = None

    @property
    def fraction(self) -> float:
        """Give the share of the work that is finished, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


Report = Callable[[Progress], None]
"""Called by a job between two units of work; raises `Cancelled` when the job has to stop."""


def silent(progress: Progress) -> None:
    """Ignore the progress: the default where nobody listens."""


def within(report: Report, start: float, stop: float) -> Report:
    """Map the progress of a part of a job to the share `start`..`stop` of the whole."""

    def scaled(progress: Progress) -> None:
        done = start + (stop - start) * progress.fraction
        report(Progress(done, 1.0, progress.message, progress.payload))

    return scaled
