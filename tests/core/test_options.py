"""Options: every field says what it is and refuses what it cannot be."""

from __future__ import annotations

from dataclasses import fields

import pytest

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import Budget, LargeOptions, SegmentOptions, TrainOptions

KINDS = [LargeOptions, SegmentOptions, TrainOptions]
FIELDS = [(kind, one) for kind in KINDS for one in fields(kind)]
BOUNDED = [pair for pair in FIELDS if "min" in pair[1].metadata]
CHOSEN = [pair for pair in FIELDS if "choices" in pair[1].metadata]


def name(value):
    return getattr(value, "name", None) or getattr(value, "__name__", None)


@pytest.mark.parametrize(("kind", "one"), FIELDS, ids=name)
def test_field_when_shown_to_a_person_then_has_label_and_help(kind, one):
    assert one.metadata["label"]
    assert one.metadata["help"].endswith(".")


@pytest.mark.parametrize(("kind", "one"), BOUNDED, ids=name)
def test_options_when_a_number_is_out_of_bounds_then_name_it_and_the_bounds(kind, one):
    low, high = one.metadata["min"], one.metadata["max"]
    kind(**{one.name: low})
    kind(**{one.name: high})
    for value in (low - 1, high + 1):
        with pytest.raises(UserError, match=one.metadata["label"]) as caught:
            kind(**{one.name: value})
        assert str(low) in caught.value.hint


@pytest.mark.parametrize(("kind", "one"), CHOSEN, ids=name)
def test_options_when_a_choice_is_unknown_then_name_the_choices(kind, one):
    for choice in one.metadata["choices"]:
        kind(**{one.name: choice})
    with pytest.raises(UserError, match=one.metadata["label"]) as caught:
        kind(**{one.name: "something else"})
    assert one.metadata["choices"][0] in caught.value.hint


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("auto", Budget()),
        ("60s", Budget(seconds=60)),
        ("1.5 min", Budget(seconds=90)),
        ("2h", Budget(seconds=7200)),
        ("500steps", Budget(steps=500)),
        ("1 step", Budget(steps=1)),
    ],
)
def test_budget_when_written_as_people_write_then_is_read(text, budget):
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["", "60", "0s", "-5s", "long", "5 days", "1e9s"])
def test_budget_when_it_cannot_be_read_then_says_how_to_write_it(text):
    with pytest.raises(UserError, match="budget") as caught:
        TrainOptions(budget=text)
    assert "60s" in caught.value.hint
