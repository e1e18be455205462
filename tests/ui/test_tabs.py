"""What the tabs say and offer, apart from the round."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QInputDialog, QLineEdit

from napari_unet.app import commands, library
from napari_unet.app.commands import Training
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress
from napari_unet.core.store.spec import SPEC_FILE, read_spec
from napari_unet.ui.cards import card
from napari_unet.ui.device_line import WAITING
from napari_unet.ui.image_box import parse_voxel_size
from napari_unet.ui.job_panel import time_left
from napari_unet.ui.main_widget import UNetWidget
from tests.ui.conftest import LIMIT_MS, add_model, destroy, squares, wait_idle

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from tests.ui.conftest import Told

WIDTH = 400


def test_dock_when_it_is_400_px_wide_then_no_tab_is_wider(viewer: Viewer, blobs: str, dock: UNetWidget) -> None:
    viewer.add_image(squares((3, 40, 60)), axis_labels=("t", "y", "x"))
    for index in range(dock.tabs.count()):
        inside = dock.tabs.widget(index).widget()
        assert inside.minimumSizeHint().width() <= WIDTH - 40, dock.tabs.tabText(index)


def test_dock_when_looked_through_then_every_control_has_a_tooltip(dock: UNetWidget) -> None:
    for kind in (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit):
        for control in dock.findChildren(kind):
            inner = control.objectName().startswith("qt_") or control.parent() in dock.findChildren(QAbstractSpinBox)
            is_tab_scroller = type(control.parent()).__name__ == "QTabBar"
            if not inner and not is_tab_scroller:
                assert control.toolTip(), (type(control), control.objectName(), type(control.parent()))


def test_image_box_when_another_image_is_active_then_it_is_followed(
    viewer: Viewer, blobs: str, dock: UNetWidget
) -> None:
    first = viewer.add_image(squares(), name="first", scale=(0.5, 0.5), units=("um", "um"))
    viewer.add_image(np.zeros((3, 8, 9)), name="second")
    box = dock.segment.image_box
    assert "second" in box.words.text()
    viewer.layers.selection.active = first
    assert box.words.text() == "first: Y 40, X 60, 0.5 x 0.5 µm, 1 channel (from the layer)"
    assert "0.5, 0.5" in box.voxel_size.placeholderText()
    first.scale = (0.25, 0.25)
    assert "0.25" in box.words.text()


def test_image_box_when_the_voxel_size_is_typed_then_it_wins(
    viewer: Viewer, blobs: str, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(squares())
    box = dock.segment.image_box
    box.voxel_size.setText("0.2")
    box.voxel_size.editingFinished.emit()
    assert dock.workspace.image().voxel_size == (0.2, 0.2)
    box.voxel_size.setText("many")
    box.voxel_size.editingFinished.emit()
    assert "many" in told.errors[0]
    assert dock.workspace.image().voxel_size == (0.2, 0.2)


def test_image_box_when_the_voxel_size_is_typed_after_segment_then_its_objects_have_it(
    segmented: UNetWidget,
) -> None:
    box = segmented.segment.image_box
    box.voxel_size.setText("0.2")
    box.voxel_size.editingFinished.emit()
    link = segmented.results.need()
    assert link.image.voxel_size == (0.2, 0.2)
    assert segmented.session.result(link.key).image.voxel_size == (0.2, 0.2)


def test_image_box_when_there_are_channels_then_one_can_be_chosen(viewer: Viewer, blobs: str, dock: UNetWidget) -> None:
    viewer.add_image(np.zeros((3, 8, 9)), axis_labels=("c", "y", "x"))
    box = dock.segment.image_box.channel
    assert box.count() == 4
    box.setCurrentIndex(2)
    box.activated.emit(2)
    assert dock.workspace.reading.channel == 1


@pytest.mark.parametrize(("text", "size"), [("", None), ("0.5", (0.5, 0.5)), ("1, 0.2", (1.0, 0.2)), ("1 x 2", (1, 2))])
def test_voxel_size_when_written_then_it_is_read(text: str, size: tuple[float, ...] | None) -> None:
    assert parse_voxel_size(text, 2) == size


@pytest.mark.parametrize("text", ["a", "1, 2, 3", "0, 1", "-1", "nan"])
def test_voxel_size_when_it_makes_no_sense_then_it_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_voxel_size(text, 2)


def test_models_when_one_is_renamed_then_the_dock_goes_on_with_it(
    model: str, dock: UNetWidget, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    dock.models.refresh()
    dock.session.set_model(model)
    monkeypatch.setattr(QInputDialog, "getText", lambda *a, **k: ("renamed", True))
    dock.models.buttons["rename"].click()
    assert dock.session.model == "renamed"
    assert "renamed" in dock.model.text()
    monkeypatch.setattr(QInputDialog, "getText", lambda *a, **k: ("a/b", True))
    dock.models.buttons["rename"].click()
    assert len(told.errors) == 1
    assert [entry.name for entry in library.list_models() if not entry.bundled] == ["renamed"]


def test_models_when_deleting_is_not_confirmed_then_the_model_stays(
    model: str, dock: UNetWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.models.refresh()
    dock.models.select(model)
    monkeypatch.setattr(dock.models, "_asked", lambda question: False)
    dock.models.buttons["delete"].click()
    assert library.find_model(model)
    monkeypatch.setattr(dock.models, "_asked", lambda question: True)
    dock.models.buttons["delete"].click()
    with pytest.raises(UserError):
        library.find_model(model)


def test_models_when_the_disk_refuses_then_it_is_told(
    model: str, dock: UNetWidget, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "blobs")

    dock.models.refresh()
    dock.models.select(model)
    monkeypatch.setattr(dock.models, "_asked", lambda question: True)
    monkeypatch.setattr(Path, "rename", refuse)
    dock.models.buttons["delete"].click()
    assert "no permission to use blobs" in told.errors[0]


def test_models_when_another_window_has_deleted_one_then_its_card_says_so(model: str, dock: UNetWidget) -> None:
    add_model("other")
    dock.models.refresh()
    dock.models.select(model)
    library.delete_model("other")
    dock.models.select("other")
    assert "not there any more" in dock.models.card.text()


def test_models_when_another_is_used_then_the_segment_tab_shows_it(model: str, dock: UNetWidget, qtbot: QtBot) -> None:
    add_model("other", dims=3)
    dock.models.refresh()
    dock.models.select("other")
    dock.models.buttons["use"].click()
    assert dock.session.model == "other"
    assert dock.segment.model.currentText().startswith("other (3D")


def test_card_when_a_text_holds_markup_then_it_is_shown_as_text(models_home: object) -> None:
    add_model("one")
    (entry,) = [e for e in library.list_models() if e.name == "one"]
    object.__setattr__(entry.spec, "description", "<img src='file:///etc/passwd'>")
    assert "<img" not in card(entry)


def add_version(name: str, lineage: list[str], **training: object) -> None:
    """Add a fine-tuned version of `add_model`'s models."""
    add_model(name)
    place = library.models_folder() / name / SPEC_FILE
    training = {"learned": "all", "lineage": lineage, "cells": 34, "date": "2026-03-02T10:00:00+00:00", **training}
    scores = {"held-out, parent": 0.61, "held-out, this model": 0.72}
    place.write_text(replace(read_spec(place.parent), parent=lineage[-1], training=training, scores=scores).to_json())


def test_models_when_a_version_is_selected_then_its_card_tells_the_lineage_and_what_it_takes(
    model: str, dock: UNetWidget
) -> None:
    add_version("blobs-ft-1", [model])
    add_version("blobs-ft-2", [model, "blobs-ft-1"], interval=[0.05, 0.17])
    dock.models.refresh()
    dock.models.select("blobs-ft-2")
    text = dock.models.card.text().partition("Lineage")[2]
    assert text.index(">blobs<") < text.index(">blobs-ft-1<") < text.index(">blobs-ft-2<")
    assert "0.610 \u2192 0.720 (+0.050 to +0.170), 34 cells, 2 Mar 2026, 0.0 MB" in text
    assert "MB on the disk" in dock.models.disk.text()
    dock.models.select(model)
    assert "Lineage" not in dock.models.card.text()


def test_back_when_there_were_several_rounds_then_each_click_goes_one_version_back(
    model: str, dock: UNetWidget
) -> None:
    add_version("blobs-ft-1", [model])
    add_version("blobs-ft-2", [model, "blobs-ft-1"])
    dock.models.refresh()
    dock.models.select("blobs-ft-2")
    dock.models.buttons["use"].click()
    for name in ("blobs-ft-1", model):
        assert dock.train.back.isEnabled()
        dock.train.back.click()
        assert dock.session.model == name
    assert not dock.train.back.isEnabled()


def test_dock_when_it_opens_again_then_it_goes_on_with_the_model_used_last(
    viewer: Viewer, model: str, dock: UNetWidget
) -> None:
    add_model("mine")
    library.remember_used("mine")
    viewer.add_image(squares())
    assert dock.session.model == "mine"


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (0.2, "about 1 s left"), (200, "about 3 min left"), (7200, "about 2.0 h left")]
)
def test_time_left_when_known_then_it_is_said_in_fitting_units(seconds: float | None, words: str) -> None:
    assert time_left(seconds) == words


def test_model_when_the_image_changes_then_the_best_is_proposed_until_one_is_chosen(
    viewer: Viewer, model: str, dock: UNetWidget
) -> None:
    add_model("stacks", dims=3)
    flat = viewer.add_image(squares())
    assert dock.session.model == model
    viewer.add_image(squares((3, 40, 60)), axis_labels=("z", "y", "x"))
    assert dock.session.model == "stacks"
    viewer.layers.selection.active = flat
    assert dock.session.model == model
    dock.models.refresh()
    dock.models.select("stacks")
    dock.models.buttons["use"].click()
    dock.models.select(model)
    dock.models.buttons["use"].click()
    viewer.layers.selection.active = viewer.layers[-1]
    assert dock.session.model == model


def test_device_line_when_torch_is_loaded_then_it_names_the_device(dock: UNetWidget, qtbot: QtBot) -> None:
    dock.device.start()
    qtbot.waitUntil(lambda: dock.device.text() != WAITING, timeout=LIMIT_MS)
    assert "cores" in dock.device.text() or "GiB" in dock.device.text() or "GPU" in dock.device.text()
    assert dock.device.toolTip()


def test_device_line_when_torch_cannot_be_loaded_then_it_says_why(
    dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("[WinError 126] The specified module could not be found")

    monkeypatch.setattr("napari_unet.core.base.device.choose_device", fail)
    dock.device.start()
    qtbot.waitUntil(lambda: dock.device.text() != WAITING, timeout=LIMIT_MS)
    assert "WinError" in dock.device.text()


def test_scratch_when_trained_then_the_new_model_is_used(
    segmented: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    asked: list[Any] = []

    def train(request: Any, report: Any, stop: Any) -> Training:
        asked.append(request)
        add_model("mine")
        return Training("mine", library.models_folder() / "mine", "", True, float("nan"), 0.8)

    monkeypatch.setattr(commands, "train", train)
    dock = segmented
    dock.session.accept(dock.results.need().key, [1])
    dock.train.new.name.setText("mine")
    dock.train.new.form.widgets["net"].value = "accurate"
    dock.train.new.train.click()
    wait_idle(dock, qtbot)
    assert (asked[0].title, asked[0].options.net) == ("mine", "accurate")
    assert dock.session.model == "mine"
    assert "0.800" in dock.train.outcome.text()
    assert not told.errors


def test_budget_when_it_cannot_be_read_then_the_training_does_not_start(segmented: UNetWidget, told: Told) -> None:
    segmented.session.accept(segmented.results.need().key, [1])
    segmented.train.options.widgets["budget"].value = "for ever"
    segmented.train.button.click()
    assert "for ever" in told.errors[0]
    assert not segmented.session.jobs.is_busy


def test_stop_when_pressed_then_the_training_is_asked_to_end(
    segmented: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(request: Any, report: Any, stop: Any) -> Training:
        while not stop():
            report(Progress(1, 2))
        return Training("mine", None, "blobs", False, 0.6, 0.5, stopped=True)

    monkeypatch.setattr(commands, "fine_tune", train)
    dock = segmented
    dock.session.accept(dock.results.need().key, [1])
    dock.train.button.click()
    dock.train.stop.click()
    assert not dock.train.stop.isEnabled()
    wait_idle(dock, qtbot)
    assert "'blobs' is kept" in dock.train.outcome.text()
    assert "stopped" in dock.train.outcome.text()


def test_plot_when_torch_is_being_loaded_then_it_waits(viewer: Viewer, qtbot: QtBot) -> None:
    release, dock = threading.Event(), UNetWidget(viewer)
    dock.device._ask = lambda: release.wait(LIMIT_MS / 1000) and dock.device._tell("Device: slow", "")
    dock.show()
    dock.device.start()
    assert dock.device.is_loading
    dock.tabs.setCurrentIndex(2)
    dock.train._make_plot()
    assert dock.train.plot is None
    release.set()
    qtbot.waitUntil(lambda: dock.train.plot is not None, timeout=LIMIT_MS)
    destroy(dock)
