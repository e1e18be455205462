"""Objects as columns: sorted, filtered, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.app.annotations import accept, mark_done, start
from napari_unet.app.object_rows import CONFIDENCE, LABEL, SIZE, STATE, ObjectRows, no_rows, rows_of
from napari_unet.app.overview import STATES, overview
from tests.app.strategies import corrected


@st.composite
def rows(draw) -> ObjectRows:
    ids = sorted(draw(st.sets(st.integers(1, 1 << 60), max_size=12)))
    n = len(ids)
    some = lambda values, dtype: np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype)  # noqa: E731
    sure = st.sampled_from([np.nan, 0.0, 0.25, 1.0])
    codes = some(st.integers(0, len(STATES) - 1), np.uint8)
    return ObjectRows(np.array(ids, np.int64), some(st.integers(1, 3), float), codes, some(sure, float), codes > 0)


@given(rows(), st.sampled_from([LABEL, SIZE, CONFIDENCE, STATE]), st.booleans())
@settings(deadline=None)
def test_order_when_sorted_by_anything_then_it_is_that_of_a_plain_sort(found, column, descending):
    listed = [found[i] for i in range(len(found))]
    value = {
        LABEL: lambda row: row.label,
        SIZE: lambda row: row.size,
        CONFIDENCE: lambda row: row.confidence,
        STATE: lambda row: STATES.index(row.state),
    }[column]
    alike = sorted(listed, key=lambda row: (row.size, row.label))
    known = sorted((r for r in alike if value(r) is not None), key=value)
    if descending:  # sorted() keeps what is alike in its order when it is told to turn, not when the list is turned
        known = sorted((r for r in alike if value(r) is not None), key=value, reverse=True)
    expected = known + [r for r in alike if value(r) is None]
    assert [found[i] for i in found.order(column, descending=descending)] == expected


@given(rows(), st.sampled_from(["", *STATES]))
@settings(deadline=None)
def test_only_when_a_state_is_chosen_then_its_objects_stay_in_their_order(found, state):
    order = found.order()
    assert found.only(state, order).tolist() == [i for i in order if not state or found[i].state == state]
    assert found.count() == {one: sum(found[i].state == one for i in range(len(found))) for one in STATES}


@given(corrected())
@settings(deadline=None, max_examples=60)
def test_reviewed_when_regions_are_done_then_it_is_what_is_judged_or_more_than_half_inside(corrections):
    c, labels = corrections
    found = overview(c, labels)
    listed = rows_of(found, c)
    inside = np.zeros(labels.shape, bool)
    for box in c.done:
        inside[box] = True
    for at, row in enumerate(listed[i] for i in range(len(listed))):
        mostly_inside = 2 * (inside & (labels == row.label)).sum() > (labels == row.label).sum()
        assert listed.reviewed[at] == (row.state != "predicted" or mostly_inside)


@pytest.mark.parametrize(
    ("voxel_size", "size", "unit"), [(None, 4.0, "voxels"), ((0.5, 0.5), 1.0, "µm²"), ((2.0, 0.5, 0.5), 2.0, "µm³")]
)
def test_sizes_when_the_voxel_size_is_known_then_they_are_in_micrometres(voxel_size, size, unit):
    labels = np.zeros((6, 6) if voxel_size is None or len(voxel_size) == 2 else (1, 6, 6), np.int32)
    labels[..., 1:3, 1:3] = 7
    c = start(labels)
    listed = rows_of(overview(c, labels), c, {7: 0.5}, {7: "cell"}, voxel_size)
    assert (listed[0].size, listed.unit, listed[0].confidence, listed[0].name) == (size, unit, 0.5, "cell")


def test_rows_when_only_a_region_is_finished_then_they_are_not_the_same_but_look_alike():
    labels = np.eye(4, dtype=np.int32)
    c = start(labels)
    before = rows_of(overview(c, labels), c)
    done = mark_done(c, (slice(0, 4), slice(0, 4)))
    after = rows_of(overview(done, labels), done)
    assert not after.is_same(before)
    assert after.looks_like(before)
    assert after.n_reviewed == 1
    accepted = accept(c, [1])
    assert not rows_of(overview(accepted, labels), accepted).looks_like(before)
    assert len(no_rows().order()) == 0
