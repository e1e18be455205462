"""Outlines drawn by hand in a real window: one press and release for each object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet.core.edits.drawing import draw_outline
from napari_unet.ui.draw_mode import is_closed
from tests.ui.test_magic import canvas, discs, hold, labels_of, merged, show, stroke  # noqa: F401  # merged: a fixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


def round_about(row: float, column: float, radius: float) -> list[tuple[float, float]]:
    turns = np.linspace(0, 2 * np.pi, 24)
    return [(row + radius * np.sin(turn), column + radius * np.cos(turn)) for turn in turns]


def press(viewer: Viewer) -> None:
    QTest.keyClick(canvas(viewer), Qt.Key.Key_O)


def inside(points: Sequence[tuple[float, float]], shape: tuple[int, int] = (100, 140)) -> Any:
    return draw_outline(np.array(points), shape)


def test_outline_when_the_key_is_on_then_each_stroke_is_an_object_and_one_undo_step(
    viewer: Viewer,
    merged: UNetWidget,  # noqa: F811
    told: Told,
) -> None:
    before, correct = labels_of(merged).copy(), merged.correct
    press(viewer)
    assert correct.buttons["draw"].isChecked()
    stroke(viewer, *round_about(50, 72, 16))
    stroke(viewer, *round_about(20, 110, 9))
    assert not told.errors
    after = labels_of(merged)
    assert after[50, 72] == 2
    assert after[50, 40] == 1
    assert after[20, 110] == 3
    assert (after[inside(round_about(20, 110, 7))] == 3).all()
    correct.buttons["undo"].click()
    assert not labels_of(merged)[20, 110]
    correct.buttons["undo"].click()
    np.testing.assert_array_equal(labels_of(merged), before)
    press(viewer)
    assert not correct.buttons["draw"].isChecked()
    stroke(viewer, *round_about(20, 110, 9))
    np.testing.assert_array_equal(labels_of(merged), before)


def test_line_when_the_key_is_on_then_it_cuts_the_object_under_it(
    viewer: Viewer,
    merged: UNetWidget,  # noqa: F811
    told: Told,
) -> None:
    press(viewer)
    stroke(viewer, (20, 57), (50, 57), (80, 57))
    assert not told.errors
    after = labels_of(merged)
    assert {int(after[50, 40]), int(after[50, 72])} == {1, 2}


def test_mode_when_magic_is_held_or_the_brush_is_taken_then_it_rests_or_ends(
    viewer: Viewer,
    merged: UNetWidget,  # noqa: F811
    told: Told,
) -> None:
    press(viewer)
    hold(viewer, lambda: stroke(viewer, (50, 40)) or stroke(viewer, (50, 72)))
    after = labels_of(merged)
    assert after[50, 40] != after[50, 72]
    assert merged.correct.drawing.is_on
    merged.results.need().labels.mode = "paint"
    assert not merged.correct.drawing.is_on
    assert merged.results.need().labels.mode == "paint"
    assert not told.errors


def test_outline_when_drawn_in_two_slices_of_a_stack_then_it_is_one_object_through_them(
    viewer: Viewer, dock: UNetWidget, told: Told, qtbot: QtBot
) -> None:
    truth = np.repeat(discs()[None], 24, axis=0)
    show(viewer, dock, truth, np.zeros_like(truth), "ZYX")
    viewer.window._qt_window.show()
    qtbot.waitExposed(viewer.window._qt_window)
    viewer.reset_view()
    canvas(viewer).setFocus()
    press(viewer)
    for at, radius, held in ((6, 18, NONE), (14, 18, NONE), (2, 5, SHIFT)):
        viewer.dims.set_point(0, at)
        stroke(viewer, *round_about(50, 40, radius), modifier=held)
    assert not told.errors
    after = labels_of(dock)
    assert set(np.unique(after)) == {0, 1}
    assert (after[6:15, 45:55, 35:45] == 1).all()
    assert (after[2, 50, [36, 40, 44]] == 1).all()
    assert not after[2, 50, [32, 48]].any()
    viewer.dims.set_point(0, 22)
    stroke(viewer, *round_about(20, 110, 5))
    assert labels_of(dock)[22, 20, 110] == 2
    viewer.dims.set_point(0, 2)
    stroke(viewer, *round_about(20, 110, 5), modifier=SHIFT)
    assert (labels_of(dock)[2:23, 20, 110] == 2).all()


def test_outline_when_the_last_one_is_undone_then_the_next_goes_on_from_the_one_before(
    viewer: Viewer, dock: UNetWidget, told: Told, qtbot: QtBot
) -> None:
    truth = np.repeat(discs()[None], 24, axis=0)
    show(viewer, dock, truth, np.zeros_like(truth), "ZYX")
    viewer.window._qt_window.show()
    qtbot.waitExposed(viewer.window._qt_window)
    viewer.reset_view()
    canvas(viewer).setFocus()
    press(viewer)
    viewer.dims.set_point(0, 6)
    stroke(viewer, *round_about(50, 40, 18))
    once = labels_of(dock).copy()
    viewer.dims.set_point(0, 16)
    stroke(viewer, *round_about(50, 40, 4), modifier=SHIFT)
    dock.correct.buttons["undo"].click()
    np.testing.assert_array_equal(labels_of(dock), once)
    stroke(viewer, *round_about(50, 40, 14), modifier=SHIFT)
    assert not told.errors
    after = labels_of(dock)
    assert set(np.unique(after)) == {0, 1}
    np.testing.assert_array_equal(after[6], once[6])
    assert (after[6:17, 45:55, 35:45] == 1).all()


@pytest.mark.parametrize(("turn", "expected"), [(2 * np.pi, True), (1.9 * np.pi, True), (np.pi, False), (0.0, False)])
def test_stroke_when_its_ends_are_near_then_it_is_an_outline(turn, expected):
    turns = np.linspace(0, turn, 30)
    points = [(float(np.cos(t)), float(np.sin(t))) for t in turns] if turn else [(float(t), 0.0) for t in range(30)]
    assert is_closed(points) is expected
