"""Save a project, move it, open it again in another window: everything is there, and a second window only looks."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Layer
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_unet.app import library
from napari_unet.core.base.errors import UserError
from napari_unet.core.io import read_labels, read_provenance
from napari_unet.core.io.ngff import describe_labels
from napari_unet.core.store import journal_writer
from napari_unet.core.store.autosave_lock import LOCK_FILE
from napari_unet.core.store.project import IMAGES, LOG_FILE, MODELS, PROJECT_FILE
from napari_unet.core.store.spec import WEIGHTS_FILE
from napari_unet.ui import layers, project_menu
from napari_unet.ui.main_widget import UNetWidget
from napari_unet.ui.readers import open_zarr, read_layers, with_source
from napari_unet.ui.workspace import Reading
from tests.ui.conftest import LIMIT_MS, MODEL, press, squares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.core.store.project import ImageRef
    from tests.ui.conftest import Told

SAVED_S = 30.0


@dataclass
class Answers:
    """What the user says."""

    path: Path | None = None
    other: bool = True
    close: bool = True
    asked: list[str] = field(default_factory=list)

    def may_close(self) -> bool:
        self.asked.append("close")
        return self.close

    def locate(self, ref: ImageRef) -> Path | None:
        self.asked.append(ref.file_name)
        return self.path

    def use_other(self, ref: ImageRef, path: Path) -> bool:
        self.asked.append(f"other {path.name}")
        return self.other


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Write an image into a folder that a project will lie in, too."""
    path = tmp_path / "work" / "cells.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, squares())
    return path


@pytest.fixture
def project(viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot, cells: Path) -> Path:
    """Segment and correct the image, and save that as a project."""
    (library.models_folder() / blobs / WEIGHTS_FILE).write_bytes(b"numbers")
    viewer.open(str(cells))
    press(dock, qtbot)
    link = dock.results.need()
    dock.session.accept(link.key, [1])
    link.labels.paint((30, 50), 9)
    dock.session.mark_done(link.key, (slice(0, 10), slice(0, 20)))
    folder = cells.parent / "project"
    dock.projects.save(folder)
    return folder


@pytest.fixture
def windows(make_napari_viewer: Callable[..., Viewer]) -> Iterator[Callable[[], UNetWidget]]:
    """Open more windows."""
    made: list[UNetWidget] = []

    def open_window() -> UNetWidget:
        viewer = make_napari_viewer()
        widget = UNetWidget(PublicOnlyProxy(viewer))
        viewer.window.add_dock_widget(widget, name="U-Net")
        made.append(widget)
        return widget

    yield open_window
    for widget in made:
        widget.shut_down()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_project_when_moved_and_opened_elsewhere_then_labels_states_model_and_log_are_there(
    dock: UNetWidget, project: Path, cells: Path, windows: Callable[[], UNetWidget], told: Told, qtbot: QtBot
) -> None:
    link = dock.results.need()
    link.labels.paint((35, 5), 11)  # after the project was saved: it saves itself
    labels = layers.labels_array(link.labels).copy()
    before = dock.session.result(link.key)
    dock.shut_down()
    elsewhere = cells.parent.with_name("moved")
    cells.parent.rename(elsewhere)
    shutil.rmtree(library.library_root())  # another computer

    again, ask = windows(), Answers()
    again.projects.open(elsewhere / "project", ask)
    assert ask.asked == []
    link = again.results.need()
    np.testing.assert_array_equal(layers.labels_array(link.labels), labels)
    after = again.session.result(link.key)
    assert after.corrections.accepted == {1}
    assert after.corrections.done == before.corrections.done
    assert after.confidence == pytest.approx(before.confidence)
    assert again.session.model == MODEL
    assert library.find_model(MODEL) == library.models_folder() / MODEL
    assert Path(link.image.source) == elsewhere / "cells.tif"
    actions = [json.loads(one)["action"] for one in (elsewhere / "project" / LOG_FILE).read_text().splitlines()]
    assert [one for one in actions if one != "Use model"] == [
        *("Accept", "Paint", "All done here", "Save project", "Paint"),
    ]  # fmt: skip
    assert not told.errors

    link.labels.paint((1, 50), 12)  # and it goes on there
    assert again.autosaving.saver.flush(SAVED_S)
    assert not library.autosave_folder().exists()
    assert again.autosaving.offer is None


def test_project_when_the_voxel_size_is_typed_later_then_it_has_it(
    dock: UNetWidget, project: Path, windows: Callable[[], UNetWidget]
) -> None:
    dock.segment.image_box.voxel_size.setText("0.2")
    dock.segment.image_box.voxel_size.editingFinished.emit()
    dock.shut_down()
    again = windows()
    again.projects.open(project, Answers())
    assert again.workspace.image().voxel_size == (0.2, 0.2)


def test_project_when_saved_then_nothing_stays_in_the_program_s_own_folder(dock: UNetWidget, project: Path) -> None:
    assert not list(library.autosave_folder().rglob("*.journal"))
    assert list(project.rglob("*.journal"))
    assert (project / MODELS / MODEL / "model.json").is_file()
    assert "project" in dock.project_bar.said.text()
    assert not dock.project_bar.said.isHidden()


def test_project_when_the_disk_is_full_then_it_is_told_and_the_labels_stay_where_they_were(
    segmented: UNetWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = segmented.autosaving.saver
    assert saver.flush(SAVED_S)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_writer, "write_atomic", full)
        with pytest.raises(UserError, match="not saved in the project yet: The disk is full"):
            segmented.projects.save(tmp_path / "project")
        assert "disk is full" in segmented.autosave.text()
    assert list(library.autosave_folder().rglob("*.journal"))
    assert saver.flush(SAVED_S)
    assert not list(library.autosave_folder().rglob("*.journal"))
    assert list((tmp_path / "project").rglob("*.journal"))


def test_second_window_when_the_project_is_open_then_it_only_looks_and_says_so(
    dock: UNetWidget, project: Path, windows: Callable[[], UNetWidget]
) -> None:
    assert dock.autosaving.saver.flush(SAVED_S)
    before = files_of(project)
    second = windows()
    second.projects.open(project, Answers())
    shown = second.workspace.viewer.layers[-1]
    np.testing.assert_array_equal(shown.data, dock.results.need().labels.data)
    assert not shown.editable
    assert second.results.current is None
    assert "read-only: another window has it open" in second.project_bar.said.text()
    second.shut_down()
    assert files_of(project) == before
    dock.shut_down()
    third = windows()
    third.projects.open(project, Answers())
    assert third.results.current is not None
    assert "read-only" not in third.project_bar.said.text()


@pytest.mark.parametrize(("is_same", "agrees"), [(True, True), (False, True), (False, False)])
def test_image_when_it_is_gone_then_it_is_asked_for_and_its_checksum_compared(
    dock: UNetWidget, project: Path, cells: Path, windows: Callable[[], UNetWidget], is_same: bool, agrees: bool
) -> None:
    dock.shut_down()
    other = cells.parent / "elsewhere" / "renamed.tif"
    other.parent.mkdir()
    cells.rename(other)
    if not is_same:
        tifffile.imwrite(other, squares() / 2)
    again, ask = windows(), Answers(other, agrees)
    if is_same:
        again.projects.open(project, ask)
    else:
        with pytest.raises(UserError, match="has changed since" if agrees else "was not found"):
            again.projects.open(project, ask)
    assert ask.asked == ["cells.tif", *([] if is_same else ["other renamed.tif"])]
    assert (again.results.current is not None) == (is_same or agrees)
    assert list(project.rglob("*.journal"))


def test_image_when_another_one_lies_at_its_path_then_it_is_told_each_time(
    dock: UNetWidget, project: Path, cells: Path, windows: Callable[[], UNetWidget]
) -> None:
    dock.shut_down()
    tifffile.imwrite(cells, squares() / 2)
    for _ in range(2):
        again = windows()
        with pytest.raises(UserError, match="'cells' has changed since its labels were drawn"):
            again.projects.open(project, Answers())
        assert again.results.need().labels.data[30, 50] == 9
        again.shut_down()


def test_image_when_it_came_from_no_file_then_the_project_holds_it(
    segmented: UNetWidget, tmp_path: Path, windows: Callable[[], UNetWidget]
) -> None:
    labels = layers.labels_array(segmented.results.need().labels).copy()
    segmented.projects.save(tmp_path / "project")
    segmented.shut_down()
    assert [path.name for path in (tmp_path / "project" / IMAGES).iterdir()] == ["squares.ome.tif"]
    again = windows()
    again.projects.open(tmp_path / "project" / PROJECT_FILE, Answers())
    np.testing.assert_array_equal(again.workspace.image().data, squares())
    np.testing.assert_array_equal(layers.labels_array(again.results.need().labels), labels)


@pytest.mark.parametrize("kind", ["zarr", "nii.gz", "series"])
def test_image_when_it_is_of_another_format_then_it_is_opened_as_it_was(
    viewer: Viewer,
    blobs: str,
    dock: UNetWidget,
    qtbot: QtBot,
    tmp_path: Path,
    windows: Callable[[], UNetWidget],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    data = squares((3, 40, 60))
    if kind == "zarr":
        path = tmp_path / "cells.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=2)
        group.create_array("0", data=data, chunks=(1, 32, 32))
        group.attrs["multiscales"] = describe_labels("cells", "ZYX", (2.0, 0.5, 0.5), 1)["multiscales"]
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(path))
        open_zarr()
    elif kind == "nii.gz":
        path = tmp_path / "cells.nii.gz"
        nib.save(nib.Nifti1Image(data.T, np.diag([1.0, 1.0, 3.0, 1.0])), path)
        with with_source(str(path)):
            viewer.add_layer(Layer.create(*read_layers(str(path))[0]))
    else:
        tifffile.imwrite(tmp_path / "cells.tif", data, photometric="minisblack")
        viewer.open(str(tmp_path / "cells.tif"))
        dock.workspace.read_as(Reading("TYX", (0.5, 0.5), is_chosen=True))
    press(dock, qtbot)
    image, labels = dock.workspace.image(), layers.labels_array(dock.results.need().labels).copy()
    dock.projects.save(tmp_path / "project")
    dock.shut_down()
    again = windows()
    again.projects.open(tmp_path / "project", Answers())
    now = again.workspace.image()
    assert (now.axes, now.voxel_size, now.source) == (image.axes, image.voxel_size, image.source)
    np.testing.assert_array_equal(np.asarray(now.data), np.asarray(image.data))
    np.testing.assert_array_equal(layers.labels_array(again.results.need().labels), labels)


def test_image_when_added_to_an_open_project_then_it_belongs_to_it(
    viewer: Viewer, dock: UNetWidget, project: Path, windows: Callable[[], UNetWidget], qtbot: QtBot, cells: Path
) -> None:
    tifffile.imwrite(cells.with_name("more.tif"), squares(n=3))
    viewer.open(str(cells.with_name("more.tif")))
    press(dock, qtbot)
    dock.shut_down()
    again = windows()
    again.projects.open(project, Answers())
    assert [layer.name for layer in again.workspace.viewer.layers] == [
        *("cells", "cells (U-Net)", "more", "more (U-Net)"),
    ]  # fmt: skip


def test_open_when_something_is_open_then_it_asks_and_what_was_open_is_saved(
    segmented: UNetWidget, tmp_path: Path, windows: Callable[[], UNetWidget]
) -> None:
    segmented.projects.save(tmp_path / "one")
    segmented.shut_down()
    again = windows()
    again.workspace.viewer.add_image(squares(n=2), name="others")
    link = again.results.new_labels()
    link.labels.paint((1, 1), 3)
    refusing = Answers(close=False)
    again.projects.open(tmp_path / "one", refusing)
    assert refusing.asked == ["close"]
    assert len(again.workspace.viewer.layers) == 2
    again.projects.open(tmp_path / "one", Answers())
    assert [layer.name for layer in again.workspace.viewer.layers] == ["squares", "squares (U-Net)"]
    assert len(list(library.autosave_folder().rglob("*.journal"))) == 1
    with pytest.raises(UserError, match="open in this window"):
        again.projects.open(tmp_path / "one", Answers())


def test_bar_when_its_menu_is_used_then_projects_are_saved_opened_and_remembered(
    segmented: UNetWidget,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: Told,
    windows: Callable[[], UNetWidget],
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(tmp_path / "one"), ""))
    bar = segmented.project_bar
    assert bar.said.isHidden()
    bar.menu.actions()[0].trigger()
    assert (tmp_path / "one" / PROJECT_FILE).is_file()
    bar.menu.actions()[0].trigger()
    assert "There is a project in" in told.errors[-1]
    segmented.shut_down()
    again = windows().project_bar
    again.fill()
    texts = [one.text() for one in again.menu.actions() if one.text()]
    assert texts == ["Save project...", "Open project...", "Export labels...", "one"]
    again.menu.actions()[-1].trigger()
    assert "'one'" in again.said.text()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "none"))
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    again.menu.actions()[1].trigger()
    assert "There is no project in" in told.errors[-1]


def test_bar_when_the_window_of_the_last_project_crashed_then_it_names_it_until_it_is_opened(
    dock: UNetWidget, project: Path, windows: Callable[[], UNetWidget]
) -> None:
    held = windows().project_bar
    held.look_once()
    assert held.said.isHidden()  # the other window is alive
    lock = project / LOCK_FILE
    lock.write_text(lock.read_text().replace('"started": ', '"started": 1'))  # as of a process that is gone
    again = windows().project_bar
    again.look_once()
    assert "'project' was open when its window ended" in again.said.text()
    assert not again.said.isHidden()
    again.open(project)
    assert again.said.text() == "Project 'project'"


def test_menu_of_napari_when_used_then_the_dock_asks_for_the_folder(
    viewer: Viewer, dock: UNetWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setattr(type(viewer.window), "add_plugin_dock_widget", lambda *_: (None, dock))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(tmp_path / "one"), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "one"))
    project_menu.save_project()
    assert (tmp_path / "one" / PROJECT_FILE).is_file()
    project_menu.open_project()
    assert told.errors == ["'one' is open in this window. There is nothing to open."]


def test_export_when_pressed_then_the_file_says_who_made_the_labels(
    segmented: UNetWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told, qtbot: QtBot
) -> None:
    link = segmented.results.need()
    segmented.session.accept(link.key, [1])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(tmp_path / "labels"), ""))
    segmented.project_bar.menu.actions()[2].trigger()
    qtbot.waitUntil(lambda: bool(told.infos or told.errors), timeout=LIMIT_MS)
    assert not told.errors
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.ome.tif"), link.labels.data)
    assert read_provenance(tmp_path / "labels.ome.tif")["objects"]["1"]["state"] == "accepted"


def test_image_when_a_project_names_a_program_then_it_is_not_run(
    dock: UNetWidget, project: Path, cells: Path, windows: Callable[[], UNetWidget]
) -> None:
    dock.shut_down()
    ran = cells.with_name("ran")
    cells.with_name("cells.py").write_text(f"open({str(ran)!r}, 'w')")
    text = (project / PROJECT_FILE).read_text()
    (project / PROJECT_FILE).write_text(text.replace("cells.tif", "cells.py"))
    again = windows()
    with pytest.raises(UserError, match="is a program"):
        again.projects.open(project, Answers())
    assert not ran.exists()
