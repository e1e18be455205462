"""What a running segmentation shows of itself: tiles, sent to the main thread with the reports of the job."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.core.base.glimpse import Glimpse
    from napari_unet.core.base.progress import Progress, Report


class Glimpses:
    """Collect tiles, from whatever thread they come, and send them with the next report.

    Parameters
    ----------
    report : Report
        The job's own, which only the job's thread may call.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._new: deque[Glimpse] = deque()

    def add(self, glimpse: Glimpse) -> None:
        """Take a tile."""
        self._new.append(glimpse)

    def report(self, progress: Progress) -> None:
        """Report as the job does; a tuple of tiles goes with it where it carries nothing else."""
        if self._new and progress.payload is None:
            progress = replace(progress, payload=tuple(self._new.popleft() for _ in range(len(self._new))))
        self._report(progress)
