"""Counting beside the window finds what comparing at once finds, and so does following each change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.app import overview as module
from napari_unet.app.annotations import start, states
from napari_unet.app.object_counts import Change
from napari_unet.app.overview import overview
from napari_unet.core.base.errors import UserError
from tests.app.strategies import corrected


@given(corrected())
@settings(deadline=None, max_examples=100)
def test_overview_when_anything_was_corrected_then_states_and_sizes_are_those_of_the_labels(corrections):
    c, labels = corrections
    found = overview(c, labels)
    assert found.states(c) == states(c, labels)
    assert found.sizes == {int(one): int((labels == one).sum()) for one in np.unique(labels[labels > 0])}


def test_overview_when_the_shape_is_another_then_it_says_so():
    with pytest.raises(UserError, match="shape"):
        overview(start(np.zeros((3, 3), np.int32)), np.zeros((3, 4), np.int32))


def change(labels: np.ndarray, mask: np.ndarray, values: np.ndarray) -> Change:
    where = np.nonzero(mask)
    found = Change(where, labels[where].copy(), values[where])
    labels[where] = values[where]
    return found


@given(corrected(), st.sampled_from([0, 1 << 40]), st.data())
@settings(deadline=None, max_examples=150)
def test_overview_when_it_follows_changes_and_their_undoing_then_it_is_what_counting_anew_finds(made, more, data):
    c, labels = made
    labels = labels.astype(np.int64)
    labels[labels > 3] += more  # ids may be hashes
    kept = overview(c, labels)
    done: list[Change] = []
    for _ in range(data.draw(st.integers(1, 4), "steps")):
        if done and data.draw(st.booleans(), "undo"):
            last = done.pop()
            labels[last.where] = last.before
            new = [Change(last.where, last.after, last.before)]
        else:
            values = data.draw(hnp.arrays(np.int64, labels.shape, elements=st.integers(0, 6)))
            new = [change(labels, data.draw(hnp.arrays(bool, labels.shape)), values)]
            done += new
        followed = kept.after(new)
        assert followed is not None
        kept = followed
    anew = overview(c, labels)
    assert kept.sizes == anew.sizes
    assert kept.states(c) == anew.states(c)
    assert kept.inside.tolist() == anew.inside.tolist()
    for one in kept.ids.tolist():
        assert (labels[kept.places.box([one])] == one).sum() == kept.sizes[one]
        assert (labels[anew.places.box([one])] == one).sum() == anew.sizes[one]


def test_overview_when_very_much_was_changed_then_it_asks_to_count_anew(monkeypatch: pytest.MonkeyPatch):
    labels = np.zeros((4, 4), np.int32)
    kept = overview(start(labels), labels)
    monkeypatch.setattr(module, "MOST_CHANGED", 3)
    assert kept.after([change(labels, labels == 0, labels + 1)]) is None
