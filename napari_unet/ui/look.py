"""Look at all corrections in a thread: it takes longer than a stroke of the brush may wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.app.preflight import Problem, find_problems
from napari_unet.app.summary import Summary, summary
from napari_unet.app.teaching import Snapshot, to_samples

if TYPE_CHECKING:
    from napari_unet.app.jobs import Stop
    from napari_unet.core.base.progress import Report


@dataclass(frozen=True)
class Look:
    """Say what a training would learn from, and what is off with it."""

    summary: Summary
    problems: tuple[Problem, ...]


def look(snapshots: tuple[Snapshot, ...], report: Report, stop: Stop) -> Look:
    """Count what snapshots teach, and find what would spoil a training; a job function."""
    total = Summary()
    for snapshot in snapshots:
        total += summary(snapshot.corrections, snapshot.labels)
    samples = [sample for snapshot in snapshots for sample in to_samples(snapshot)]
    semantic = any(snapshot.corrections.semantic for snapshot in snapshots)
    return Look(total, find_problems(samples, total, semantic=semantic))
