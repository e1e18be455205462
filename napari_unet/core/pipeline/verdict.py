"""Decide whether a new model takes the place of the one in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.core.pipeline.compare import Comparison

BLIND = 0.05
"""Score on annotations below which a model finds next to nothing of them."""

FEWEST = 5
"""Held-out objects; that fewer are not found says little."""


def refusal(found: Comparison, n_held_out: int, *, is_fair: bool = True, semantic: bool = False) -> str:
    """Say why a new model must not take the place of the old one.

    Parameters
    ----------
    found : Comparison
        Both models on what was held out.
    n_held_out : int
        Objects that were held out.
    is_fair : bool
        False where the old model has learnt a part of it: then chance counts for the new one.
    semantic : bool
        The labels are classes.

    Returns
    -------
    str
        Empty where nothing speaks against it; so also where nothing was held out: the user judges.

    Notes
    -----
    A model that finds nothing of what was held out is refused even where the old one does not either: what was drawn
    does not carry over from one place to the other, so it may be anything, and nothing says that it helps elsewhere.
    """
    if found.after < found.before and (is_fair or not found.high >= 0):
        return "The score fell"
    if found.after < BLIND and (semantic or n_held_out >= FEWEST):
        return "The new model finds next to nothing of what was held out: what was drawn may not fit the image"
    return ""
