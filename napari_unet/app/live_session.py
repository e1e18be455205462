"""The window's side of a live training: hands in what was corrected, and writes what the job wants to show.

All of it happens in the main thread and takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.app.copies import copied, is_same
from napari_unet.app.live import Shown
from napari_unet.app.live_inbox import Inbox, Look
from napari_unet.app.live_updates import settle
from napari_unet.app.teaching import take_snapshot
from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.app.annotations import Labels
    from napari_unet.app.jobs import Job
    from napari_unet.app.requests import Training
    from napari_unet.app.result import Result
    from napari_unet.app.session import Session
    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.base.options import TrainOptions

NAME = "Learn while I correct"

Where = tuple[NDArray[np.intp], ...]


@dataclass(frozen=True)
class Canvas:
    """What the labels are painted on.

    Parameters
    ----------
    read : callable
        Gives the array of a labels layer by its key, not copied; None where it is gone.
    write : callable
        Writes values into voxels of a layer, past the layer's own history.
    is_free : callable
        Tells whether a layer may be written now: no stroke is under way.
    """

    read: Callable[[str], Labels | None]
    write: Callable[[str, Where, Labels], None]
    is_free: Callable[[str], bool]


class LiveLearning:
    """One live training.

    Parameters
    ----------
    session : Session
        Runs the job and keeps the results.
    canvas : Canvas
        The labels layers.
    """

    def __init__(self, session: Session, canvas: Canvas) -> None:
        self._session, self._canvas = session, canvas
        self.inbox = Inbox()
        self.shown: Shown | None = None
        self._waiting: Shown | None = None
        self._handed: dict[str, Snapshot] = {}
        self._steps: dict[str, LiveStep] = {}

    def start(
        self, options: TrainOptions, on_payload: Callable[[object], None], folder: Path | None = None
    ) -> Job[Training]:
        """Begin to learn.

        Parameters
        ----------
        options : TrainOptions
            What the user fixed.
        on_payload : callable
            Sees the rows of the plot, and each `Shown`.
        folder : Path, optional
            The training set of a live training that was interrupted.

        Raises
        ------
        UserError
            When there is no model, or another job has the device.
        """

        def _on_payload(payload: object) -> None:
            if isinstance(payload, Shown):
                self.shown = payload
                self._waiting = payload
                self.write()
            on_payload(payload)

        return self._session.trainer.learn_live(self.inbox, options, folder, on_payload=_on_payload)

    def hand_in(self, keys: Iterable[str]) -> None:
        """Hand in the labels and corrections that are not as they were handed in the last time."""
        self.inbox.put({key: made for key in keys if (made := self._changed(key)) is not None})

    def _changed(self, key: str) -> Snapshot | None:
        labels = self._canvas.read(key) if self._session.has(key) else None
        if labels is None:
            return None
        result, known = self._session.result(key), self._handed.get(key)
        if known is not None and known.corrections is result.corrections and is_same(known.labels, labels):
            return None
        try:
            frozen = copied(labels, self.inbox.room(key))
            self._handed[key] = take_snapshot(result.image, frozen, result.corrections, origin=key, copy=False)
        except UserError:  # another plugin has replaced the layer's array
            return None
        return self._handed[key]

    def forget(self, key: str) -> None:
        """Learn no longer from labels whose layer was removed."""
        self._handed.pop(key, None)
        self._steps.pop(key, None)
        self.inbox.drop(key)

    def look_at(self, look: Look | None) -> None:
        """Say what the user looks at."""
        self.inbox.look_at(look)

    # ------------------------------------------------------------ what is shown

    @property
    def is_waiting(self) -> bool:
        """Tell whether something waits to be written: for the end of a stroke, or of going through the undo list."""
        return self._waiting is not None and self._waiting.update is not None

    def write(self) -> bool:
        """Write what waits, if nothing is in its way; tells whether anything was written.

        While something can be redone nothing is written: the step that was taken back may have been this very one.
        """
        shown = self._waiting
        if shown is None or shown.update is None or self._session.history.can_redo:
            return False
        labels = self._canvas.read(shown.key) if self._session.has(shown.key) else None
        if labels is None:
            self._waiting = None
            return False
        if not self._canvas.is_free(shown.key):
            return False
        self._waiting = None
        before = self._session.result(shown.key)
        written = settle(shown.update, before.corrections, labels)
        if written is None:
            self.hand_in([shown.key])
            return False
        judged = before.corrections.accepted | before.corrections.edited
        sure = {one: value for one, value in written.confidence.items() if one not in judged}
        after = replace(
            before,
            corrections=replace(before.corrections, predicted=written.predicted),
            confidence={**before.confidence, **sure},
        )
        self._canvas.write(shown.key, written.where, written.values)
        self._session.bring_back(shown.key, after)
        self._remember(shown.key, before, after)
        self.hand_in([shown.key])
        return True

    def _remember(self, key: str, before: Result, after: Result) -> None:
        """Make one undo step of all that is shown in a row."""
        step = self._steps.get(key)
        if step is not None and step.after.corrections.predicted is before.corrections.predicted:
            step.after = after
            return
        self._steps[key] = LiveStep(self._session, self._canvas, key, before, after)
        self._session.history.push(self._steps[key])


class LiveStep:
    """All that a live training has shown of some labels, from the first to the last model: one step of the undo list.

    It grows while the user goes on, who makes steps of their own above it: those touch other objects.
    """

    name = NAME

    def __init__(self, session: Session, canvas: Canvas, key: str, before: Result, after: Result) -> None:
        self._session, self._canvas, self.owner = session, canvas, key
        self.before, self.after = before, after

    @property
    def n_bytes(self) -> int:
        """Give the memory of the labels from before."""
        return int(self.before.corrections.predicted.nbytes)

    def undo(self) -> None:
        """Show what was predicted before."""
        self._put(self.after, self.before)

    def redo(self) -> None:
        """Show what was learned."""
        self._put(self.before, self.after)

    def _put(self, old: Result, new: Result) -> None:
        labels = self._canvas.read(self.owner)
        if labels is None:
            return
        was, will = old.corrections.predicted, new.corrections.predicted
        where = np.nonzero((was != will) & (labels == was))
        self._canvas.write(self.owner, where, will[where])
        now = self._session.result(self.owner)
        self._session.bring_back(
            self.owner, replace(now, corrections=replace(now.corrections, predicted=will), confidence=new.confidence)
        )
