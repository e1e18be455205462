"""Paint, crash, start again: the labels come back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtWidgets import QMessageBox

from napari_unet.app import autosave, library
from napari_unet.app.autosave_work import Status
from napari_unet.core.store.autosave import Saved
from napari_unet.core.store.autosave_lock import LOCK_FILE
from napari_unet.core.store.journal import Revision
from napari_unet.ui import layers, restore_bar
from napari_unet.ui.autosave_line import words
from napari_unet.ui.main_widget import UNetWidget
from tests.ui.conftest import LIMIT_MS, press, squares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot

    from tests.ui.conftest import Told


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save a moment after the last change, so that nobody waits."""
    defaults = {**(autosave.Autosaver.__init__.__kwdefaults__ or {}), "settle": 0.05, "longest": 0.2}
    monkeypatch.setattr(autosave.Autosaver.__init__, "__kwdefaults__", defaults)


@pytest.fixture
def start_again(make_napari_viewer: Callable[..., Viewer], dock: UNetWidget) -> Iterator[Callable[[], UNetWidget]]:
    """Open a second window, as if the program had been killed: the lock of the first is left by a dead process."""
    made: list[UNetWidget] = []

    def start(*, crashed: bool = True) -> UNetWidget:
        if crashed:
            dock.autosaving.saver.close = lambda seconds: True  # type: ignore[method-assign]
            dock.shut_down()
            for lock in library.autosave_folder().rglob(LOCK_FILE):
                lock.write_text(lock.read_text().replace('"started": ', '"started": 1'))
        viewer = make_napari_viewer()
        widget = UNetWidget(PublicOnlyProxy(viewer))
        viewer.window.add_dock_widget(widget, name="U-Net")
        made.append(widget)
        return widget

    yield start
    for widget in made:
        widget.shut_down()


def saved(dock: UNetWidget, qtbot: QtBot) -> None:
    """Wait for a save that holds all that was done until now."""
    saver = dock.autosaving.saver
    dock.autosaving.saver.tick()
    qtbot.waitUntil(lambda: saver.status.kind == "saved", timeout=LIMIT_MS)


def labels_of(dock: UNetWidget) -> NDArray[np.integer]:
    return layers.labels_array(dock.results.need().labels)


def offered(dock: UNetWidget, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: dock.autosaving.offer is not None, timeout=LIMIT_MS)
    assert not dock.restore_bar.isHidden()


def correct(dock: UNetWidget) -> None:
    """Accept one object, delete one, paint one, doubt one, finish a region."""
    link = dock.results.need()
    dock.session.accept(link.key, [1])
    dock.correct.refresh()
    dock.correct.table.select([2])
    dock.correct.buttons["delete"].click()
    link.labels.paint((30, 50), 9)
    dock.session.mark_unsure(link.key, [3])
    dock.session.mark_done(link.key, (slice(0, 10), slice(0, 20)))


def test_restore_when_the_program_was_killed_then_labels_and_states_come_back(
    segmented: UNetWidget, start_again: Callable[..., UNetWidget], qtbot: QtBot, told: Told
) -> None:
    dock = segmented
    correct(dock)
    saved(dock, qtbot)
    assert dock.autosave.text().startswith("Labels saved ")
    labels, key = labels_of(dock).copy(), dock.results.need().key
    states, before = dock.session.states(key, labels), dock.session.result(key)

    again = start_again()
    qtbot.waitUntil(lambda: "open 'squares' again" in again.restore_bar.said.text(), timeout=LIMIT_MS)
    assert again.restore_bar.restore.isHidden()
    again.workspace.viewer.add_image(squares(), name="squares")
    offered(again, qtbot)
    assert "1 accepted, 1 unsure, 1 regions finished" in again.restore_bar.said.text()
    assert again.restore_bar.both.isHidden()
    again.restore_bar.restore.click()
    link = again.results.need()
    np.testing.assert_array_equal(labels_of(again), labels)
    assert link.labels.name == "squares (U-Net)"
    assert again.session.states(link.key, labels) == states
    after = again.session.result(link.key)
    assert (after.model, after.confidence) == (before.model, pytest.approx(before.confidence))
    assert after.corrections.done == before.corrections.done
    assert again.restore_bar.isHidden()

    link.labels.paint((35, 5), 11)
    saved(again, qtbot)
    press(again, qtbot)  # what was corrected before the crash stays
    assert (labels_of(again)[labels == 1] == 1).all()
    assert not labels_of(again)[(before.corrections.predicted == 2)].any()
    assert labels_of(again)[35, 5] == 11
    assert not told.errors


def test_undo_when_done_by_napari_itself_then_that_is_saved(
    segmented: UNetWidget, start_again: Callable[..., UNetWidget], qtbot: QtBot
) -> None:
    layer = segmented.results.need().labels
    layer.paint((30, 50), 9)
    saved(segmented, qtbot)
    layer.undo()
    assert segmented.autosaving.saver.status.kind == "waiting"
    saved(segmented, qtbot)
    again = start_again()
    again.workspace.viewer.add_image(squares(), name="squares")
    offered(again, qtbot)
    again.restore_bar.restore.click()
    assert not (labels_of(again) == 9).any()


def test_close_when_the_window_closes_in_order_then_the_last_stroke_is_saved(
    viewer: Viewer, segmented: UNetWidget, start_again: Callable[..., UNetWidget], qtbot: QtBot
) -> None:
    segmented.results.need().labels.paint((30, 50), 9)
    viewer.layers.clear()
    segmented.shut_down()
    again = start_again(crashed=False)
    again.workspace.viewer.add_image(squares(), name="squares")
    offered(again, qtbot)
    again.restore_bar.restore.click()
    assert labels_of(again)[30, 50] == 9


@pytest.fixture
def both(segmented: UNetWidget, start_again: Callable[..., UNetWidget], qtbot: QtBot) -> UNetWidget:
    """Give a window whose image has labels, and others that were saved before."""
    segmented.results.need().labels.paint((30, 50), 9)
    saved(segmented, qtbot)
    again = start_again()
    again.workspace.viewer.add_image(squares(), name="squares")
    press(again, qtbot)
    offered(again, qtbot)
    return again


def test_restore_when_there_are_labels_then_it_is_one_undo_step_and_the_file_goes_after_the_next_save(
    both: UNetWidget, qtbot: QtBot
) -> None:
    now = labels_of(both).copy()
    folder = both.autosaving.offer.folder if both.autosaving.offer else None
    both.restore_bar.restore.click()
    assert labels_of(both)[30, 50] == 9
    assert len(both.workspace.viewer.layers) == 2
    both.correct.buttons["undo"].click()
    np.testing.assert_array_equal(labels_of(both), now)
    saved(both, qtbot)
    assert folder is not None
    assert not folder.exists()


def test_restore_when_the_labels_were_removed_by_mistake_then_they_are_offered_at_once(
    segmented: UNetWidget, viewer: Viewer, qtbot: QtBot
) -> None:
    correct(segmented)
    labels = labels_of(segmented).copy()
    viewer.layers.remove(segmented.results.need().labels)
    offered(segmented, qtbot)
    segmented.restore_bar.restore.click()
    np.testing.assert_array_equal(labels_of(segmented), labels)


def test_keep_both_when_pressed_then_the_saved_labels_get_a_layer_of_their_own(both: UNetWidget, qtbot: QtBot) -> None:
    both.restore_bar.both.click()
    found = [one.data[30, 50] for one in both.workspace.viewer.layers[1:]]
    assert sorted(found) == [0, 9]
    saved(both, qtbot)
    assert both.autosaving.offer is None


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_discard_when_pressed_then_it_asks_first(
    both: UNetWidget, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(QMessageBox, "question", lambda *_: getattr(QMessageBox.StandardButton, answer))
    both.restore_bar.discard.click()
    assert (both.autosaving.offer is None) == (answer == "Yes")
    assert labels_of(both)[30, 50] == 0


def test_second_window_when_the_first_is_open_then_it_says_so_and_writes_nothing(
    segmented: UNetWidget, start_again: Callable[..., UNetWidget], qtbot: QtBot
) -> None:
    saved(segmented, qtbot)
    second = start_again(crashed=False)
    second.workspace.viewer.add_image(squares(), name="squares")
    qtbot.waitUntil(lambda: not second.restore_bar.isHidden(), timeout=LIMIT_MS)
    assert "Another window works on this image" in second.restore_bar.said.text()
    assert second.restore_bar.restore.isHidden()
    press(second, qtbot)
    qtbot.waitUntil(lambda: second.autosaving.saver.status.kind == "held", timeout=LIMIT_MS)
    assert "not saved" in second.autosave.text()
    assert len([one for one in library.autosave_folder().glob("*/*") if one.is_dir()]) == 1


def test_line_when_a_save_fails_then_it_is_red_and_closing_asks_until_it_works(
    viewer: Viewer, segmented: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock, saver = segmented, segmented.autosaving.saver
    saved(dock, qtbot)

    def refuse(_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        dock.results.need().labels.paint((30, 50), 9)
        qtbot.waitUntil(lambda: saver.status.kind == "failed", timeout=LIMIT_MS)
    assert "not saved since" in dock.autosave.text()
    assert "disk is full" in dock.autosave.text()
    assert dock.autosave.styleSheet()
    tasks = viewer.window._task_status_manager
    assert tasks.is_busy()
    assert saver.flush(60)
    assert not tasks.is_busy()
    assert not dock.autosave.styleSheet()


def test_offer_when_the_file_is_torn_or_the_image_replaced_then_it_says_so(tmp_path: Path) -> None:
    revision = Revision(1, 0.0, {"accepted": 2})
    assert "2 accepted" in restore_bar.words(Saved(tmp_path, revision))
    assert "damaged" in restore_bar.words(Saved(tmp_path, revision, "000002.journal: record 3: it is cut short"))
    assert "has changed" in restore_bar.words(Saved(tmp_path, revision, is_other_image=True))


def test_words_when_the_state_is_known_then_each_is_told() -> None:
    told = {kind: words(Status(kind, 0.0)) for kind in ("saved", "waiting", "held")}
    assert "1970" in told["saved"]
    assert "newer" in told["waiting"]
    assert "another window" in told["held"]
    assert words(Status()) == ""
