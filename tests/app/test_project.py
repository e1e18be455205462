"""A project is a place for the autosaver: what is in it is whole at any moment, and one window writes it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_unet.app import annotations as notes
from napari_unet.app import library
from napari_unet.app.action_log import ActionLog
from napari_unet.app.autosave import LONGEST_S, RETRY_S, Autosaver
from napari_unet.app.autosave_draft import load, take_draft
from napari_unet.app.history import CallStep
from napari_unet.app.jobs import InlineRunner
from napari_unet.app.project import Project, new_project, open_project
from napari_unet.app.project_models import copy_model, install_models
from napari_unet.app.recent import MOST, recent_projects, remember_project
from napari_unet.app.result import Result
from napari_unet.app.session import Session
from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.store.autosave import identify
from napari_unet.core.store.autosave_lock import LOCK_FILE
from napari_unet.core.store.project import IMAGES, LOG_FILE, MODELS, PROJECT_FILE
from napari_unet.core.store.spec import SPEC_FILE, WEIGHTS_FILE, ModelSpec

SHAPE = (30, 40)


class Desk:
    """A window's worth of work: one image with labels, and an autosaver whose clock the test moves."""

    def __init__(self, home: Path, source: str = "") -> None:
        self.now = 1000.0
        self.saver = Autosaver(home, clock=lambda: self.now, run=lambda call: call())
        self.image = Image(np.arange(1200, dtype=np.float32).reshape(SHAPE), "YX", name="cells", source=source)
        self.id = identify(self.image)
        self.labels = np.zeros(SHAPE, np.int32)
        self.result = Result(self.image, notes.start(self.labels))

    def watch(self, slot: Path | None = None) -> None:
        self.saver.watch("a", self.id, lambda out: take_draft(self.id, self.labels, self.result, out=out), slot)

    def paint(self, value: int) -> None:
        self.labels[:5, :5] = value
        self.saver.touch("a")

    def wait(self, seconds: float = LONGEST_S) -> None:
        self.now += seconds
        self.saver.tick()
        self.saver.tick()

    def keep_in(self, folder: Path) -> Project:
        project = new_project(folder)
        project.add(self.image, self.id, "YX", None, "")
        assert self.saver.move(project, 10)
        project.finish()
        return project


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "home")
    made.watch()
    made.paint(3)
    made.wait()
    return made


def labels_in(folder: Path) -> list[np.ndarray]:
    project = open_project(folder)
    found = [load(saved, Desk(folder / "none").image).labels for ref in project.images for saved in project.saved(ref)]
    project.close()
    return found


def test_move_when_done_then_the_labels_lie_in_the_project_only_and_are_saved_there(desk, tmp_path):
    project = desk.keep_in(tmp_path / "p")
    assert not list((tmp_path / "home").rglob("*.journal"))
    assert not list((tmp_path / "home").rglob(LOCK_FILE))
    desk.paint(4)
    desk.wait()
    (labels,) = labels_in(project.root)
    assert (labels[:5, :5] == 4).all()


def test_move_when_the_project_cannot_be_written_then_the_old_place_keeps_the_labels_until_it_can(
    desk, tmp_path, monkeypatch
):
    project = new_project(tmp_path / "p")
    project.add(desk.image, desk.id, "YX", None, "")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert not desk.saver.move(project, 10)
        assert "disk is full" in desk.saver.status.message
        assert list((tmp_path / "home").rglob("*.journal"))
    desk.wait(RETRY_S)
    assert desk.saver.status.kind == "saved"
    assert not list((tmp_path / "home").rglob("*.journal"))
    assert len(labels_in(project.root)) == 1


def test_move_when_from_one_project_to_another_then_the_first_stays(desk, tmp_path):
    desk.keep_in(tmp_path / "one")
    second = desk.keep_in(tmp_path / "two")
    desk.paint(8)
    desk.wait()
    assert [int(one.max()) for one in labels_in(tmp_path / "one")] == [3]
    assert [int(one.max()) for one in labels_in(second.root)] == [8]
    assert open_project(tmp_path / "one").read_only is None


def unplug(folder: Path, away: Path, *, has_mount_point: bool) -> None:
    folder.rename(away)
    if has_mount_point:
        folder.mkdir()


@pytest.mark.parametrize("has_mount_point", [True, False])
def test_disk_when_unplugged_then_nothing_is_written_there_until_it_is_back(desk, tmp_path, has_mount_point):
    project = desk.keep_in(tmp_path / "p")
    unplug(tmp_path / "p", tmp_path / "away", has_mount_point=has_mount_point)
    desk.paint(9)
    desk.wait()
    assert desk.saver.status.kind == "failed"
    assert "is not there any more" in desk.saver.status.message
    assert "Plug its disk in" in desk.saver.status.hint
    if has_mount_point:
        (tmp_path / "p").rmdir()  # it is empty
    (tmp_path / "away").rename(tmp_path / "p")
    desk.wait(RETRY_S)
    assert desk.saver.status.kind == "saved"
    assert int(labels_in(project.root)[0].max()) == 9


def test_disk_when_unplugged_for_good_then_the_project_is_saved_elsewhere(desk, tmp_path):
    desk.keep_in(tmp_path / "p")
    unplug(tmp_path / "p", tmp_path / "away", has_mount_point=True)
    desk.paint(9)
    desk.wait()
    second = desk.keep_in(tmp_path / "second")
    assert desk.saver.status.kind == "saved"
    assert [int(one.max()) for one in labels_in(second.root)] == [9]


def test_rest_when_it_cannot_be_written_then_the_labels_are_safe_and_it_is_tried_again(desk, tmp_path, monkeypatch):
    project = desk.keep_in(tmp_path / "p")
    project.note(["one"])
    desk.paint(5)
    with monkeypatch.context() as patch:
        patch.setattr("napari_unet.app.project.append_lines", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        desk.wait()
        assert desk.saver.status.kind == "failed"
        assert int(labels_in(project.root)[0].max()) == 5
    desk.wait(RETRY_S)
    assert desk.saver.status.kind == "saved"
    assert (project.root / LOG_FILE).read_text() == "one\n"


def test_image_when_it_came_from_no_file_then_it_is_written_once_under_a_free_name(desk, tmp_path):
    project = desk.keep_in(tmp_path / "p")
    other = Image(np.ones(SHAPE, np.uint8), "YX", name="cells")
    for _ in range(2):
        project.add(other, identify(other), "YX", None, "")
    project.finish()
    assert sorted(path.name for path in (project.root / IMAGES).iterdir()) == ["cells-2.ome.tif", "cells.ome.tif"]
    assert [ref.relative for ref in open_project(project.root).images] == [
        *("images/cells.ome.tif", "images/cells-2.ome.tif"),
    ]


# ---------------------------------------------------------------- who may write


def test_open_when_another_window_has_it_then_it_is_read_only_until_that_is_closed(desk, tmp_path):
    project = desk.keep_in(tmp_path / "p")
    second = open_project(project.root)
    assert second.read_only is not None
    assert second.read_only.holder.pid == os.getpid()
    desk.saver.close(10)
    assert open_project(project.root / PROJECT_FILE).read_only is None


def test_open_when_the_disk_is_read_only_then_it_can_be_looked_at(desk, tmp_path, monkeypatch):
    project = desk.keep_in(tmp_path / "p")
    desk.saver.close(10)
    original = Path.open

    def refuse(self, mode="r", *more, **named):
        if "r" not in mode:
            raise PermissionError(13, "Permission denied", str(self))
        return original(self, mode, *more, **named)

    monkeypatch.setattr(Path, "open", refuse)
    opened = open_project(project.root)
    assert opened.read_only is not None
    assert "permission" in opened.read_only.reason
    assert len(opened.saved(opened.images[0])) == 1


def test_new_when_the_folder_is_used_then_it_is_refused_with_what_to_do(desk, tmp_path):
    desk.keep_in(tmp_path / "p")
    with pytest.raises(UserError, match=r"project in .* already"):
        new_project(tmp_path / "p")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        new_project(tmp_path / "full")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UserError, match="No project can be made"):
        new_project(tmp_path / "file" / "p")
    with pytest.raises(ReadError, match="There is no project"):
        open_project(tmp_path / "full")


# ---------------------------------------------------------------- models


def add_model(folder: Path, weights: str) -> Path:
    folder.mkdir(parents=True)
    spec = ModelSpec(folder.name, "unet", {}, "instances", 2, 1, weights_sha256=weights)
    (folder / SPEC_FILE).write_text(spec.to_json())
    (folder / WEIGHTS_FILE).write_text(weights)
    return folder


def test_models_when_a_project_comes_from_another_computer_then_each_gets_a_name(tmp_path):
    for name, weights in (("new", "aa"), ("known", "bb"), ("taken", "cc")):
        copy_model(add_model(tmp_path / "there" / name, weights), tmp_path / "p" / MODELS / name)
    add_model(library.models_folder() / "same", "bb")
    add_model(library.models_folder() / "taken", "dd")
    (tmp_path / "p" / MODELS / "broken").mkdir()
    names = install_models(tmp_path / "p")
    assert names == {"new": "new", "known": "same", "taken": "taken-2"}
    assert (library.models_folder() / "taken-2" / WEIGHTS_FILE).read_text() == "cc"
    assert (library.models_folder() / "taken" / WEIGHTS_FILE).read_text() == "dd"
    assert install_models(tmp_path / "p") == {"new": "new", "known": "same", "taken": "taken-2"}


def test_model_when_it_is_used_then_it_is_copied_with_the_next_save_and_once_only(desk, tmp_path):
    project = desk.keep_in(tmp_path / "p")
    source = add_model(tmp_path / "there" / "blobs", "aa")
    project.use_model("blobs", source, is_current=True)
    project.finish()
    copied = project.root / MODELS / "blobs"
    before = copied.stat().st_mtime_ns
    project.use_model("blobs", source)
    shutil.rmtree(source)
    project.use_model("gone", source)
    project.finish()
    assert copied.stat().st_mtime_ns == before
    assert [path.name for path in (project.root / MODELS).iterdir()] == ["blobs"]
    assert open_project(project.root).model == "blobs"


# ---------------------------------------------------------------- log and list


def test_log_when_things_are_done_and_undone_then_there_is_a_line_for_each():
    session = Session(InlineRunner())
    log = ActionLog(session)
    image = Image(np.zeros(SHAPE), "YX", name="cells")
    session.open_result("a", image, np.ones(SHAPE, np.int32))
    session.accept("a", [1])
    with session.history.group("Merge", "a"):
        session.history.push(CallStep("Paint", lambda: None, lambda: None, "a"))
        session.history.push(CallStep("Paint", lambda: None, lambda: None, "a"))
    session.history.undo()
    session.history.redo()
    lines = [json.loads(one) for one in log.take()]
    assert [one["action"] for one in lines] == ["Accept", "Merge", "Undo: Merge", "Redo: Merge"]
    assert {one["image"] for one in lines} == {"cells"}
    assert log.take() == []


def test_recent_when_projects_come_and_go_then_those_that_are_there_are_listed_once(tmp_path):
    assert recent_projects() == []
    folders = [tmp_path / str(n) for n in range(MOST + 2)]
    for folder in folders:
        new_project(folder)
        remember_project(folder)
    remember_project(folders[5])
    shutil.rmtree(folders[-1])
    assert recent_projects() == [folders[5], *(one for one in folders[-2:1:-1] if one != folders[5])][: MOST - 1]
