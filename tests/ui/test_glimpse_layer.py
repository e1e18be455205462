"""Tiles of a running segmentation: they show while it runs, and leave nothing behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.app import commands, streaming
from napari_unet.app.glimpses import Glimpses
from napari_unet.core.base.glimpse import Glimpse
from napari_unet.core.base.progress import Progress
from napari_unet.ui import layers
from tests.ui.conftest import LIMIT_MS, find_blobs, squares, wait_idle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told


class Halfway:
    """A job that has done the left part of what it was asked for, and waits."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.share = 0.5

    def segment(self, request: Any, report: Any, stop: Any) -> Any:
        assert request.first is not None
        box = request.label_box or tuple(slice(0, n) for n in request.image.label_shape)
        right = box[-1].start + round(self.share * (box[-1].stop - box[-1].start))
        part = (*box[-2:-1], slice(box[-1].start, right))
        time = box[0].start if "T" in request.image.axes else 0
        shown = Glimpse(time, part, np.ones(tuple(s.stop - s.start for s in part), np.uint8))
        while not self.may_end.wait(0.02):
            glimpses = Glimpses(report)
            glimpses.add(shown)
            glimpses.report(Progress(1, 2, "tile 1 of 2"))
        return find_blobs(request, report, stop)


@pytest.fixture
def halfway(monkeypatch: pytest.MonkeyPatch, blobs: str) -> Iterator[Halfway]:
    job = Halfway()
    monkeypatch.setattr(commands, "segment", job.segment)
    yield job
    job.may_end.set()


def shown(viewer: Viewer) -> list[Any]:
    return [layer for layer in viewer.layers if layers.is_preview(layer)]


@pytest.mark.parametrize("end", ["done", "cancelled"])
def test_tiles_when_they_are_done_then_show_on_a_layer_that_goes_with_the_job(
    viewer: Viewer, halfway: Halfway, dock: UNetWidget, qtbot: QtBot, told: Told, end: str
) -> None:
    image = viewer.add_image(squares(), name="squares")
    dock.segment.button.click()
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1, timeout=LIMIT_MS)
    (layer,) = shown(viewer)
    assert layer.name == "squares (being segmented)"
    assert not layer.editable
    assert layer.data[:, :30].all()
    assert not layer.data[:, 30:].any()
    assert viewer.layers.selection.active is image
    assert dock.workspace.layer is image
    if end == "done":
        halfway.may_end.set()
    else:
        dock.job.cancel.click()
    wait_idle(dock, qtbot)
    assert not shown(viewer)
    assert len(viewer.layers) == (2 if end == "done" else 1)
    assert not told.errors


def test_tiles_when_a_view_of_a_time_point_is_segmented_then_lie_where_it_is(
    viewer: Viewer, halfway: Halfway, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "fair_bytes", lambda: 100_000.0)
    movie = viewer.add_image(squares((3, 40, 60)), name="movie", axis_labels=("t", "y", "x"), scale=(1, 2, 2))
    viewer.dims.set_point(0, 2)
    movie.corner_pixels = np.array([[2, 10, 20], [2, 29, 59]])
    dock.segment.scope.setCurrentIndex(dock.segment.scope.findText("this view"))
    dock.segment.button.click()
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1, timeout=LIMIT_MS)
    (layer,) = shown(viewer)
    assert layer.data.shape == (1, 20, 40)
    assert layer.data_to_world((0, 0, 0)) == (2, 20, 40)
    assert layer.data[0, :, :20].all()
    dock.job.cancel.click()
    wait_idle(dock, qtbot)


def test_tiles_when_the_first_is_all_then_no_layer_comes(
    viewer: Viewer, halfway: Halfway, dock: UNetWidget, qtbot: QtBot
) -> None:
    halfway.share = 1.0
    viewer.add_image(squares())
    dock.segment.button.click()
    qtbot.waitUntil(lambda: "tile 1" in dock.job.what.text(), timeout=LIMIT_MS)
    assert not shown(viewer)
    halfway.may_end.set()
    wait_idle(dock, qtbot)


def test_tiles_when_the_image_is_removed_meanwhile_then_nothing_is_left(
    viewer: Viewer, halfway: Halfway, dock: UNetWidget, qtbot: QtBot
) -> None:
    image = viewer.add_image(squares())
    dock.segment.button.click()
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1, timeout=LIMIT_MS)
    viewer.layers.remove(image)
    halfway.may_end.set()
    wait_idle(dock, qtbot)
    assert not viewer.layers
