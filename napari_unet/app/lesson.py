"""What a fine-tuning starts from and learns from: the base of the lineage, and all labels so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_unet.app import lineage, training_set
from napari_unet.app.gathering import Gathered, Taught, gather, new_since
from napari_unet.app.requests import HeldOut
from napari_unet.app.teaching import to_samples, with_unique_names
from napari_unet.app.training_set import Kept
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress, Report

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_unet.app.library import ModelEntry
    from napari_unet.app.requests import FineTuneRequest
    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.pipeline.compare import Judged
    from napari_unet.core.store.training_set import Sample


@dataclass(frozen=True, eq=False)
class Lesson:
    """All that a fine-tuning needs.

    Parameters
    ----------
    chain : tuple of ModelEntry
        The lineage: the base, from which it starts, first; the model in use last.
    gathered : Gathered
        All labels so far.
    fresh : tuple of Sample or None
        What of them the model in use has not learnt from; None is all.
    """

    chain: tuple[ModelEntry, ...]
    gathered: Gathered = field(repr=False)
    fresh: tuple[Sample, ...] | None = field(repr=False)

    def held_out(self, parts: Iterable[Judged]) -> tuple[HeldOut, ...]:
        """Say of what was judged which open labels it belongs to."""
        known = {one.record.name: one for one in self.gathered.kept if one.is_changed}
        return tuple(
            HeldOut(part, known[part.name].record.origin, known[part.name].time)
            if part.name in known
            else HeldOut(part)
            for part in parts
        )


def prepare_lesson(request: FineTuneRequest, *, semantic: bool, report: Report) -> Lesson:
    """Put together what a training starts from and learns from.

    Parameters
    ----------
    request : FineTuneRequest
        What the user asks for.
    semantic : bool
        The model segments classes.
    report : Report
        Hears of it; may raise `Cancelled`.

    Raises
    ------
    UserError
        When nothing teaches.
    """
    taught = _taught(request)
    report(Progress(0, 1, "putting all labels together"))
    chain = lineage.trace(request.model)
    is_own = lineage.is_in_library(chain[-1])  # a namesake elsewhere has another training set
    # A model in a folder of its own shall not depend on what was tried in the dock and came to nothing.
    entries = lineage.entries_of(chain, with_tried=request.out_folder is None) if is_own else []
    gathered = gather(taught, entries, semantic=semantic)
    if not gathered.samples:
        raise UserError("There is nothing to learn from yet.", "Accept or correct some objects, or finish a region.")
    own = training_set.read_set(lineage.set_folder(chain[-1].name))[0] if is_own else []
    fresh = new_since(gathered, own, semantic=semantic) if own else None
    return Lesson(chain, gathered, fresh)


def resumed_lesson(request: FineTuneRequest, folder: Path, *, semantic: bool) -> Lesson:
    """Give what an interrupted training started from and learns from, as it was saved when it began.

    Raises
    ------
    UserError
        When a sample cannot be read.
    """
    chain = lineage.trace(request.model)
    gathered = Gathered(saved(folder))
    own = training_set.read_set(lineage.set_folder(chain[-1].name))[0] if lineage.is_in_library(chain[-1]) else []
    return Lesson(chain, gathered, new_since(gathered, own, semantic=semantic) if own else None)


def saved(folder: Path) -> tuple[Kept, ...]:
    """Read a training set as it will be kept."""
    entries = training_set.read_set(folder)[0]
    return tuple(Kept(e.record, None if e.record.left_out else e.load(), e, is_changed=False) for e in entries)


def _taught(request: FineTuneRequest) -> list[Taught]:
    made = [one for snapshot in request.snapshots for one in _of(snapshot)]
    names = with_unique_names(one.sample for one in made)
    files = [Taught(sample) for sample in with_unique_names(request.samples)]
    return [*files, *(Taught(sample, one.origin, one.time) for sample, one in zip(names, made, strict=True))]


def _of(snapshot: Snapshot) -> list[Taught]:
    has_time = "T" in snapshot.image.axes
    return [
        Taught(sample, snapshot.origin, int(sample.name.removeprefix(f"{snapshot.name}-t")) if has_time else None)
        for sample in to_samples(snapshot)
    ]
