"""Counting beside the window finds what comparing at once finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from napari_unet.app.annotations import start, states
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
