"""Bad input, failing jobs, layers and windows that go away: each ends in words and a usable dock."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.app import commands
from napari_unet.app.jobs import JobState
from napari_unet.core.base.progress import Progress
from napari_unet.ui import layers
from tests.ui.conftest import LIMIT_MS, destroy, find_blobs, press, squares, wait_idle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

BAD = {
    "constant": np.ones((20, 20)),
    "nan": np.full((20, 20), np.nan),
    "infinite": np.where(np.eye(20) > 0, np.inf, 0.0),
    "one pixel": np.zeros((1, 1)),
    "axes without names": np.random.default_rng(0).random((5, 20, 20)),
}


class Gate:
    """Hold a job until the test lets it go on."""

    def __init__(self) -> None:
        self.is_inside, self.is_open = threading.Event(), threading.Event()

    def segment(self, request: Any, report: Any, stop: Any) -> Any:
        self.hold(report)
        return find_blobs(request, report, stop)

    def hold(self, report: Any) -> None:
        self.is_inside.set()
        while not self.is_open.wait(0.01):
            report(Progress(1, 4, "waiting"))

    def train_for_ever(self, request: Any, report: Any, stop: Any) -> Any:
        self.hold(report)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, blobs: str) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(commands, "segment", gate.segment)
    monkeypatch.setattr(commands, "fine_tune", gate.train_for_ever)
    yield gate
    gate.is_open.set()


@pytest.mark.parametrize("name", BAD)
def test_segment_when_the_image_is_bad_then_it_is_told_and_the_dock_stays_usable(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, told: Told, name: str
) -> None:
    viewer.add_image(BAD[name], name=name, contrast_limits=(0, 1))
    press(dock, qtbot)
    assert len(told.errors) == 1
    assert name in told.errors[0]
    assert told.errors[0].count(".") > 1  # a hint follows
    assert dock.segment.button.isEnabled()
    assert len(viewer.layers) == 1


def test_segment_when_there_is_no_image_then_it_says_how_to_get_one(
    blobs: str, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    press(dock, qtbot)
    assert "no image" in told.errors[0]


def test_segment_when_there_is_no_model_then_it_says_so(
    viewer: Viewer, dock: UNetWidget, qtbot: QtBot, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.add_image(squares())
    monkeypatch.setattr(dock.session, "_model", None)
    press(dock, qtbot)
    assert "model" in told.errors[0]


def test_axes_when_the_user_says_them_then_the_stack_is_segmented(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    viewer.add_image(squares((3, 40, 60)))
    assert "without names" in dock.segment.image_box.words.text()
    box = dock.segment.image_box.axes
    box.setCurrentIndex(box.findData("ZYX"))
    box.activated.emit(box.currentIndex())
    press(dock, qtbot)
    assert layers.labels_array(dock.results.need().labels).shape == (3, 40, 60)
    assert not told.errors


def test_axes_when_there_are_too_many_then_no_choice_is_asked_for(viewer: Viewer, blobs: str, dock: UNetWidget) -> None:
    viewer.add_image(np.zeros((2, 2, 2, 2, 20, 20)))
    assert "each once" in dock.segment.image_box.words.text()
    assert "Choose" not in dock.segment.image_box.words.text()


def test_axes_when_read_otherwise_after_segment_then_the_labels_are_new_ones(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot
) -> None:
    viewer.add_image(squares((3, 40, 60)))
    box = dock.segment.image_box.axes
    for axes in ("TYX", "ZYX"):
        box.setCurrentIndex(box.findData(axes))
        box.activated.emit(box.currentIndex())
        press(dock, qtbot)
        assert dock.results.need().image.axes == axes
    assert len(dock.results.keys) == 2


def test_segment_when_memory_runs_out_then_the_buttons_work_again(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def burst(request: Any, report: Any, stop: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(commands, "segment", burst)
    viewer.add_image(squares())
    press(dock, qtbot)
    assert "memory" in told.errors[0]
    assert dock.segment.button.isEnabled()
    assert not dock.job.isVisible()
    monkeypatch.setattr(commands, "segment", find_blobs)
    press(dock, qtbot)
    assert dock.results.current is not None


def test_cancel_when_pressed_then_nothing_is_left_of_the_job(
    viewer: Viewer, gate: Gate, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    viewer.add_image(squares())
    dock.segment.button.click()
    assert not dock.segment.button.isEnabled()
    qtbot.waitUntil(lambda: "waiting" in dock.job.what.text(), timeout=LIMIT_MS)
    assert dock.job.bar.text() == "25 %"
    dock.job.cancel.click()
    wait_idle(dock, qtbot)
    assert dock.segment.button.isEnabled()
    assert len(viewer.layers) == 1
    assert not told.errors


def test_image_when_removed_during_its_job_then_the_result_is_dropped(
    viewer: Viewer, gate: Gate, dock: UNetWidget, qtbot: QtBot, told: Told
) -> None:
    viewer.add_image(squares())
    dock.segment.button.click()
    assert gate.is_inside.wait(60)
    viewer.layers.clear()
    gate.is_open.set()
    wait_idle(dock, qtbot)
    assert not viewer.layers
    assert "removed" in told.infos[0]
    assert dock.segment.button.isEnabled()


def test_labels_when_removed_during_a_job_then_the_result_comes_on_a_new_layer(
    viewer: Viewer, segmented: UNetWidget, gate: Gate, qtbot: QtBot, told: Told
) -> None:
    dock = segmented
    dock.segment.button.click()
    assert gate.is_inside.wait(60)
    viewer.layers.remove(dock.results.need().labels)
    assert dock.results.current is None
    assert not dock.session.history.can_undo
    gate.is_open.set()
    wait_idle(dock, qtbot)
    assert layers.labels_array(dock.results.need().labels).any()
    assert not told.errors


def test_threshold_when_changed_during_a_job_then_the_labels_follow_it(
    viewer: Viewer, gate: Gate, dock: UNetWidget, qtbot: QtBot
) -> None:
    viewer.add_image(squares())
    dock.segment.button.click()
    assert gate.is_inside.wait(60)
    dock.segment.options.widgets["threshold"].value = 0.8
    qtbot.waitUntil(lambda: not dock.segment._decode.isActive(), timeout=LIMIT_MS)  # there is nothing to decode yet
    gate.is_open.set()
    qtbot.waitUntil(lambda: dock.results.current is not None, timeout=LIMIT_MS)
    labels = dock.results.need().labels
    qtbot.waitUntil(lambda: not layers.labels_array(labels)[5, 5], timeout=LIMIT_MS)
    assert layers.labels_array(labels).any()


def test_viewer_when_closed_while_training_then_the_job_is_given_up(
    viewer: Viewer, segmented: UNetWidget, gate: Gate, qtbot: QtBot
) -> None:
    dock = segmented
    dock.session.accept(dock.results.need().key, [1])
    dock.train.button.click()
    assert gate.is_inside.wait(60)
    job = dock.session.jobs.running
    viewer.close()
    qtbot.waitUntil(
        lambda: not any(t.name.startswith("napari-unet-job") for t in threading.enumerate()), timeout=LIMIT_MS
    )
    assert job is not None
    qtbot.waitUntil(lambda: not job.is_running, timeout=LIMIT_MS)
    assert job.state in (JobState.CANCELLED, JobState.SUPERSEDED)


def test_dock_when_taken_away_while_training_then_the_job_is_given_up(
    viewer: Viewer, segmented: UNetWidget, gate: Gate, qtbot: QtBot, told: Told
) -> None:
    dock = segmented
    dock.session.accept(dock.results.need().key, [1])
    dock.train.button.click()
    assert gate.is_inside.wait(60)
    viewer.window.remove_dock_widget(dock)
    assert not any(t.name.startswith("napari-unet-job") for t in threading.enumerate())
    viewer.layers.clear()
    viewer.add_image(squares())
    assert not told.errors
    destroy(dock)


def test_close_when_a_job_runs_then_napari_would_ask_first(
    viewer: Viewer, gate: Gate, dock: UNetWidget, qtbot: QtBot
) -> None:
    viewer.add_image(squares(), name="mine")
    dock.segment.button.click()
    assert gate.is_inside.wait(60)
    assert any("mine" in line for line in viewer.window._task_status_manager.get_status())
    gate.is_open.set()
    wait_idle(dock, qtbot)
    assert not viewer.window._task_status_manager.get_status()


def test_training_when_nothing_teaches_then_it_says_what_to_do(segmented: UNetWidget, told: Told) -> None:
    segmented.train.button.click()
    assert "learn" in told.errors[0]
    assert segmented.train.button.isEnabled()


def test_training_when_it_starts_then_no_look_at_the_corrections_comes_in_between(
    segmented: UNetWidget, gate: Gate, qtbot: QtBot
) -> None:
    dock = segmented
    dock.session.accept(dock.results.need().key, [1])
    dock.train._look.start()  # as a correction does where the tab is seen
    dock.train.button.click()
    assert gate.is_inside.wait(60)
    assert not dock.train._look.isActive()


def test_training_when_discarded_then_the_model_stays(
    segmented: UNetWidget, gate: Gate, qtbot: QtBot, told: Told
) -> None:
    dock = segmented
    dock.session.accept(dock.results.need().key, [1])
    dock.train.button.click()
    assert gate.is_inside.wait(60)
    assert dock.train.stop.isEnabled()
    dock.train.discard.click()
    wait_idle(dock, qtbot)
    assert dock.session.model == "blobs"
    assert dock.train.button.isEnabled()
    assert not dock.train.stop.isEnabled()


def test_own_labels_when_they_do_not_fit_then_it_is_told(
    viewer: Viewer, blobs: str, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(squares())
    viewer.add_labels(np.zeros((7, 9), np.int32), name="other")
    dock.correct.buttons["own"].click()
    assert "other" in told.errors[0]
    assert "(7, 9)" in told.errors[0]


def test_tools_when_nothing_is_selected_then_each_says_what_is_missing(segmented: UNetWidget, told: Told) -> None:
    for name in ("accept", "merge", "split", "delete", "unsure"):
        told.errors.clear()
        segmented.correct.buttons[name].click()
        assert len(told.errors) == 1, name


def test_import_when_the_dock_s_module_is_loaded_then_torch_is_not() -> None:
    code = "import sys, napari_unet.ui.main_widget; sys.exit('torch' in sys.modules or 'pyqtgraph' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
