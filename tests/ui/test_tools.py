"""The correction tools in a real viewer: what is drawn, which slice, which time point, which object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from npe2 import PluginManifest

from napari_unet.app.commands import KeptOutput, SegmentResult
from napari_unet.core.edits import EDITS
from napari_unet.ui import layers, shortcuts, tool_menu, view
from napari_unet.ui.drawings import DRAWING, SEEDS
from tests.ui.conftest import press, squares

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.correct_tab import CorrectTab
    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

MANIFEST = Path(tool_menu.__file__).parents[1] / "napari.yaml"


@pytest.fixture
def stack(viewer: Viewer, dock: UNetWidget) -> CorrectTab:
    """Give the tab with a stack of 6 slices in which a square is drawn twice, and a column in all of them."""
    viewer.add_image(np.zeros((6, 40, 40), np.float32), axis_labels=("z", "y", "x"), name="stack")
    made = np.zeros((6, 40, 40), np.uint8)
    made[1, 5:15, 5:15] = made[5, 5:15, 5:15] = 1
    made[:, 25:35, 25:35] = 2
    viewer.layers.selection.active = viewer.add_labels(made, name="mine")
    dock.correct.buttons["own"].click()
    dock.tabs.setCurrentIndex(1)
    dock.correct.refresh()
    return dock.correct


def labels_of(dock: UNetWidget) -> NDArray[np.integer]:
    return layers.labels_array(dock.results.need().labels)


def test_manifest_when_compared_with_the_tools_then_each_has_a_command_and_a_menu_entry() -> None:
    found = PluginManifest.from_file(MANIFEST).contributions
    commands = {c.id: (c.python_name, c.title) for c in found.commands or []}
    expected = {f"napari-unet.{name}": tool.title for name, tool in EDITS.items()}
    for command, title in expected.items():
        name = command.removeprefix("napari-unet.")
        assert commands[command] == (f"napari_unet.ui.tool_menu:use_{name}", title)
        assert callable(getattr(tool_menu, f"use_{name}"))
    listed = [item.command for item in (found.menus or {})["napari-unet.tools"]]
    assert listed == list(expected)


def test_tool_box_when_shown_then_each_tool_has_a_button_a_key_and_a_form(tab: CorrectTab) -> None:
    for name, tool in EDITS.items():
        tip = tab.buttons[name].toolTip()
        assert tool.tip in tip
        assert not tool.key or shortcuts.qt_name(name) in tip
        kind = tool.parameters()
        assert set(tab.tools.parameters(name)) == set(vars(kind()) if kind else ())
    assert len(set(shortcuts.KEYS.values())) == len(shortcuts.KEYS)


@pytest.mark.parametrize("name", ["grow", "shrink", "remove_small", "relabel", "clear_border"])
def test_tool_when_pressed_then_one_undo_takes_it_back(
    segmented: UNetWidget, tab: CorrectTab, told: Told, name: str
) -> None:
    before = labels_of(segmented).copy()
    if name == "clear_border":
        segmented.results.need().labels.data_setitem((np.array([0]), np.array([0])), 9)
        segmented.session.history.clear()
        before = labels_of(segmented).copy()
    tab.table.select([1] if name in ("grow", "shrink", "relabel") else [])
    tab.buttons[name].click()
    assert not told.errors
    assert not np.array_equal(labels_of(segmented), before)
    tab.buttons["undo"].click()
    assert np.array_equal(labels_of(segmented), before)
    assert not segmented.session.history.can_undo


def test_settings_when_a_tool_is_used_then_its_own_are_shown_and_count(segmented: UNetWidget, tab: CorrectTab) -> None:
    tab.tools.forms["grow"].widgets["by"].value = 3.0
    tab.table.select([1])
    before = int((labels_of(segmented) == 1).sum())
    tab.buttons["grow"].click()
    assert tab.tools.settings_of.currentData() == "grow"
    assert (labels_of(segmented) == 1).sum() > before + 2 * 4 * 6


def test_relabel_when_an_object_was_predicted_then_it_still_is(segmented: UNetWidget, tab: CorrectTab) -> None:
    key = segmented.results.need().key
    tab.table.select([2])
    tab.buttons["accept"].click()
    sure = segmented.session.confidences(key)
    tab.tools.forms["relabel"].widgets["to"].value = 30
    tab.table.select([1])
    tab.buttons["relabel"].click()
    tab.buttons["renumber"].click()
    states = segmented.session.states(key, labels_of(segmented))
    assert states == {1: "accepted", 2: "predicted", 3: "predicted", 4: "predicted"}
    assert segmented.session.confidences(key)[4] == sure[1]
    tab.buttons["undo"].click()
    tab.buttons["undo"].click()
    states = segmented.session.states(key, labels_of(segmented))
    assert states == {1: "predicted", 2: "accepted", 3: "predicted", 4: "predicted"}


def test_outline_when_drawn_around_objects_then_merge_takes_those(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, told: Told
) -> None:
    tab.buttons["outline"].click()
    view.named(viewer, DRAWING).add_polygons(np.array([[0, 0], [0, 12], [39, 12], [39, 0]]))
    tab.buttons["merge"].click()
    assert not told.errors
    merged = labels_of(segmented)
    assert merged[4, 4] == merged[23, 4] != 0
    assert len(np.unique(merged)) == 4
    assert not view.named(viewer, DRAWING).data


def test_line_when_drawn_through_objects_then_delete_takes_those_by_the_key_of_the_drawing(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, told: Told
) -> None:
    tab.buttons["cut"].click()
    shapes = view.named(viewer, DRAWING)
    shapes.add_lines(np.array([[4.0, 0.0], [4.0, 59.0]]))
    shapes.keymap[next(key for key in shapes.keymap if str(key) == "D")](shapes)
    assert not told.errors
    assert not labels_of(segmented)[4].any()
    assert len(np.unique(labels_of(segmented))) == 3


def test_outline_when_drawn_where_nothing_is_then_draw_makes_an_object_that_teaches(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, told: Told
) -> None:
    tab.buttons["outline"].click()
    view.named(viewer, DRAWING).add_polygons(np.array([[5, 45], [5, 55], [15, 55], [15, 45]]))
    tab.buttons["draw"].click()
    assert not told.errors
    drawn = labels_of(segmented)
    assert (drawn[5:16, 45:56] == 5).all()
    assert segmented.session.states(segmented.results.need().key, drawn)[5] == "edited"
    assert not tab.drawing.is_on


def test_drawing_layer_when_it_is_empty_and_left_then_it_hides_until_it_is_drawn_on(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab
) -> None:
    tab.buttons["cut"].click()
    shapes, labels = view.named(viewer, DRAWING), segmented.results.need().labels
    viewer.layers.selection.active = labels
    assert not shapes.visible
    tab.buttons["cut"].click()
    assert shapes.visible
    shapes.add_lines(np.array([[4.0, 0.0], [4.0, 59.0]]))
    viewer.layers.selection.active = labels
    assert shapes.visible


def test_seeds_when_placed_then_split_gives_each_a_part(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, told: Told
) -> None:
    tab.buttons["seeds"].click()
    view.named(viewer, SEEDS).add(np.array([[3, 5], [8, 5]]))
    tab.table.select([int(labels_of(segmented)[4, 4])])
    tab.buttons["split"].click()
    assert not told.errors
    assert labels_of(segmented)[3, 5] != labels_of(segmented)[8, 5]
    assert not len(view.named(viewer, SEEDS).data)


def test_key_when_nothing_is_selected_then_the_object_under_the_pointer_is_meant(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, told: Told
) -> None:
    tab.table.clearSelection()
    viewer.cursor.position = (4.0, 4.0)
    labels = segmented.results.need().labels
    labels.keymap[next(key for key in labels.keymap if str(key) == "D")](labels)
    assert not told.errors
    assert labels_of(segmented)[4, 4] == 0
    assert len(np.unique(labels_of(segmented))) == 4


@pytest.mark.parametrize(("scope", "n_left"), [(0, 0), (1, 5)])
def test_delete_when_labels_are_a_stack_then_the_scope_says_what_goes(
    viewer: Viewer, dock: UNetWidget, stack: CorrectTab, scope: int, n_left: int
) -> None:
    assert stack.tools.scope.isVisibleTo(stack)
    stack.table.select([2])
    viewer.dims.set_current_step(0, 3)
    stack.tools.scope.setCurrentIndex(scope)
    stack.buttons["delete"].click()
    assert (labels_of(dock) == 2).any(axis=(1, 2)).sum() == n_left
    assert not (labels_of(dock)[3] == 2).any()


def test_slices_when_interpolated_then_the_gap_is_filled_and_copy_on_goes_to_the_next(
    viewer: Viewer, dock: UNetWidget, stack: CorrectTab, told: Told
) -> None:
    stack.table.select([1])
    stack.buttons["interpolate"].click()
    assert (labels_of(dock)[1:, 5:15, 5:15] == 1).all()
    stack.tools.forms["copy_on"].widgets["to"].value = "previous"
    viewer.dims.set_current_step(0, 1)
    stack.buttons["copy_on"].click()
    assert (labels_of(dock)[0, 5:15, 5:15] == 1).all()
    assert viewer.dims.current_step[0] == 0
    assert not told.errors


def test_slice_tools_when_another_axis_is_hidden_then_they_work_along_it(
    viewer: Viewer, dock: UNetWidget, stack: CorrectTab, told: Told
) -> None:
    viewer.dims.order = (2, 0, 1)
    viewer.dims.set_current_step(2, 30)
    stack.table.select([2])
    viewer.dims.set_current_step(2, 30)
    stack.tools.scope.setCurrentIndex(1)
    stack.buttons["delete"].click()
    assert not (labels_of(dock)[:, :, 30] == 2).any()
    assert (labels_of(dock) == 2).sum() == 6 * 10 * 9
    stack.buttons["undo"].click()
    viewer.dims.set_current_step(2, 34)
    stack.buttons["copy_on"].click()
    assert (labels_of(dock)[:, 25:35, 35] == 2).all()
    assert viewer.dims.current_step[2] == 35
    assert not told.errors


def test_copy_on_when_there_is_time_then_it_goes_to_the_next_time_point(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    movie = np.stack([squares(), np.zeros((40, 60), np.float32)])
    viewer.add_image(movie, axis_labels=("t", "y", "x"))
    press(dock, qtbot)
    dock.correct.refresh()
    viewer.dims.set_current_step(0, 0)
    dock.correct.table.select([1])
    dock.correct.tools.forms["copy_on"].widgets["fit"].value = False
    dock.correct.buttons["copy_on"].click()
    assert not told.errors
    assert np.array_equal(labels_of(dock)[1] == 1, labels_of(dock)[0] == 1)
    assert viewer.dims.current_step[0] == 1


def test_tools_when_labels_are_classes_then_some_work_and_the_others_say_why(
    viewer: Viewer, dock: UNetWidget, told: Told
) -> None:
    layer = viewer.add_image(squares(), name="squares")
    made = np.zeros((40, 60), np.int32)
    made[5:20, 5:20] = 1
    made[10, 10] = 0
    kept = KeptOutput(None)  # type: ignore[arg-type]
    result = SegmentResult(made, kept, classes=("tissue", "vessel"))
    dock.results.show(layer, dock.workspace.image(), "YX", result)
    dock.correct.refresh()
    dock.correct.table.select([1])
    dock.correct.buttons["fill_holes"].click()
    assert not told.errors
    assert labels_of(dock)[10, 10] == 1
    for name, tool in EDITS.items():
        if tool.no_classes:
            dock.correct.buttons[name].click()
            assert tool.no_classes in told.errors[-1]


def test_tools_when_labels_are_stored_then_they_are_written_there(viewer: Viewer, dock: UNetWidget, told: Told) -> None:
    viewer.add_image(squares(), name="squares")
    stored = zarr.create_array({}, data=(squares() > 0.5).astype(np.int32), chunks=(16, 16))
    viewer.layers.selection.active = viewer.add_labels(stored, name="stored")
    dock.correct.buttons["own"].click()
    dock.correct.corrector.use("separate", [1])
    assert len(np.unique(stored[...])) == 5
    dock.correct.corrector.use("delete", [2])
    assert len(np.unique(stored[...])) == 4
    dock.correct.buttons["undo"].click()
    assert len(np.unique(stored[...])) == 5
    assert not told.errors


def test_tool_when_the_labels_are_hidden_then_they_are_shown_and_changed(
    viewer: Viewer, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(squares(), name="squares")
    made = (squares() > 0.5).astype(np.int32)
    viewer.layers.selection.active = viewer.add_labels(made, visible=False)
    dock.correct.buttons["own"].click()
    dock.correct.refresh()
    dock.correct.table.select([1])
    dock.correct.buttons["separate"].click()
    assert dock.results.need().labels.visible
    assert len(np.unique(labels_of(dock))) == 5
    assert not told.errors


def test_menu_when_a_tool_is_chosen_then_it_is_used_in_the_open_dock(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer.window, "add_plugin_dock_widget", lambda *names: (None, segmented))
    tab.table.select([1])
    tool_menu.use_delete()
    assert not (labels_of(segmented) == 1).any()
    with pytest.raises(AttributeError, match="use_nothing"):
        _ = tool_menu.use_nothing
