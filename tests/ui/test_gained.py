"""After a training: the held-out cells that were gained and lost, in the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.app import commands, library
from napari_unet.app.commands import Training
from napari_unet.app.requests import HeldOut
from napari_unet.core.pipeline.compare import Judged, compare_cells
from napari_unet.ui import workspace
from napari_unet.ui.gained_layers import COLOURS, lay_out
from tests.ui.conftest import add_model, press, squares, wait_idle

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget

BOX = (slice(2, 30), slice(1, 40))


def judged(truth: np.ndarray) -> Judged:
    """Say that the first cell was gained and the second one lost."""
    inside = truth[BOX]
    before, after = np.where(inside == 1, 0, inside), np.where(inside == 2, 0, inside)
    return Judged("squares", BOX, before, after, inside, *compare_cells(before, after, inside))


def learn(request: Any, report: Any, stop: Any) -> Training:
    (snapshot,) = request.snapshots
    add_model("better")
    part = judged(snapshot.labels.reshape(snapshot.labels.shape[-2:]))
    time = 0 if "T" in snapshot.image.axes else None
    parts = (HeldOut(part, snapshot.origin, time), HeldOut(part))
    folder = library.models_folder() / "better"
    interval = (-0.02, 0.2)
    return Training("better", folder, "blobs", True, 0.6, 0.7, 4, "regions", interval=interval, n_units=4, parts=parts)


def train(dock: UNetWidget, qtbot: QtBot) -> None:
    dock.session.accept(dock.results.need().key, [1, 2])
    dock.train.button.click()
    wait_idle(dock, qtbot)


@pytest.fixture
def trained(segmented: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> UNetWidget:
    monkeypatch.setattr(commands, "fine_tune", learn)
    train(segmented, qtbot)
    return segmented


def test_outcome_when_there_is_an_interval_then_it_is_told_with_what_it_means(trained: UNetWidget) -> None:
    text = trained.train.outcome.text()
    assert "Difference +0.100, 95 % interval -0.020 to +0.200 (bootstrap over 4 cells). It may be chance." in text
    words = trained.train.gained.words.text()
    assert "2 gained" in words
    assert "2 lost" in words
    assert "1 held-out part lies in an image that is not open" in words


def test_gained_when_shown_then_each_cell_has_the_colour_of_what_became_of_it(
    viewer: Viewer, trained: UNetWidget
) -> None:
    labels, box = trained.results.need().labels, trained.train.gained
    n_layers, was_active = len(viewer.layers), viewer.layers.selection.active
    box.switch.click()
    box.before.click()
    outlines, before = viewer.layers[f"{labels.name}: gained and lost"], viewer.layers[f"{labels.name}: before"]
    assert viewer.layers.selection.active is was_active
    assert not labels.visible
    for number, kind in ((1, "gained"), (2, "lost")):
        at = tuple(np.argwhere(labels.data == number)[0])
        shown = outlines.get_value(at, world=True)
        assert outlines.features["cell"][outlines.features["index"] == shown].tolist() == [kind]
        assert np.allclose(outlines.colormap.map(shown)[:3], hex_colour(COLOURS[kind]), atol=0.01)
        assert bool(before.get_value(at, world=True)) == (kind == "lost")
    assert outlines not in workspace.labels_layers(viewer)
    assert not outlines.editable
    box.switch.click()
    assert len(viewer.layers) == n_layers
    assert labels.visible


def hex_colour(text: str) -> list[float]:
    return [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def test_before_when_pressed_then_the_other_models_labels_are_shown(viewer: Viewer, trained: UNetWidget) -> None:
    box = trained.train.gained
    assert not box.before.isEnabled()
    box.switch.click()
    name = trained.results.need().labels.name
    before, after = viewer.layers[f"{name}: before"], viewer.layers[f"{name}: after"]
    assert (before.visible, after.visible) == (False, True)
    box.before.click()
    assert (before.visible, after.visible, box.before.text()) == (True, False, "Show after")
    viewer.layers.remove(after)
    box.before.click()
    assert not before.visible


def test_gained_when_another_training_starts_then_the_layers_go(
    viewer: Viewer, trained: UNetWidget, qtbot: QtBot
) -> None:
    trained.train.gained.switch.click()
    n = len(viewer.layers)
    train(trained, qtbot)
    assert len(viewer.layers) == n - 3
    assert not trained.train.gained.switch.isChecked()


def test_gained_when_the_labels_are_removed_then_their_layers_go_too(viewer: Viewer, trained: UNetWidget) -> None:
    trained.train.gained.switch.click()
    viewer.layers.remove(trained.results.need().labels)
    assert [layer.name for layer in viewer.layers] == ["squares"]
    assert not trained.train.gained.switch.isChecked()


def test_gained_when_the_image_has_time_and_scale_then_cells_lie_on_their_place(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "fine_tune", learn)
    viewer.add_image(squares((1, 40, 60)), name="movie", axis_labels=("t", "y", "x"), scale=(1, 0.5, 0.5))
    press(dock, qtbot)
    train(dock, qtbot)
    dock.train.gained.switch.click()
    labels = dock.results.need().labels
    outlines = viewer.layers[f"{labels.name}: gained and lost"]
    at = np.argwhere(labels.data == 1)[0]
    assert outlines.get_value(labels.data_to_world(at), world=True)


def test_lay_out_when_two_parts_lie_apart_then_no_cell_gets_anothers_number() -> None:
    truth = np.zeros((40, 60), np.int32)
    truth[4:10, 4:10], truth[4:10, 20:26] = 1, 2
    part = judged(truth)
    other = Judged("s", (slice(2, 30), slice(20, 59)), part.before, part.after, part.cells, (1,), (2,), (), part.tables)
    sheet = lay_out([HeldOut(part), HeldOut(other)], (5, 0))
    assert sheet.corner == (7, 1)
    assert sheet.cells.shape == (28, 58)
    assert sorted(sheet.kinds.values()) == ["gained", "gained", "lost", "lost"]
    assert set(np.unique(sheet.cells)) == {0, *sheet.kinds}
