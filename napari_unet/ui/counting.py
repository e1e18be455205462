"""Keep count of the objects: after a change by what it changed; where that is not known, anew beside the window."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from napari_unet.app.overview import overview
from napari_unet.ui import layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.app.overview import Overview
    from napari_unet.app.session import Session
    from napari_unet.ui.following import Changes
    from napari_unet.ui.results import Link, Results

AT_ONCE = 2_000_000
"""Voxels: what looks at all of so few takes some 20 ms."""


class Counting:
    """Know the objects of the current result.

    Parameters
    ----------
    session, results
        What the tabs share.
    """

    def __init__(self, session: Session, results: Results) -> None:
        self._session, self._results = session, results
        self._known: dict[str, Overview] = {}
        self._revisions: Counter[str] = Counter()
        results.written.connect(self._on_written)
        results.closing.connect(lambda link: self._known.pop(link.key, None))

    def _on_written(self, key: str, changes: Changes) -> None:
        self._revisions[key] += 1
        found = self._known.pop(key, None)
        if found is not None and changes is not None:
            followed = found.after(changes) if found.predicted is self._predicted(key) else None
            if followed is not None:
                self._known[key] = followed

    def _predicted(self, key: str) -> object:
        return self._session.result(key).corrections.predicted if self._session.has(key) else None

    def revision(self, key: str) -> int:
        """Give a number that is another once voxels of a result were written."""
        return self._revisions[key]

    def forget(self) -> None:
        """Count anew the next time."""
        self._known.clear()

    def known(self, link: Link) -> Overview | None:
        """Give the count, where prediction and finished regions are as they were; else None."""
        found = self._known.get(link.key)
        if found is None:
            return None
        c = self._session.result(link.key).corrections
        is_same = found.predicted is c.predicted and found.done == c.done and found.edited_before == c.edited
        return found if is_same else None

    def is_quick(self, link: Link) -> bool:
        """Tell whether the count takes no time to speak of."""
        return self.known(link) is not None or link.labels.data.size <= AT_ONCE

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
            self._known[link.key] = found
        return found

    def beside(self, link: Link, show: Callable[[], None]) -> None:
        """Count beside the window, then show; what was painted over meanwhile is counted after the next change.

        Raises
        ------
        UserError
            When the labels do not fit the memory.
        """
        started, revision = time.perf_counter(), self._revisions[link.key]

        def _on_done(found: Overview) -> None:
            self._results.pause_for(time.perf_counter() - started)
            if revision == self._revisions[link.key]:
                self._known[link.key] = found
                show()

        self._session.look_over(link.key, layers.labels_array(link.labels), _on_done)
