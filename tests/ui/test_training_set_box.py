"""The list of samples in the Train tab: looked at, left out, removed; damage is said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.app import lineage
from napari_unet.app.training_set import Kept, Record, image_sha256, keep, read_set
from napari_unet.core.base.image import Image
from napari_unet.core.store.training_set import Sample
from napari_unet.ui import workspace
from tests.ui.conftest import LIMIT_MS, add_model, squares
from tests.ui.test_tabs import add_version

if TYPE_CHECKING:
    from pathlib import Path

    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from napari_unet.ui.training_set_box import TrainingSetBox


def kept(name: str, *, rgb: bool = False) -> Kept:
    data = squares((3, 40, 60) if rgb else (40, 60)) + 0.01 * len(name)
    image = Image(data, "CYX" if rgb else "YX", (0.5, 0.5), name, f"/data/{name}.tif", rgb)
    labels = (data.reshape(-1, 40, 60)[0] > 0.5).astype(np.int32)
    record = Record(name, image_sha256(image), 4, "2026-03-02T10:00:00+00:00", image.source)
    return Kept(record, Sample(image, labels, None, name))


@pytest.fixture
def folder(model: str) -> Path:
    """Give the training set of a version with two samples."""
    add_version("blobs-ft-1", [model])
    folder = lineage.set_folder("blobs-ft-1")
    keep(folder, model, [kept("one"), kept("three", rgb=True)])
    return folder


@pytest.fixture
def samples(folder: Path, dock: UNetWidget) -> TrainingSetBox:
    dock.session.set_model("blobs-ft-1")
    return dock.train.samples


def texts(box: TrainingSetBox) -> list[list[str]]:
    items = [box.list.topLevelItem(row) for row in range(box.list.topLevelItemCount())]
    return [[item.text(column) for column in range(4)] for item in items]


def select(box: TrainingSetBox, row: int) -> None:
    box.list.setCurrentItem(box.list.topLevelItem(row))


def test_list_when_a_version_is_used_then_its_samples_are_there_with_where_they_came_from(
    samples: TrainingSetBox, dock: UNetWidget
) -> None:
    assert texts(samples) == [["one", "4", "2 Mar 2026", "one.tif"], ["three", "4", "2 Mar 2026", "three.tif"]]
    assert "2 images with 8 cells." in samples.words.text()
    dock.session.set_model("blobs")
    assert texts(samples) == []
    assert "No samples yet" in samples.words.text()


def test_leave_out_when_pressed_then_the_sample_is_kept_and_can_be_used_again(
    samples: TrainingSetBox, folder: Path
) -> None:
    select(samples, 0)
    samples.leave.click()
    assert texts(samples)[0][0] == "one (left out)"
    assert "1 image with 4 cells, 1 left out." in samples.words.text()
    assert read_set(folder)[0][0].record.left_out
    assert samples.leave.text() == "Use again"
    samples.leave.click()
    assert not read_set(folder)[0][0].record.left_out


def test_remove_when_not_confirmed_then_the_sample_stays(
    samples: TrainingSetBox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select(samples, 1)
    monkeypatch.setattr(samples, "_asked", lambda question: False)
    samples.remove.click()
    assert len(read_set(folder)[0]) == 2
    monkeypatch.setattr(samples, "_asked", lambda question: True)
    samples.remove.click()
    assert [row[0] for row in texts(samples)] == ["one"]
    assert [entry.record.name for entry in read_set(folder)[0]] == ["one"]


@pytest.mark.parametrize(("row", "name", "shape"), [(0, "one", (40, 60)), (1, "three", (40, 60, 3))])
def test_look_when_pressed_then_image_and_labels_lie_on_each_other_and_are_no_work(
    viewer: Viewer,
    samples: TrainingSetBox,
    dock: UNetWidget,
    qtbot: QtBot,
    row: int,
    name: str,
    shape: tuple[int, ...],
) -> None:
    select(samples, row)
    samples.look.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=LIMIT_MS)
    image, labels = viewer.layers[f"{name} (sample)"], viewer.layers[f"{name} (sample labels)"]
    assert image.data.shape == shape
    np.testing.assert_array_equal(labels.scale, (0.5, 0.5))
    np.testing.assert_array_equal(image.scale, labels.scale)
    assert labels.data.any()
    assert not labels.editable
    assert dock.workspace.layer is None
    assert workspace.labels_layers(viewer) == []


def test_list_when_a_file_is_missing_then_it_says_so_and_the_rest_works(
    samples: TrainingSetBox, folder: Path, viewer: Viewer, qtbot: QtBot
) -> None:
    (folder / "images" / "one.tif").unlink()
    samples.refresh()
    select(samples, 0)
    assert texts(samples)[0][0] == "one (damaged)"
    assert "'one': Its file in images is missing. The others are used." in samples.words.text()
    assert not samples.look.isEnabled()
    select(samples, 1)
    samples.look.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=LIMIT_MS)


def test_look_when_a_file_is_damaged_then_the_user_is_told_why(
    samples: TrainingSetBox, folder: Path, dock: UNetWidget, qtbot: QtBot, told
) -> None:
    (folder / "labels" / "one.tif").write_bytes(b"II*")
    select(samples, 0)
    samples.look.click()
    qtbot.waitUntil(lambda: bool(told.errors), timeout=LIMIT_MS)
    assert "one" in told.errors[0]


def test_list_when_another_lineage_is_used_then_it_is_that_ones(samples: TrainingSetBox, dock: UNetWidget) -> None:
    add_model("other")
    dock.session.set_model("other")
    assert texts(samples) == []
    assert not samples.remove.isEnabled()
