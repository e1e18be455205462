"""What the autosaver knows of each labels layer, and how safe all of them are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_unet.app.errors import describe_error
from napari_unet.core.store.autosave_lock import Held, Holder

if TYPE_CHECKING:
    from napari_unet.app.annotations import Labels
    from napari_unet.app.autosave_draft import Draft
    from napari_unet.core.store.autosave import ImageId
    from napari_unet.core.store.journal_writer import JournalWriter

    Take = Callable[[Labels | None], Draft]


@dataclass(frozen=True)
class Status:
    """Say how safe the work is.

    Parameters
    ----------
    kind : {"nothing", "saved", "waiting", "failed", "held"}
        Nothing to save; all is saved; changes will be saved within seconds; a save did not work and is tried again;
        another window holds the image, and nothing is written.
    saved_at : float or None
        When the last save was, seconds since 1970; for "failed" and "held" that of the work that is not saved.
    message, hint : str
        For "failed": what went wrong and what to do.
    holder : Holder or None
        For "held": who it is, where that is known.
    """

    kind: Literal["nothing", "saved", "waiting", "failed", "held"] = "nothing"
    saved_at: float | None = None
    message: str = ""
    hint: str = ""
    holder: Holder | None = None


@dataclass(eq=False)
class Work:
    """Keep what is known of one labels layer.

    Parameters
    ----------
    key, image, take, slot, like
        See `Autosaver.watch`.
    room : integer array or None
        For the copy, used again and again.
    writer : JournalWriter or None
        From the first save on; used by the writer's thread only.
    first, last : float
        Of the changes that are not saved, on the autosaver's clock; `first` is None where all is saved.
    not_before : float
        No save begins earlier, on the same clock.
    saved_at : float or None
        Seconds since 1970.
    error : exception or None
        Of the last save.
    final : Draft or None
        Of a layer that was removed.
    answered : list of Path
        To be deleted when this is saved.
    """

    key: str
    image: ImageId
    take: Take
    slot: Path | None = None
    like: Labels | None = None
    room: Labels | None = None
    writer: JournalWriter | None = None
    first: float | None = None
    last: float = 0.0
    not_before: float = 0.0
    saved_at: float | None = None
    error: BaseException | None = None
    final: Draft | None = None
    answered: list[Path] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Say how a save ended: with the number of a revision (None where there was nothing to lose), or with an error."""

    work: Work
    draft: Draft | None
    first: float
    number: int | None = None
    answered: tuple[Path, ...] = ()
    error: BaseException | None = None


def status_of(works: Sequence[Work], *, is_writing: bool) -> Status:
    """Say how safe all works together are: the worst of them."""
    wrong = [(work, work.error) for work in works if work.error is not None]
    for work, error in sorted(wrong, key=lambda one: isinstance(one[1], Held)):
        if isinstance(error, Held):
            return Status("held", work.saved_at, holder=error.holder)
        return Status("failed", work.saved_at, *describe_error(error))
    times = [work.saved_at for work in works if work.saved_at is not None]
    if is_writing or any(work.first is not None for work in works):
        return Status("waiting", max(times, default=None))
    return Status("saved", min(times)) if times else Status()
