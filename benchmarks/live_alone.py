"""The job of "Learn while I correct" in a process without a window: how fast it can learn."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_unet.app.live import LiveRequest, learn_live
from napari_unet.app.live_inbox import Inbox
from napari_unet.app.priority import limit_torch_threads, lower_priority
from napari_unet.core.base.errors import Cancelled
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.pipeline.train import Row

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.app.live_inbox import Look
    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.base.progress import Progress

FIRST = 3
"""Steps after which the clock starts."""


def steps_alone(model: Path, taught: Snapshot, look: Look | None, seconds: float, budget: str) -> float:
    """Learn from what was corrected for some seconds, with the threads and the priority that it has beside a window.

    Returns
    -------
    float
        Steps per second, with what is shown every few seconds.
    """
    inbox, times = Inbox(), list[float]()
    inbox.put({taught.origin: taught})
    inbox.look_at(look)

    def report(progress: Progress) -> None:
        now = time.monotonic()
        if isinstance(progress.payload, Row):
            times.append(now)
        if len(times) > FIRST and now - times[FIRST - 1] >= seconds:
            raise Cancelled

    lower_priority()
    limit_torch_threads()
    with suppress(Cancelled):
        learn_live(LiveRequest(model, inbox, TrainOptions(budget=budget)), report, lambda: False)
    return (len(times) - FIRST) / (time.monotonic() - times[FIRST - 1])
