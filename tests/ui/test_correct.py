"""The correction tools, by their buttons, in a real viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.ui import layers, shortcuts, view
from napari_unet.ui.corrector import middle_of
from napari_unet.ui.drawings import DRAWING, REGIONS, under_line
from napari_unet.ui.object_table import count_labels
from tests.ui.conftest import LIMIT_MS, press, squares

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.correct_tab import CorrectTab
    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told


def labels_of(dock: UNetWidget) -> NDArray[np.integer]:
    return layers.labels_array(dock.results.need().labels)


@pytest.mark.parametrize("name", ["delete", "merge", "accept", "unsure", "done", "background"])
def test_tool_when_pressed_then_one_undo_takes_it_back(
    segmented: UNetWidget, tab: CorrectTab, told: Told, name: str
) -> None:
    key = segmented.results.need().key
    before, states = labels_of(segmented).copy(), segmented.session.states(key, labels_of(segmented))
    corrections = segmented.session.result(key).corrections
    tab.table.select([1, 2] if name == "merge" else [1])
    tab.buttons[name].click()
    changed = not np.array_equal(labels_of(segmented), before)
    assert changed or segmented.session.result(key).corrections is not corrections
    tab.buttons["undo"].click()
    assert np.array_equal(labels_of(segmented), before)
    assert segmented.session.states(key, labels_of(segmented)) == states
    assert not segmented.session.history.can_undo
    assert not told.errors


def test_accept_when_pressed_then_it_goes_on_to_the_next_predicted_object(tab: CorrectTab) -> None:
    tab.buttons["next"].click()
    first = tab.table.selected()
    tab.buttons["accept"].click()
    assert tab.table.selected() != first
    assert tab.table.objects.rows[0].state == "accepted"


def test_table_when_the_model_is_unsure_then_the_least_certain_comes_first(tab: CorrectTab) -> None:
    sure = [row.confidence for row in tab.table.objects.rows]
    assert sure == sorted(sure)
    assert not tab.table.isColumnHidden(2)


def test_unsure_when_pressed_twice_then_the_object_teaches_again(segmented: UNetWidget, tab: CorrectTab) -> None:
    key = segmented.results.need().key
    tab.table.select([1])
    tab.buttons["unsure"].click()
    assert segmented.session.states(key, labels_of(segmented))[1] == "unsure"
    tab.buttons["unsure"].click()
    assert segmented.session.states(key, labels_of(segmented))[1] == "predicted"


def test_draw_when_the_last_object_was_deleted_then_the_new_one_does_not_take_over_what_was_said_of_it(
    segmented: UNetWidget, tab: CorrectTab
) -> None:
    key = segmented.results.need().key
    tab.table.select([4])
    tab.buttons["unsure"].click()
    tab.use("delete")
    tab.corrector.use("draw", [], drawn=np.array([[30.0, 50.0], [30.0, 56.0], [36.0, 56.0], [36.0, 50.0]]))
    drawn = labels_of(segmented)[33, 53]
    assert segmented.session.states(key, labels_of(segmented))[drawn] == "edited"


def test_split_when_a_line_is_drawn_then_the_object_under_it_is_cut(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab
) -> None:
    tab.buttons["cut"].click()
    shapes = view.named(viewer, DRAWING)
    assert shapes is viewer.layers.selection.active
    shapes.add_lines(np.array([[0.0, 5.5], [12.0, 5.5]]))
    tab.table.clearSelection()
    tab.buttons["split"].click()
    cut = labels_of(segmented)
    assert cut[4, 4] != cut[4, 7]
    assert cut[4, 4]
    assert cut[4, 7]
    assert not shapes.data
    tab.buttons["undo"].click()
    assert len(np.unique(labels_of(segmented))) == 5


def test_done_when_a_rectangle_is_drawn_then_it_is_the_region(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab
) -> None:
    tab.buttons["region"].click()
    view.named(viewer, REGIONS).add_rectangles(np.array([[2, 3], [2, 20], [30, 20], [30, 3]]))
    tab.buttons["done"].click()
    assert segmented.session.result(segmented.results.need().key).corrections.done == ((slice(2, 31), slice(3, 21)),)
    tab.refresh()
    assert "1 region done" in tab.counts.text()


def test_pick_when_objects_are_clicked_then_they_are_selected_one_by_one(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab
) -> None:
    tab.buttons["pick"].click()
    tab._on_clicked(2)
    tab._on_clicked(3)
    tab._on_clicked(0)
    assert sorted(tab.table.selected()) == [2, 3]
    tab._on_clicked(2)
    assert tab.table.selected() == [3]


def test_own_labels_when_drawn_by_hand_then_they_teach(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    viewer.add_image(squares())
    dock.correct.buttons["own"].click()
    link = dock.results.need()
    link.labels.selected_label = 3
    link.labels.paint((10, 10), 3)
    assert dock.session.states(link.key, labels_of(dock)) == {3: "edited"}
    press(dock, qtbot)
    assert labels_of(dock)[10, 10] == 3
    assert len(np.unique(labels_of(dock))) > 3
    assert not told.errors


def test_tools_when_the_image_has_time_then_they_work_on_the_shown_time_point(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    dumb_bells = np.zeros((3, 40, 60), np.float32)
    dumb_bells[:, 3:15, 3:15] = dumb_bells[:, 3:15, 20:32] = dumb_bells[:, 8:10, 15:20] = 1
    viewer.add_image(dumb_bells, axis_labels=("t", "y", "x"))
    press(dock, qtbot)
    viewer.dims.set_current_step(0, 1)
    before = labels_of(dock).copy()
    dock.correct.refresh()
    dock.correct.table.select([int(before[1, 5, 5])])
    viewer.dims.set_current_step(0, 1)
    dock.correct.buttons["split"].click()
    assert np.array_equal(labels_of(dock)[[0, 2]], before[[0, 2]])
    assert len(np.unique(labels_of(dock)[1])) == 3
    assert not told.errors


def test_keys_when_listed_then_none_is_one_of_napari_s_own() -> None:
    from napari.components import ViewerModel
    from napari.layers import Labels
    from napari.utils.action_manager import action_manager
    from napari.utils.key_bindings import coerce_keybinding
    from napari.utils.shortcuts import default_shortcuts

    shared = {
        str(key)
        for name, keys in default_shortcuts.items()
        if getattr(action_manager._actions.get(name), "keymapprovider", None) in (Labels, ViewerModel)
        for key in keys
    }
    assert "B" in shared
    ours = {str(coerce_keybinding(key)) for key in shortcuts.KEYS.values()}
    assert not ours & shared


def test_under_line_when_it_crosses_two_then_the_longer_way_is_first() -> None:
    labels = np.zeros((10, 20), int)
    labels[:, :4], labels[:, 4:] = 1, 2
    assert under_line(labels, np.array([[5.0, 2.0], [5.0, 15.0]])) == [2, 1]


def test_middle_of_when_the_object_is_hollow_then_it_is_a_voxel_of_it() -> None:
    labels = np.ones((9, 9), int)
    labels[2:7, 2:7] = 0
    middle = middle_of(labels, 1)
    assert middle is not None
    assert labels[tuple(int(v) for v in middle)] == 1
    assert middle_of(labels, 5) is None


def test_counts_when_ids_are_huge_then_they_are_counted_all_the_same() -> None:
    ids, sizes = count_labels(np.array([0, 2_000_000_000, 2_000_000_000, 7], np.int64))
    assert (ids.tolist(), sizes.tolist()) == ([7, 2_000_000_000], [1, 2])


def test_table_when_labels_are_painted_then_it_follows_beside_the_window(
    segmented: UNetWidget, tab: CorrectTab, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tab, "isVisible", lambda: True)  # the window of a test is not shown
    labels = segmented.results.need().labels
    labels.paint((35, 55), 9)
    qtbot.waitUntil(lambda: tab.table.objects.row_of(9) is not None, timeout=LIMIT_MS)
    segmented.session.history.undo()
    qtbot.waitUntil(lambda: tab.table.objects.row_of(9) is None, timeout=LIMIT_MS)
