"""Images larger than the memory in a real viewer; the limit is made so small that small images are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.app import commands, library, streaming
from napari_unet.app.asking import Asker
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress
from napari_unet.core.io import open_labels, zarr_write
from napari_unet.ui import large_results, layers
from tests.ui.conftest import LIMIT_MS, STACK, find_blobs, labels_of, press, squares, stores, wait_idle

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.app.commands import SegmentResult
    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

pytestmark = pytest.mark.usefixtures("small_limit")


def test_segment_when_the_image_is_large_then_labels_lie_on_the_disk_and_the_tab_says_where(
    viewer: Viewer, streamed: UNetWidget, told: Told
) -> None:
    labels, (store,) = labels_of(viewer), stores()
    assert (labels.name, labels.data.shape) == ("stack (U-Net)", STACK)
    assert not isinstance(labels.data, np.ndarray)
    assert labels.editable
    assert str(store) in streamed.segment.said.text()
    assert "brush" in streamed.segment.said.text()
    assert not told.errors


def test_features_when_the_labels_are_on_the_disk_then_hold_size_and_confidence(
    viewer: Viewer, streamed: UNetWidget
) -> None:
    labels = labels_of(viewer)
    n = int(np.asarray(open_labels(stores()[0], "r")[...]).max())
    assert n > 0
    assert list(labels.features["index"]) == list(range(n + 1))
    sizes = np.bincount(np.asarray(open_labels(stores()[0], "r")[...]).ravel())
    assert list(labels.features["size"][1:]) == sizes[1:].tolist()
    assert "confidence" in labels.features


def test_brush_when_the_labels_are_on_the_disk_then_strokes_are_there_at_once_and_steps_of_the_dock(
    viewer: Viewer, streamed: UNetWidget
) -> None:
    labels, stored = labels_of(viewer), open_labels(stores()[0], "r")
    before = stored[...]
    viewer.dims.set_point(0, 3)
    labels.paint((3, 20, 30), 4711)
    assert stored[3, 20, 30] == 4711
    viewer.layers.selection.active = labels
    viewer.window._qt_viewer.canvas._key_map_handler.press_key("Control-Z")
    assert np.array_equal(stored[...], before)
    streamed.correct.buttons["redo"].click()
    assert stored[3, 20, 30] == 4711


def test_segment_when_pressed_again_then_the_painted_labels_stay(
    viewer: Viewer, streamed: UNetWidget, qtbot: QtBot
) -> None:
    labels_of(viewer).paint((3, 20, 30), 4711)
    press(streamed, qtbot)
    assert len(viewer.layers) == 2
    viewer.layers.remove(labels_of(viewer))
    qtbot.waitUntil(lambda: not streamed.session.jobs.active, timeout=LIMIT_MS)  # the pyramid is written
    press(streamed, qtbot)
    assert labels_of(viewer).data[3, 20, 30] == 4711
    assert "made before" in streamed.segment.said.text()
    assert len(stores()) == 1


def test_pyramid_when_the_labels_were_painted_then_follows_when_their_layer_goes(
    viewer: Viewer, tiny: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zarr

    monkeypatch.setattr(zarr_write, "SMALLEST", 32)
    viewer.add_image(np.random.default_rng(0).random((60, 80)))
    press(dock, qtbot)
    labels_of(viewer).paint((20, 30), 4711)
    viewer.layers.remove(labels_of(viewer))
    qtbot.waitUntil(lambda: not dock.session.jobs.active, timeout=LIMIT_MS)
    assert zarr.open_group(stores()[0], mode="r")["1"][10, 15] == 4711


def test_segment_when_a_slice_is_too_large_to_paint_then_its_pyramid_is_shown_and_the_tab_says_so(
    viewer: Viewer, tiny: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_write, "SMALLEST", 32)
    monkeypatch.setattr(large_results, "EDGE", 64)
    viewer.add_image(np.random.default_rng(0).random((60, 80)))
    press(dock, qtbot)
    assert labels_of(viewer).multiscale
    assert not labels_of(viewer).editable
    assert "cannot be painted" in dock.segment.said.text()
    assert "this view" in dock.segment.said.text()


def test_segment_when_channels_stand_inside_then_the_labels_show_at_every_channel(
    viewer: Viewer, tiny: str, dock: UNetWidget, qtbot: QtBot
) -> None:
    viewer.add_image(np.random.default_rng(0).random((8, 2, 40, 60)), axis_labels=("z", "c", "y", "x"))
    dock.segment.image_box.channel.setCurrentIndex(1)
    dock.segment.image_box.channel.activated.emit(1)
    press(dock, qtbot)
    labels = labels_of(viewer)
    assert labels.data.shape == (8, 1, 40, 60)
    viewer.dims.set_point(0, 3)
    labels.paint((3, 0, 20, 30), 7)
    assert open_labels(stores()[0], "r")[3, 20, 30] == 7


def test_third_dimension_when_it_would_read_everything_then_the_labels_are_hidden_until_it_is_left(
    viewer: Viewer, streamed: UNetWidget, told: Told
) -> None:
    labels = labels_of(viewer)
    viewer.dims.ndisplay = 3
    assert not labels.visible
    assert "larger than the memory" in told.infos[-1]
    viewer.dims.ndisplay = 2
    assert labels.visible


def test_cancel_when_the_image_is_large_then_says_that_segment_goes_on(
    viewer: Viewer, tiny: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never_ends(request: Any, report: Any, stop: Any) -> None:
        while True:
            report(Progress(1, 9, "tile 1 of 9"))

    monkeypatch.setattr(streaming, "segment_to_store", never_ends)
    viewer.add_image(np.random.default_rng(0).random((60, 80)))
    dock.segment.button.click()
    qtbot.waitUntil(lambda: "tile 1" in dock.job.what.text(), timeout=LIMIT_MS)
    assert "goes on from there" in dock.job.cancel.toolTip()
    dock.job.cancel.click()
    wait_idle(dock, qtbot)
    assert str(library.results_folder()) in dock.segment.said.text()
    assert "goes on from there" in dock.segment.said.text()


def test_large_options_when_the_image_is_small_then_they_are_hidden(
    viewer: Viewer, tiny: str, dock: UNetWidget
) -> None:
    tab = dock.segment
    viewer.add_image(squares((60, 80)), name="large")
    assert not tab.large.isHidden()
    viewer.add_image(squares((30, 30)), name="small")
    assert tab.large.isHidden()


def test_large_options_when_given_then_they_reach_those_who_work(
    viewer: Viewer, tiny: str, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    viewer.add_image(np.random.default_rng(0).random((60, 80)), name="in memory")
    dock.segment.large.widgets["workers"].value = 2
    press(dock, qtbot)
    assert "Several processes cannot open 'in memory'" in told.errors[0]
    dock.segment.large.widgets["scheduler"].value = "node1"
    press(dock, qtbot)
    assert "cluster" in told.errors[1]
    assert dock.segment.button.isEnabled()


# --- the other tabs, and a part of the image


@pytest.mark.parametrize("button", ["merge", "own"])
def test_tools_when_the_labels_are_on_the_disk_then_say_how_to_go_on_and_read_nothing(
    viewer: Viewer, streamed: UNetWidget, told: Told, button: str
) -> None:
    viewer.layers.selection.active = labels_of(viewer)
    streamed.correct.table.select([])
    streamed.correct.refresh()
    assert "They lie on the disk" in streamed.correct.counts.text()
    if button == "merge":
        with pytest.raises(UserError, match="larger than the memory"):
            streamed.results.need()
        return
    streamed.correct.buttons[button].click()
    assert "larger than the memory" in told.errors[0]
    assert "this view" in told.errors[0]


def test_labels_array_when_the_labels_are_stored_then_small_ones_are_read_and_large_ones_refused(
    viewer: Viewer, streamed: UNetWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labels_of(viewer)
    with pytest.raises(UserError, match="larger than the memory"):
        layers.labels_array(labels)
    monkeypatch.setattr(streaming, "fair_bytes", lambda: 1000.0)
    with pytest.raises(UserError, match="do not fit the memory"):
        np.asarray(labels.data)
    monkeypatch.setattr(streaming, "fair_bytes", lambda: 1e9)
    assert layers.labels_array(labels).shape == STACK


def find_blobs_in_part(request: Any, report: Any, stop: Any) -> SegmentResult:
    """Keep the output of the box only, as the pipeline does."""
    found = find_blobs(request, report, stop)
    kept: Any = found.prediction
    return replace(found, prediction=replace(kept, output=kept.output[request.label_box]))


@pytest.fixture
def part(viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> UNetWidget:
    """Segment the view on a large image: its left half, without the first 10 rows."""
    monkeypatch.setattr(commands, "segment", find_blobs_in_part)
    image = viewer.add_image(squares((60, 80)), name="slide", scale=(2, 2), translate=(5, 7))
    image.corner_pixels = np.array([[10, 0], [59, 39]])
    dock.segment.scope.setCurrentIndex(dock.segment.scope.findText("this view"))
    press(dock, qtbot)
    return dock


def test_view_when_the_image_is_large_then_the_labels_have_its_size_and_lie_where_it_is(
    viewer: Viewer, part: UNetWidget
) -> None:
    link = part.results.need()
    assert link.labels.data.shape == (50, 40)
    assert link.labels.data_to_world((0, 0)) == pytest.approx((5 + 2 * 10, 7))
    assert link.image.label_shape == (50, 40)
    assert np.array_equal(np.asarray(link.image.data), viewer.layers["slide"].data[10:, :40])
    assert np.array_equal(link.labels.data > 0, viewer.layers["slide"].data[10:, :40] > 0.5)


def test_view_when_its_labels_are_corrected_then_tools_undo_thresholds_and_training_work(
    part: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    link = part.results.need()
    before = link.labels.data.copy()
    ids = [int(i) for i in np.unique(before) if i]
    part.correct.refresh()
    part.correct.table.select(ids[:1])
    part.correct.buttons["delete"].click()
    assert not (link.labels.data == ids[0]).any()
    part.correct.buttons["undo"].click()
    assert np.array_equal(link.labels.data, before)
    part.correct.table.select(ids)
    part.correct.buttons["accept"].click()
    (snapshot,) = part.session.trainer.snapshots(part.results.all_labels())
    assert (snapshot.image.label_shape, snapshot.labels.shape) == ((50, 40), (50, 40))
    part.segment.options.widgets["threshold"].value = 0.8
    qtbot.waitUntil(lambda: part.session.history.undo_name == "Change thresholds", timeout=LIMIT_MS)
    assert np.array_equal(link.labels.data, before)  # all are accepted
    assert not told.errors


def test_view_when_segmented_again_then_the_same_place_is_merged_and_another_gets_its_own_layer(
    viewer: Viewer, part: UNetWidget, qtbot: QtBot
) -> None:
    first = part.results.need()
    part.correct.refresh()
    part.correct.table.select([1])
    part.correct.buttons["delete"].click()
    press(part, qtbot)
    assert len(viewer.layers) == 2
    assert not (first.labels.data == 1).any()
    viewer.layers["slide"].corner_pixels = np.array([[0, 0], [29, 29]])
    press(part, qtbot)
    assert len(viewer.layers) == 3
    assert part.results.need().labels.data.shape == (30, 30)


def test_view_when_it_is_too_large_itself_then_says_so_before_it_starts(
    viewer: Viewer, blobs: str, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(squares((60, 80)), name="slide")
    dock.segment.scope.setCurrentIndex(dock.segment.scope.findText("this view"))
    dock.segment.button.click()
    assert "This part of 'slide' is larger than the memory" in told.errors[0]
    assert "Zoom in" in told.errors[0]


def test_patches_when_the_labels_are_of_a_part_then_come_from_it(
    viewer: Viewer, part: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    request = part.train.preview._request()
    assert request.image.label_shape == (50, 40)
    assert request.snapshot is not None
    assert request.snapshot.labels.shape == (50, 40)


def test_pre_training_when_the_image_is_large_then_says_that_it_reads_all(
    viewer: Viewer, blobs: str, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(squares((60, 80)), name="slide")
    dock.train.new._on_pretrain()
    assert "pre-training reads all of it" in told.errors[0]
    assert not dock.session.jobs.is_busy


# --- the question before the CPU


def asking(request: Any, report: Any, stop: Any) -> Any:
    asker = Asker(report, asks=request.asks)
    asker.report(Progress(1, 2, "tile 1 of 2"))
    if not asker.may_use_cpu(600):
        raise UserError("There is too little memory.", "Choose the CPU.")
    return find_blobs(request, report, stop)


@pytest.fixture
def asked(viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> UNetWidget:
    """Run a job up to its question."""
    monkeypatch.setattr(commands, "segment", asking)
    viewer.add_image(squares())
    dock.segment.button.click()
    qtbot.waitUntil(lambda: not dock.job.question.isHidden(), timeout=LIMIT_MS)
    return dock


def test_question_when_the_gpu_is_too_small_then_it_shows_the_time_and_yes_goes_on(
    asked: UNetWidget, viewer: Viewer, qtbot: QtBot, told: Told
) -> None:
    assert "10 min" in asked.job.question.text()
    assert asked.job.bar.value() == 500
    asked.job.yes.click()
    assert asked.job.question.isHidden()
    wait_idle(asked, qtbot)
    assert len(viewer.layers) == 2
    assert not told.errors


def test_question_when_answered_with_no_then_the_job_ends_in_words(asked: UNetWidget, qtbot: QtBot, told: Told) -> None:
    asked.job.no.click()
    wait_idle(asked, qtbot)
    assert "too little memory" in told.errors[0]


def test_question_when_cancelled_then_the_job_ends_and_the_question_goes(
    asked: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    asked.job.cancel.click()
    wait_idle(asked, qtbot)
    assert asked.job.question.isHidden()
    assert not told.errors
