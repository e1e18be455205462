"""What is kept of the objects follows each stroke, tool, undo and redo; what others write is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from napari.layers import Labels

from napari_unet.app.annotations import start
from napari_unet.app.overview import overview
from napari_unet.ui import counting, following, layers
from tests.ui.conftest import LIMIT_MS

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.correct_tab import CorrectTab
    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

SHAPE = (3, 6, 7)
STEPS = st.lists(st.sampled_from(["paint", "fill", "stroke", "tool", "twice", "undo", "redo"]), min_size=1, max_size=8)


@given(hnp.arrays(np.int32, SHAPE, elements=st.integers(0, 4)), STEPS, st.data())
@settings(deadline=None, max_examples=60)
def test_changes_when_a_layer_is_written_in_any_way_then_what_follows_them_is_what_counting_anew_finds(
    predicted: NDArray[np.int32], steps: list[str], data: st.DataObject
) -> None:
    layer = Labels(predicted.copy())
    c = start(predicted)
    kept = overview(c, predicted)

    is_known = True

    def follow(changes: following.Changes) -> None:
        nonlocal kept, is_known
        followed = None if changes is None else kept.after(changes)
        is_known = followed is not None
        kept = followed or kept

    following.on_written(layer, follow)
    for step in steps:
        at = tuple(data.draw(st.integers(0, n - 1)) for n in SHAPE)
        label = data.draw(st.integers(0, 5))
        layer.n_edit_dimensions = data.draw(st.sampled_from([2, 3]))
        if step == "paint":
            layer.paint(at, label)
        elif step == "fill":
            layer.fill(at, label)
        elif step == "stroke":
            with layer.block_history():
                layer.paint(at, label)
                layer.paint((at[0], 3, 3), label + 1)
        elif step == "tool":
            layer.data_setitem(np.nonzero(layer.data == label), label + 1)
        elif step == "twice":  # a script that names a voxel twice
            layer.data_setitem(tuple(np.array([one, one]) for one in at), np.array([label, label + 1]))
        else:
            follow(following.replay(layer, redo=step == "redo"))
        anew = overview(c, layer.data)
        assert is_known or "twice" in steps
        kept, is_known = (kept if is_known else anew), True
        assert kept.sizes == anew.sizes
        assert kept.states(c) == anew.states(c)
        for one in kept.ids.tolist():
            assert (layer.data[kept.places.box([one])] == one).sum() == kept.sizes[one]


def test_count_when_another_writes_and_refreshes_then_it_is_no_longer_known(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, qtbot: QtBot
) -> None:
    link, known = segmented.results.need(), tab.review.counting.known
    link.labels.selected_label = 3
    link.labels.colormap = link.labels.colormap.model_copy()
    viewer.layers[0].refresh()
    assert known(link) is not None
    link.labels.data[:10, :12] = 0
    with qtbot.waitSignal(segmented.results.changed, timeout=LIMIT_MS):
        link.labels.refresh()
    assert known(link) is None
    tab.review.catch_up()
    assert len(tab.table.objects.labels) == 3


def test_count_when_only_the_look_changes_or_tools_are_used_then_it_stays_known(
    segmented: UNetWidget, tab: CorrectTab
) -> None:
    link = segmented.results.need()
    link.labels.contour = 1
    tab.table.select([1])
    tab.buttons["grow"].click()
    tab.buttons["undo"].click()
    tab.buttons["redo"].click()
    assert tab.review.counting.known(link) is not None


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all labels for large."""
    monkeypatch.setattr(counting, "AT_ONCE", 0)


def wait(tab: CorrectTab, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not tab.corrector.whole.is_busy, timeout=LIMIT_MS)


@pytest.mark.parametrize("few", [0, 100_000])
def test_renumber_when_it_works_beside_the_window_and_something_is_painted_then_both_are_there_and_each_is_one_step(
    segmented: UNetWidget,
    tab: CorrectTab,
    beside: None,
    told: Told,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
) -> None:
    monkeypatch.setattr(layers, "FEW", few)
    link = segmented.results.need()
    tab.table.select([1])
    tab.buttons["delete"].click()
    before = link.labels.data.copy()
    tab.buttons["renumber"].click()
    assert tab.corrector.whole.is_busy
    link.labels.data_setitem((np.array([38, 39]), np.array([58, 58])), 9)
    painted = link.labels.data.copy()
    wait(tab, qtbot)
    assert np.unique(link.labels.data).tolist() == [0, 1, 2, 3, 4]
    assert (link.labels.data[38:, 58] == 4).all()
    tab.buttons["undo"].click()
    assert np.array_equal(link.labels.data, painted)
    tab.buttons["undo"].click()
    assert np.array_equal(link.labels.data, before)
    tab.buttons["redo"].click()
    tab.buttons["redo"].click()
    assert (link.labels.data[38:, 58] == 4).all()
    assert not told.errors


def test_relabel_when_an_object_is_accepted_meanwhile_then_it_stays_accepted(
    segmented: UNetWidget, tab: CorrectTab, beside: None, qtbot: QtBot
) -> None:
    tab.tools.forms["relabel"].widgets["to"].value = 30
    tab.table.select([1])
    tab.buttons["relabel"].click()
    segmented.session.accept(segmented.results.need().key, [1])
    wait(tab, qtbot)
    link = segmented.results.need()
    assert segmented.session.states(link.key, link.labels.data)[30] == "accepted"


def test_tool_when_it_is_given_up_or_refuses_then_nothing_is_written(
    segmented: UNetWidget, tab: CorrectTab, beside: None, told: Told, qtbot: QtBot
) -> None:
    link = segmented.results.need()
    before = link.labels.data.copy()
    tab.table.select([1])
    tab.buttons["relabel"].click()
    tab.buttons["undo"].click()
    assert not tab.corrector.whole.is_busy
    tab.buttons["renumber"].click()
    tab.buttons["renumber"].click()
    assert told.errors[-1].startswith("The tool before is still at work")
    wait(tab, qtbot)
    assert told.errors[1:] == ["Renumber: The objects are numbered without gaps already."]
    assert np.array_equal(link.labels.data, before)
    assert not segmented.session.history.can_undo
