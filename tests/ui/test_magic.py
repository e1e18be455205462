"""Magic correction by hand: a key is held, strokes are drawn in a real window, objects change when it is let go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from skimage.draw import disk

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


def hold(viewer: Viewer, draw: Callable[[], None]) -> None:
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
