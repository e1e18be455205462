"""Decide whether a new model takes the place of the one in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.core.pipeline.compare import Comparison

BLIND = 0.05
"""Score on annotations below which a model finds next to nothing of them."""

FEWEST = 5
"""Held-out objects; that fewer are not found says little."""


def refusal(found: Comparison, n_held_out: int, *, new_gain: int | None = None, semantic: bool = False) -> str:
    """Say why a new model must not take the place of the old one.

    Parameters
    ----------
    found : Comparison
        Both models on what was held out.
    n_held_out : int
        Objects that were held out.
    new_gain : int or None
        Where the old model has learnt a part of what was held out: ``compare.net_gain`` on the rest. None where it has
        learnt nothing of it.
    semantic : bool
        The labels are classes.

    Returns
    -------
    str
        Empty where nothing speaks against it; so also where nothing was held out: the user judges.

    Notes
    -----
    An old model is good at what it has learnt, so a lower score on that, within chance, does not speak against a new
    one that finds more of what neither has learnt.

    A model that finds nothing of what was held out is refused even where the old one does not either: what was drawn
    does not carry over from one place to the other, so it may be anything, and nothing says that it helps elsewhere.
    """
    may_be_chance = new_gain is not None and new_gain > 0 and found.high >= 0
    if found.after < found.before and not may_be_chance:
        return "The score fell"
    if found.after < BLIND and (semantic or n_held_out >= FEWEST):
        return "The new model finds next to nothing of what was held out: what was drawn may not fit the image"
    return ""
