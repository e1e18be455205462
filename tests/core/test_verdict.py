"""A new model takes the place of the old one unless something speaks against it."""

from __future__ import annotations

import pytest

from napari_unet.core.pipeline.compare import UNCOMPARED, Comparison
from napari_unet.core.pipeline.verdict import refusal


@pytest.mark.parametrize(
    ("before", "after", "high", "new_gain", "words"),
    [
        (0.5, 0.6, 0.2, None, ""),
        (0.5, 0.5, 0.1, None, ""),
        (0.5, 0.4, 0.1, None, "fell"),
        (0.5, 0.4, 0.1, 7, ""),
        (0.5, 0.4, 0.1, 0, "fell"),
        (0.5, 0.4, -0.01, 7, "fell"),
        (0.0, 0.0, 0.0, None, "next to nothing"),
        (0.02, 0.04, 0.1, 7, "next to nothing"),
        (0.0, 0.06, 0.1, None, ""),
    ],
)
def test_refusal_when_models_are_compared_then_it_says_what_speaks_against(before, after, high, new_gain, words):
    found = refusal(Comparison(before, after, -0.1, high, 12), 12, new_gain=new_gain)
    assert words in found
    assert bool(found) == bool(words)


def test_refusal_when_few_objects_were_held_out_then_finding_none_says_little():
    nothing = Comparison(0.0, 0.0)
    assert not refusal(nothing, 3)
    assert refusal(nothing, 5)
    assert refusal(nothing, 2, semantic=True)


def test_refusal_when_nothing_was_held_out_then_the_user_judges():
    assert not refusal(UNCOMPARED, 0)
