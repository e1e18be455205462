"""The whole round in a real viewer, driving the buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.ui import layers
from tests.ui.conftest import LIMIT_MS, press, squares, wait_idle

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told


def labels_of(dock: UNetWidget) -> NDArray[np.integer]:
    return layers.labels_array(dock.results.need().labels)


def test_round_when_segmented_corrected_and_trained_then_the_corrections_survive_the_new_model(
    viewer: Viewer, segmented: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    dock, found = segmented, segmented.results.need()
    assert found.labels.name == "squares (U-Net)"
    assert set(np.unique(labels_of(dock))) == {0, 1, 2, 3, 4}
    correct = dock.correct
    correct.refresh()
    deleted = labels_of(dock) == 2
    correct.table.select([2])
    correct.buttons["delete"].click()
    correct.refresh()
    correct.table.select([1])
    correct.buttons["accept"].click()
    accepted = labels_of(dock) == 1
    found.labels.data_setitem((np.array([30, 31]), np.array([50, 50])), 9)

    dock.tabs.setCurrentIndex(2)
    dock.train.refresh()
    qtbot.waitUntil(lambda: "1 accepted" in dock.train.sources.text(), timeout=LIMIT_MS)
    dock.train.button.click()
    wait_idle(dock, qtbot)
    assert dock.session.model == "blobs-ft-1"
    assert "0.610" in dock.train.outcome.text()
    assert "0.720" in dock.train.outcome.text()
    qtbot.waitUntil(lambda: dock.train.plot is not None and dock.train.plot.n_rows == 5, timeout=LIMIT_MS)

    press(dock, qtbot)
    again = labels_of(dock)
    assert (again[accepted] == 1).all()
    assert not again[deleted].any()
    assert again[30, 50] == 9
    assert len(viewer.layers) == 2
    dock.train.back.click()
    assert dock.session.model == "blobs"
    assert not told.errors


def test_segment_when_pressed_twice_then_one_undo_takes_the_second_back(segmented: UNetWidget, qtbot: QtBot) -> None:
    dock = segmented
    before = labels_of(dock).copy()
    n = len(dock.session.history._done)
    dock.segment.options.widgets["threshold"].value = 0.8
    press(dock, qtbot)
    assert not np.array_equal(labels_of(dock), before)
    assert len(dock.session.history._done) == n + 1
    dock.correct.buttons["undo"].click()
    assert np.array_equal(labels_of(dock), before)
    dock.correct.buttons["redo"].click()
    assert not np.array_equal(labels_of(dock), before)


def test_threshold_when_changed_then_the_kept_output_is_decoded_again(segmented: UNetWidget, qtbot: QtBot) -> None:
    dock = segmented
    assert labels_of(dock)[5, 5]
    dock.segment.options.widgets["threshold"].value = 0.8
    qtbot.waitUntil(lambda: not labels_of(dock)[5, 5], timeout=LIMIT_MS)
    dock.correct.buttons["undo"].click()
    assert labels_of(dock)[5, 5]


def test_brush_when_used_between_tools_then_each_stroke_is_one_step(segmented: UNetWidget) -> None:
    dock, layer = segmented, segmented.results.need().labels
    before = labels_of(dock).copy()
    layer.paint((30, 50), 7)
    dock.correct.refresh()
    dock.correct.table.select([1, 2])
    dock.correct.buttons["merge"].click()
    layer.paint((35, 55), 7)
    for _ in range(2):
        dock.correct.buttons["undo"].click()
    assert labels_of(dock)[30, 50] == 7
    assert labels_of(dock)[35, 55] == 0
    assert (labels_of(dock)[before == 2] == 2).all()
    dock.correct.buttons["undo"].click()
    assert np.array_equal(labels_of(dock), before)


def test_keys_when_pressed_on_the_labels_layer_then_the_dock_s_history_is_used(
    viewer: Viewer, segmented: UNetWidget
) -> None:
    dock, layer = segmented, segmented.results.need().labels
    viewer.layers.selection.active = layer
    dock.correct.refresh()
    dock.correct.table.select([3])
    viewer.window._qt_viewer.canvas._key_map_handler.press_key("A")
    viewer.window._qt_viewer.canvas._key_map_handler.press_key("D")
    assert not (labels_of(dock) == dock.correct.table.selected()).any()
    viewer.window._qt_viewer.canvas._key_map_handler.press_key("Control-Z")
    viewer.window._qt_viewer.canvas._key_map_handler.press_key("Control-Z")
    assert set(dock.session.states(dock.results.need().key, labels_of(dock)).values()) == {"predicted"}


def test_view_scope_when_chosen_then_only_the_view_is_segmented(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot
) -> None:
    image = viewer.add_image(squares())
    image.corner_pixels = np.array([[0, 0], [39, 14]])
    dock.segment.scope.setCurrentIndex(dock.segment.scope.findText("this view"))
    press(dock, qtbot)
    assert set(np.unique(labels_of(dock)[:, :15])) == {0, 1, 3}
    assert not labels_of(dock)[:, 15:].any()


def test_slice_scope_when_a_stack_has_time_then_one_plane_of_one_time_is_segmented(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot
) -> None:
    viewer.add_image(squares((3, 4, 40, 60)), axis_labels=("t", "z", "y", "x"))
    viewer.dims.current_step = (1, 2, 0, 0)
    dock.segment.scope.setCurrentIndex(dock.segment.scope.findText("this slice"))
    press(dock, qtbot)
    filled = labels_of(dock).any(axis=(2, 3))
    assert np.argwhere(filled).tolist() == [[1, 2]]
