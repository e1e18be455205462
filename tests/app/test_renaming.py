"""A new number is no correction."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.app.annotations import accept, start, states
from napari_unet.app.renaming import renamed
from napari_unet.app.result import Result
from napari_unet.core.base.image import Image
from napari_unet.core.edits import apply_edit
from napari_unet.core.edits.relabel import relabel, renumber
from tests.app.strategies import corrected


def result_of(c, confidence=None) -> Result:
    return Result(
        Image(np.zeros(c.predicted.shape, np.float32), "ZYX"[-c.predicted.ndim :]), c, None, "", confidence or {}
    )


@given(corrected(), st.data())
@settings(deadline=None, max_examples=150)
def test_renamed_when_any_objects_get_other_ids_then_their_states_go_along(corrections, data):
    c, labels = corrections
    ids = [int(one) for one in np.unique(labels[labels > 0])]
    if not ids:
        return
    if data.draw(st.booleans(), "all"):
        names = {one: number for number, one in enumerate(ids, start=1)}
    else:
        names = {data.draw(st.sampled_from(ids)): data.draw(st.sampled_from([n for n in range(1, 12) if n not in ids]))}
    after = np.zeros_like(labels)
    for one in ids:
        after[labels == one] = names.get(one, one)
    known = dict.fromkeys(ids, 0.5) | {ids[0]: 0.1}
    found = renamed(result_of(c, known), labels, names)
    assert states(found.corrections, after) == {names.get(one, one): state for one, state in states(c, labels).items()}
    assert found.confidence[names.get(ids[0], ids[0])] == 0.1
    assert not found.corrections.predicted.flags.writeable


def test_renamed_when_it_is_in_one_time_point_then_the_others_keep_their_states():
    movie = np.zeros((2, 4, 4), np.int32)
    movie[:, 1, 1] = 1
    c = accept(start(movie), [1])
    edit = relabel(movie[1], [1], to=5)
    found = renamed(result_of(c, {1: 0.3}), movie, {1: 5}, (1,))
    after = apply_edit(movie, edit.at(1))
    assert states(found.corrections, after) == {1: "accepted", 5: "accepted"}
    assert found.confidence == {1: 0.3, 5: 0.3}


def test_renumber_when_ids_are_small_then_the_type_stays_wide_enough():
    labels = np.zeros((3, 300), np.uint8)
    labels[0, :255] = np.arange(1, 256)
    labels[0, 0] = 0
    edit = renumber(labels, [])
    names = {one: one - 1 for one in range(2, 256)}
    found = renamed(result_of(start(labels)), labels, names)
    assert set(states(found.corrections, apply_edit(labels, edit)).values()) == {"predicted"}
