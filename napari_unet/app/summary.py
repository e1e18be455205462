"""Say in one line what a training will learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_unet.app.annotations import Corrections, Labels, changes, decided_voxels, unique_ids


@dataclass(frozen=True)
class Summary:
    """Count what teaches; summaries of several images add up.

    Parameters
    ----------
    n_accepted, n_edited : int
        Objects; an accepted one that was edited counts as accepted.
    n_background, n_painted : int
        Voxels marked as background; voxels painted with classes.
    n_done : int
        Finished regions.
    n_images : int
        Images with any of these.
    """

    n_accepted: int = 0
    n_edited: int = 0
    n_background: int = 0
    n_painted: int = 0
    n_done: int = 0
    n_images: int = 0

    def __add__(self, other: Summary) -> Summary:
        """Add the counts of another image."""
        return Summary(
            self.n_accepted + other.n_accepted,
            self.n_edited + other.n_edited,
            self.n_background + other.n_background,
            self.n_painted + other.n_painted,
            self.n_done + other.n_done,
            self.n_images + other.n_images,
        )

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to learn from."""
        return self.n_images == 0

    @property
    def text(self) -> str:
        """Say it in words: ``12 accepted cells and 3 finished regions in 2 images``."""
        parts = [
            _count(self.n_accepted, "accepted cell"),
            _count(self.n_edited, "corrected cell"),
            _count(self.n_painted, "painted voxel"),
            _count(self.n_background, "background voxel"),
            _count(self.n_done, "finished region"),
        ]
        said = [part for part in parts if part]
        if not said:
            return "nothing yet"
        listed = said[0] if len(said) == 1 else ", ".join(said[:-1]) + " and " + said[-1]
        return listed if self.n_images == 1 else f"{listed} in {self.n_images} images"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}" if n else ""


def summary(c: Corrections, labels: Labels) -> Summary:
    """Count what one labels layer teaches.

    Parameters
    ----------
    c : Corrections
        What the user said.
    labels : integer array
        The layer's array as it is now.
    """
    found = changes(c, labels)
    n_decided = int(np.count_nonzero(decided_voxels(c, labels, found)))
    accepted = (c.accepted - c.unsure) & unique_ids(labels)
    edited = frozenset() if c.semantic else found.edited - accepted - c.unsure
    counts = Summary(
        n_accepted=len(accepted),
        n_edited=len(edited),
        n_background=0 if c.semantic else n_decided,
        n_painted=n_decided if c.semantic else 0,
        n_done=len(c.done),
    )
    return counts if counts == Summary() else counts + Summary(n_images=1)


def teaches_nothing(c: Corrections, labels: Labels) -> bool:
    """Tell quickly whether nothing was corrected, accepted or finished; what then really teaches, `summary` counts."""
    said = c.accepted or c.edited or c.done or c.background is not None or c.painted is not None
    return not said and np.array_equal(labels, c.predicted)
