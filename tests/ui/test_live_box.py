"""Learning while the user corrects, in a real viewer with a network of a few thousand weights."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unet.app import commands, library, live, unfinished
from napari_unet.app.live_session import NAME
from napari_unet.app.live_updates import compare
from napari_unet.core.base.errors import UserError
from napari_unet.ui import layers
from napari_unet.ui.thread_runner import PREFIX
from tests.ui.conftest import LIMIT_MS, squares, wait_idle

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[live.LiveRequest]:
    """Replace the job: it shows the squares a pixel to the right whenever something is handed in."""
    asked = []

    def learn(request: live.LiveRequest, report, stop):
        asked.append(request)
        number = 0
        while not stop():
            report(live.Progress(0, 0, "learning"))
            news = request.inbox.take(0.05)
            look = request.inbox.look
            snapshot = None if look is None else request.inbox.latest(look.key)
            if not news or snapshot is None:
                continue
            number += 1
            right = np.roll(np.asarray(snapshot.image.data) > 0.5, 1, axis=1)
            prediction = live_label(right)[look.box]
            shown = live.Shown(number, 3, look.key, compare(snapshot, prediction, look.box))
            report(live.Progress(0, 0, "learning", shown))
        return learnt()

    monkeypatch.setattr(live, "learn_live", learn)
    return asked


def learnt() -> commands.Training:
    return commands.Training("blobs", None, "blobs", False, 0.5, 0.4, 12, "regions", (), True)


def live_label(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    from scipy import ndimage as ndi

    return ndi.label(mask)[0].astype(np.int32)


def labels_of(dock: UNetWidget) -> NDArray[np.integer]:
    return layers.labels_array(dock.results.need().labels)


def wait_shown(dock: UNetWidget, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: "model" in dock.train.live.said.text(), timeout=LIMIT_MS)


def test_live_when_switched_on_then_the_picture_follows_and_what_was_corrected_stays(
    segmented: UNetWidget, learned: list[live.LiveRequest], qtbot: QtBot, told: Told
) -> None:
    dock, before = segmented, labels_of(segmented).copy()
    dock.session.accept(dock.results.need().key, [1])
    n = len(dock.session.history._done)
    dock.train.live.toggle.click()
    wait_shown(dock, qtbot)
    assert dock.train.live.line.text().startswith("Learning: learnt from 3 cells, model ")
    assert dock.job.bar.isHidden()
    assert dock.train.sources.isHidden()
    after = labels_of(dock).copy()
    np.testing.assert_array_equal(after == 1, before == 1)
    np.testing.assert_array_equal(after == 2, np.roll(before == 2, 1, axis=1))
    dock.results.need().labels.data_setitem((np.array([30, 31]), np.array([50, 50])), 9)
    qtbot.waitUntil(lambda: learned[0].inbox.latest(dock.results.need().key).labels[30, 50] == 9, timeout=LIMIT_MS)
    assert [step.name for step in dock.session.history._done[n:]] == [NAME, "Paint"]
    dock.train.live.toggle.click()
    wait_idle(dock, qtbot)
    assert not dock.train.live.toggle.isChecked()
    assert not dock.train.live.line.text()
    assert not dock.train.sources.isHidden()
    assert "You stopped it" in dock.train.outcome.text()
    assert [dock.session.history.undo() for _ in range(3)] == ["Paint", NAME, "Accept"]
    np.testing.assert_array_equal(labels_of(dock), before)
    assert not told.errors


def test_live_when_switched_on_and_off_again_and_again_then_nothing_of_it_stays(
    segmented: UNetWidget, learned: list[live.LiveRequest], qtbot: QtBot, told: Told
) -> None:
    dock = segmented

    def cycle() -> None:
        dock.train.live.toggle.click()
        wait_shown(dock, qtbot)
        dock.train.live.toggle.click()
        wait_idle(dock, qtbot)

    cycle()
    qtbot.waitUntil(lambda: len(job_threads()) == 0, timeout=LIMIT_MS)
    before = threading.active_count()
    inboxes = weakref.WeakSet(request.inbox for request in learned)
    for _ in range(6):
        learned.clear()
        cycle()
        inboxes.add(learned[0].inbox)
    learned.clear()
    qtbot.waitUntil(lambda: len(job_threads()) == 0, timeout=LIMIT_MS)
    gc.collect()
    assert threading.active_count() <= before
    assert len(inboxes) <= 1
    assert not told.errors


def job_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(PREFIX)]


def test_live_when_the_mouse_is_down_then_the_stroke_is_finished_first(
    segmented: UNetWidget, learned: list[live.LiveRequest], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock, before = segmented, labels_of(segmented).copy()
    monkeypatch.setattr(QApplication, "mouseButtons", lambda: Qt.MouseButton.LeftButton)
    dock.train.live.toggle.click()
    qtbot.waitUntil(lambda: "end of your stroke" in dock.train.live.said.text(), timeout=LIMIT_MS)
    np.testing.assert_array_equal(labels_of(dock), before)
    monkeypatch.undo()
    qtbot.waitUntil(lambda: not np.array_equal(labels_of(dock), before), timeout=LIMIT_MS)
    dock.train.discard.click()
    wait_idle(dock, qtbot)
    assert dock.session.model == "blobs"


def test_live_when_the_labels_are_removed_then_it_goes_on_without_them(
    viewer: Viewer, segmented: UNetWidget, learned: list[live.LiveRequest], qtbot: QtBot, told: Told
) -> None:
    dock = segmented
    dock.train.live.toggle.click()
    wait_shown(dock, qtbot)
    key = dock.results.need().key
    viewer.layers.remove(dock.results.need().labels)
    assert learned[0].inbox.latest(key) is None
    dock.train.live.look()
    assert learned[0].inbox.look is None
    dock.train.live.toggle.click()
    wait_idle(dock, qtbot)
    assert not told.errors


def test_live_when_it_cannot_start_or_fails_then_it_is_told_and_the_switch_is_off(
    segmented: UNetWidget, qtbot: QtBot, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_):
        raise UserError("The model is too old.", "Take another one.")

    monkeypatch.setattr(live, "learn_live", fail)
    dock = segmented
    dock.train.live.toggle.click()
    wait_idle(dock, qtbot)
    assert "too old" in told.errors[-1]
    assert not dock.train.live.toggle.isChecked()
    assert dock.train.live.toggle.isEnabled()
    dock.train.options.widgets["budget"].value = "soon"
    dock.train.live.toggle.click()
    assert "budget" in told.errors[-1].lower()
    assert not dock.train.live.toggle.isChecked()


def test_live_when_the_dock_is_closed_then_the_job_ends_and_may_be_gone_on_with(
    segmented: UNetWidget, learned: list[live.LiveRequest], qtbot: QtBot
) -> None:
    dock = segmented
    dock.train.live.toggle.click()
    wait_shown(dock, qtbot)
    job = dock.session.jobs.running
    dock.shut_down()
    assert not job.is_running
    assert job.is_left


@pytest.mark.parametrize("kind", ["live", "fine-tune"])
def test_resume_when_a_training_was_interrupted_then_the_dock_offers_to_go_on(
    segmented: UNetWidget, learned: list[live.LiveRequest], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    dock, bar, resumed = segmented, segmented.train.resume, []
    bar.look()
    assert bar.isHidden()
    folder = library.training_sets_folder() / "blobs-ft-1"
    with unfinished.begun(unfinished.Unfinished(folder, kind, str(library.find_model("blobs")))):
        pass
    monkeypatch.setattr(commands, "fine_tune", lambda request, *_: (resumed.append(request), learnt())[1])
    bar.look()
    assert not bar.isHidden()
    assert "'blobs' was interrupted" in bar.said.text() or "from the model 'blobs'" in bar.said.text()
    bar.go_on.click()
    assert bar.isHidden()
    if kind == "live":
        wait_shown(dock, qtbot)
        dock.train.stop.click()
    wait_idle(dock, qtbot)
    assert (learned[0].folder if kind == "live" else resumed[0].resume) == folder


def test_resume_when_it_is_not_wanted_then_it_is_forgotten_after_a_question(
    dock: UNetWidget, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = library.training_sets_folder() / "blobs-ft-1"
    with unfinished.begun(unfinished.Unfinished(folder, "new", title="my cells")):
        pass
    bar, answers = dock.train.resume, iter([QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes])
    monkeypatch.setattr(QMessageBox, "question", lambda *_: next(answers))
    bar.look()
    bar.forget.click()
    assert folder.is_dir()
    bar.forget.click()
    assert not folder.exists()
    assert bar.isHidden()


def test_live_when_nothing_is_replaced_then_a_correction_is_learnt_and_shown(
    viewer: Viewer, dock: UNetWidget, models_home: object, qtbot: QtBot, told: Told
) -> None:
    from tests.app.models import save_tiny

    save_tiny(library.models_folder())
    dock.models.refresh()
    dock.session.set_model("tiny")
    image = viewer.add_image(squares((64, 96)), name="squares")
    viewer.layers.selection.active = image
    dock.results.new_labels()
    layer, form = dock.results.need().labels, dock.train.options
    form.widgets["patch"].value, form.widgets["batch"].value = 16, 1
    form.widgets["budget"].value = "3steps"
    dock.train.live.toggle.click()
    for number, left in enumerate((3, 18), start=1):
        where = np.nonzero(np.ones((6, 6)))
        layer.data_setitem((where[0] + 3, where[1] + left), number)
    qtbot.waitUntil(
        lambda: "Learnt from 2 cells" in dock.train.live.said.text() and dock.train.plot.n_rows > 0, timeout=LIMIT_MS
    )
    painted = labels_of(dock) == 1
    assert painted[3:9, 3:9].all()
    assert painted.sum() == 36
    dock.train.live.toggle.click()
    wait_idle(dock, qtbot)
    assert dock.train.outcome.text()
    assert not told.errors
