"""Magic correction by hand: a key is held, strokes are drawn in a real window, objects change when it is let go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from skimage.draw import disk

from napari_unet.app.annotations import changes
from napari_unet.app.commands import KeptOutput, SegmentResult
from napari_unet.core.targets import TARGETS
from napari_unet.ui import layers
from napari_unet.ui.magic_overlay import PLUS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
TWO = ((50, 40, 18), (50, 72, 16))


def discs(shape: tuple[int, int] = (100, 140)) -> NDArray[np.int32]:
    labels = np.zeros(shape, np.int32)
    for number, (row, column, radius) in enumerate(TWO, start=1):
        labels[disk((row, column), radius, shape=shape)] = number
    return labels


def show(
    viewer: Viewer, dock: UNetWidget, truth: NDArray[np.int32], labels: NDArray[np.int32], axes: str, **kwargs: Any
) -> None:
    """Show labels as if a network had made them whose output is right."""
    spaces = truth if axes[0] == "T" else truth[None]
    encoded = [TARGETS["instances"].encode(one, None, (1.0,) * one.ndim).target[:2] for one in spaces]
    output: Any = SimpleNamespace(maps=tuple(encoded), shape=spaces.shape[1:])
    layer = viewer.add_image(np.zeros(truth.shape, np.float32), axis_labels=tuple(axes.lower()), **kwargs)
    kept = KeptOutput(output, has_time=axes[0] == "T")
    dock.results.show(layer, dock.workspace.image(), axes, SegmentResult(labels, kept))
    dock.tabs.setCurrentIndex(1)
    dock.correct.refresh()


@pytest.fixture
def merged(viewer: Viewer, dock: UNetWidget, qtbot: QtBot) -> UNetWidget:
    """Give the dock with two cells that were found as one; the window is shown, so that it gets keys and clicks."""
    truth = discs()
    show(viewer, dock, truth, (truth > 0).astype(np.int32), "YX")
    _open(viewer, qtbot)
    return dock


def _open(viewer: Viewer, qtbot: QtBot) -> None:
    viewer.window._qt_window.show()
    qtbot.waitExposed(viewer.window._qt_window)
    viewer.reset_view()
    canvas(viewer).setFocus()


def canvas(viewer: Viewer) -> Any:
    return viewer.window._qt_viewer.canvas.native


def at(viewer: Viewer, voxel: Sequence[float]) -> QPoint:
    """Give the pixel of the canvas where a voxel of the shown plane is drawn."""
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera  # napari 0.9 moved it
    y, x = (np.array(voxel) - camera.center[-2:]) * camera.zoom
    size = canvas(viewer).size()
    return QPoint(round(size.width() / 2 + x), round(size.height() / 2 + y))


def hold(viewer: Viewer, draw: Callable[[], object]) -> None:
    """Hold Q while something is drawn."""
    QTest.keyPress(canvas(viewer), Qt.Key.Key_Q)
    draw()
    QTest.keyRelease(canvas(viewer), Qt.Key.Key_Q)


def stroke(
    viewer: Viewer,
    *voxels: Sequence[float],
    button: Qt.MouseButton = LEFT,
    modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Press at the first voxel, move over the others, release at the last."""
    QTest.mousePress(canvas(viewer), button, modifier, at(viewer, voxels[0]))
    for voxel in voxels[1:]:
        QTest.mouseMove(canvas(viewer), at(viewer, voxel))
        QTest.qWait(10)  # napari looks at moves at most every 5 ms
    QTest.mouseRelease(canvas(viewer), button, modifier, at(viewer, voxels[-1]))


def labels_of(dock: UNetWidget) -> NDArray[np.integer[Any]]:
    return layers.labels_array(dock.results.need().labels)


def test_clicks_when_the_key_is_held_then_cells_are_split_in_one_undo_step(
    viewer: Viewer, merged: UNetWidget, told: Told
) -> None:
    before, truth = labels_of(merged).copy(), discs()

    def draw() -> None:
        stroke(viewer, (50, 40))
        stroke(viewer, (50, 72))
        drawn = canvas(viewer).grab().toImage().pixelColor(at(viewer, (50, 72)))
        assert drawn.name() == PLUS

    hold(viewer, draw)
    assert not told.errors
    after = labels_of(merged)
    assert (after[truth == 1] == after[50, 40]).all()
    assert (after[truth == 2] == after[50, 72]).all()
    assert after[50, 40] != after[50, 72]
    assert not merged.correct.corrector.pen.has_strokes
    merged.correct.buttons["undo"].click()
    np.testing.assert_array_equal(labels_of(merged), before)
    assert not merged.session.history.can_undo


@pytest.mark.parametrize(
    ("button", "modifier"),
    [
        (RIGHT, Qt.KeyboardModifier.NoModifier),
        (LEFT, Qt.KeyboardModifier.ShiftModifier),
        (LEFT, Qt.KeyboardModifier.AltModifier),
    ],
)
def test_minus_when_clicked_in_an_object_then_it_goes_and_teaches_background(
    viewer: Viewer, merged: UNetWidget, told: Told, button: Qt.MouseButton, modifier: Qt.KeyboardModifier
) -> None:
    hold(viewer, lambda: stroke(viewer, (50, 40), button=button, modifier=modifier))
    assert not told.errors
    assert not labels_of(merged).any()
    session, key = merged.session, merged.results.need().key
    assert changes(session.result(key).corrections, labels_of(merged)).erased.sum() == (discs() > 0).sum()


def test_stroke_when_drawn_while_the_brush_is_on_then_nothing_is_painted_and_the_brush_is_back_afterwards(
    viewer: Viewer, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    truth = discs()
    show(viewer, dock, truth, np.where((truth == 1) & (np.arange(140) > 42), 7, truth), "YX")
    _open(viewer, qtbot)
    labels = dock.results.need().labels
    labels.mode, labels.brush_size = "paint", 9
    centre = viewer_centre(viewer)
    hold(viewer, lambda: stroke(viewer, (50, 30), (50, 38), (50, 46), (50, 54)))
    assert not told.errors
    np.testing.assert_array_equal(labels_of(dock), truth)
    assert (str(labels.mode), labels.mouse_pan, labels.mouse_zoom) == ("paint", False, True)
    assert viewer_centre(viewer) == centre
    labels.mode = "pan_zoom"
    dock.correct.buttons["pick"].setChecked(True)
    hold(viewer, lambda: stroke(viewer, (50, 40)))
    assert labels.mouse_pan
    assert not dock.correct.table.selected()
    assert told.errors[-1].startswith("The labels are like that already")


def test_button_when_pressed_twice_then_what_was_drawn_between_is_used(
    viewer: Viewer, merged: UNetWidget, told: Told
) -> None:
    button = merged.correct.buttons["magic"]
    button.click()
    assert button.isChecked()
    stroke(viewer, (50, 40))
    stroke(viewer, (50, 72))
    assert len(np.unique(labels_of(merged))) == 2
    button.click()
    assert not button.isChecked()
    assert len(np.unique(labels_of(merged))) == 3
    assert not told.errors
    button.click()
    button.click()
    assert not told.errors


def test_magic_when_there_is_no_output_of_a_network_then_it_says_what_to_do(
    viewer: Viewer, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(np.zeros((40, 60), np.float32), name="mine")
    dock.correct.buttons["own"].click()
    dock.correct.buttons["magic"].click()
    assert "no network output" in told.errors[-1]
    assert "Segment" in told.errors[-1]
    assert not dock.correct.buttons["magic"].isChecked()


def test_magic_when_the_view_is_three_dimensional_then_it_says_what_to_do(
    viewer: Viewer, merged: UNetWidget, told: Told
) -> None:
    viewer.dims.ndisplay = 3
    merged.correct.buttons["magic"].click()
    assert "two-dimensional view" in told.errors[-1]


def test_clicks_when_the_labels_are_a_series_then_the_shown_time_point_changes(
    viewer: Viewer, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    truth = np.stack([discs(), discs()[::-1]])
    show(viewer, dock, truth, (truth > 0).astype(np.int32), "TYX")
    _open(viewer, qtbot)
    viewer.dims.set_current_step(0, 1)
    hold(viewer, lambda: (stroke(viewer, (49, 40)), stroke(viewer, (49, 72))))
    assert not told.errors
    after = labels_of(dock)
    np.testing.assert_array_equal(after[0], (truth[0] > 0).astype(np.int32))
    assert after[1, 49, 40] != after[1, 49, 72]

    def draw() -> None:
        stroke(viewer, (49, 40))
        viewer.dims.set_current_step(0, 0)
        stroke(viewer, (50, 72))

    hold(viewer, draw)
    assert "another slice or time point" in told.errors[-1]


@pytest.mark.parametrize(("scope", "n_slices"), [(0, 5), (1, 1)])
def test_clicks_when_the_labels_are_a_stack_then_the_scope_says_how_much_changes(
    viewer: Viewer, dock: UNetWidget, qtbot: QtBot, told: Told, scope: int, n_slices: int
) -> None:
    truth = np.stack([discs()] * 5)
    show(viewer, dock, truth, (truth > 0).astype(np.int32), "ZYX")
    dock.correct.tools.scope.setCurrentIndex(scope)
    _open(viewer, qtbot)
    viewer.dims.set_current_step(0, 2)
    hold(viewer, lambda: (stroke(viewer, (50, 40)), stroke(viewer, (50, 72))))
    assert not told.errors
    after = labels_of(dock)
    assert sum(plane[50, 40] != plane[50, 72] for plane in after) == n_slices


def viewer_centre(viewer: Viewer) -> tuple[float, ...]:
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    return tuple(camera.center)
