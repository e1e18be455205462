"""Keep count of the objects: beside the window after each change, and only where voxels changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari_unet.app.overview import Overview, overview
from napari_unet.ui import layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.app.session import Session
    from napari_unet.ui.results import Link, Results


class Counting:
    """Know the objects of the current result.

    Parameters
    ----------
    session, results
        What the tabs share.
    """

    def __init__(self, session: Session, results: Results) -> None:
        self._session, self._results = session, results
        self._known: tuple[str, int, Overview] | None = None
        self._revision = 0
        self._could_redo = False
        session.history.changed.connect(self._on_history)

    def on_voxels(self) -> None:
        """Note that voxels were painted or written."""
        self._revision += 1

    def forget(self) -> None:
        """Count anew the next time."""
        self._known = None

    def _on_history(self) -> None:
        can_redo = self._session.history.can_redo
        if can_redo or self._could_redo:  # not a new step: one was undone or redone, perhaps of the voxels
            self._revision += 1
        self._could_redo = can_redo

    def known(self, link: Link) -> Overview | None:
        """Give the count, where voxels, prediction and finished regions are as they were; else None."""
        if self._known is None:
            return None
        key, revision, found = self._known
        c = self._session.result(link.key).corrections
        is_same = found.predicted is c.predicted and found.done == c.done
        return found if is_same and (key, revision) == (link.key, self._revision) else None

    def at_once(self, link: Link) -> Overview:
        """Give the count, and count now where it is not known.

        Raises
        ------
        UserError
            When the labels do not fit their prediction, or the memory.
        """
        found = self.known(link)
        if found is None:
            found = overview(self._session.result(link.key).corrections, layers.labels_array(link.labels))
            self._known = (link.key, self._revision, found)
        return found

    def beside(self, link: Link, show: Callable[[], None]) -> None:
        """Count beside the window, then show; what was painted over meanwhile is counted after the next change.

        Raises
        ------
        UserError
            When the labels do not fit the memory.
        """
        started, revision = time.perf_counter(), self._revision

        def _on_done(found: Overview) -> None:
            self._results.pause_for(time.perf_counter() - started)
            if revision == self._revision:
                self._known = (link.key, revision, found)
                show()

        self._session.look_over(link.key, layers.labels_array(link.labels), _on_done)
