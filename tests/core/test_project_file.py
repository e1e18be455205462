"""What a project says of its images is read as it was written, and a file is known again wherever it lies."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base.errors import ReadError
from napari_unet.core.store.autosave import ImageId
from napari_unet.core.store.fingerprint import BLOCK, fingerprint
from napari_unet.core.store.project import (
    PROJECT_FILE,
    ImageRef,
    ProjectFile,
    append_lines,
    find_image,
    read_project,
    refer,
    write_project,
)

ID = ImageId("cells", "/data/cells.tif", "YX", (20, 30), "uint8", "0f")
REF = ImageRef("0123456789abcdef0123", ID, axes="YX")
texts = st.text(max_size=20)
refs = st.builds(
    ImageRef,
    st.from_regex(r"[0-9a-f]{8,64}", fullmatch=True),
    st.builds(ImageId, texts, texts, texts, st.lists(st.integers(1, 99), max_size=5).map(tuple), texts, texts),
    texts,
    texts,
    texts,
    st.none() | st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
    texts,
)


@given(st.lists(refs, max_size=3), texts)
def test_project_when_written_then_it_is_read_the_same(tmp_path_factory, images, model):
    folder = tmp_path_factory.mktemp("project")
    project = ProjectFile(tuple(images), model)
    write_project(folder, project)
    assert read_project(folder) == project


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "99"),
        ({"images": 3}, "does not describe"),
        ({"images": [{}]}, "does not describe"),
        ({"folder": "../../elsewhere"}, "no folder of labels"),
        ({"folder": "0123456789abcdef/.."}, "no folder of labels"),
        ({"image": {"name": "cells"}}, "does not describe"),
        ({"voxel_size": "large"}, "does not describe"),
    ],
)
def test_project_when_it_is_not_ours_then_it_is_refused(tmp_path, change, words):
    write_project(tmp_path, ProjectFile((REF,)))
    values = json.loads((tmp_path / PROJECT_FILE).read_text())
    part = values if change.keys() & values.keys() else values["images"][0]
    (tmp_path / PROJECT_FILE).write_text(json.dumps(values | change if part is values else values))
    if part is not values:
        values["images"][0] = part | change
        (tmp_path / PROJECT_FILE).write_text(json.dumps(values))
    with pytest.raises(ReadError, match=words):
        read_project(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"format": 1}', "[" * 100_000])
def test_project_when_its_file_is_anything_then_it_is_refused(tmp_path, text):
    (tmp_path / PROJECT_FILE).write_text(text)
    with pytest.raises(ReadError):
        read_project(tmp_path)


def test_project_when_there_is_none_then_it_says_what_to_choose(tmp_path):
    with pytest.raises(ReadError, match=r"project\.json"):
        read_project(tmp_path / "nothing")


# ---------------------------------------------------------------- images


@pytest.fixture
def placed(tmp_path):
    """Give a project beside its image."""
    project, path = tmp_path / "a" / "project", tmp_path / "a" / "images" / "cells.tif"
    for folder in (project, path.parent):
        folder.mkdir(parents=True)
    path.write_bytes(b"first")
    return project, path, refer(project, REF, str(path))


def test_find_when_all_was_moved_together_then_the_path_from_the_project_counts(placed, tmp_path):
    project, path, ref = placed
    assert ref.relative == "../images/cells.tif"
    assert find_image(project, ref) == str(path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert find_image(tmp_path / "b" / "project", ref) == str(tmp_path / "b" / "images" / "cells.tif")


def test_find_when_only_the_project_was_moved_then_the_absolute_path_counts(placed, tmp_path):
    project, path, ref = placed
    project.rename(tmp_path / "project")
    assert find_image(tmp_path / "project", ref) == str(path)


def test_find_when_another_file_lies_nearer_then_the_checksum_decides(placed, tmp_path):
    project, path, ref = placed
    moved = tmp_path / "b" / "project"
    moved.parent.mkdir()
    project.rename(moved)
    (tmp_path / "b" / "images").mkdir()
    nearer = tmp_path / "b" / "images" / "cells.tif"
    nearer.write_bytes(b"other")
    assert find_image(moved, ref) == str(path)
    path.unlink()
    assert find_image(moved, ref) == str(nearer)
    found = tmp_path / "cells.tif"
    found.write_bytes(b"first")
    assert find_image(moved, ref, [tmp_path]) == str(found)


def test_find_when_it_is_nowhere_then_nothing_is_given_and_an_address_is_not_asked(placed):
    project, path, ref = placed
    path.unlink()
    assert find_image(project, ref) is None
    address = refer(project, REF, "https://host/cells.zarr")
    assert find_image(project, address) == "https://host/cells.zarr"
    assert find_image(project, replace(REF, image=replace(ID, source=""))) is None


@given(st.integers(0, 3 * BLOCK), st.data())
def test_fingerprint_when_a_byte_of_a_small_file_changes_then_it_is_another(tmp_path_factory, size, data):
    path = tmp_path_factory.mktemp("file") / "one"
    content = bytearray(np.random.default_rng(size).bytes(size))
    path.write_bytes(content)
    before = fingerprint(path)
    assert fingerprint(path) == before != ""
    if size:
        content[data.draw(st.integers(0, size - 1))] ^= 1
    else:
        content += b"x"
    path.write_bytes(content)
    assert fingerprint(path) != before


def test_fingerprint_when_a_folder_is_copied_then_it_is_the_same_until_a_chunk_changes(tmp_path):
    one, two = tmp_path / "one.zarr", tmp_path / "two.zarr"
    for folder in (one, two):
        for name, content in ((".zattrs", b"{}"), ("0/0.0", b"abc"), ("0/0.1", b"def"), ("labels/x/0", b"")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    assert fingerprint(one) == fingerprint(two)
    (two / "labels/x/0").write_bytes(b"painted")
    assert fingerprint(one) == fingerprint(two)
    (two / "0/0.1").write_bytes(b"deg")
    assert fingerprint(one) != fingerprint(two)
    assert fingerprint(tmp_path / "none") == ""


# ---------------------------------------------------------------- the log


def test_log_when_the_disk_refuses_then_no_half_line_is_left(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    append_lines(path, ["one"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="space"):
            append_lines(path, ["two"])
    append_lines(path, ["three", "vier ü"])
    assert path.read_text(encoding="utf-8") == "one\nthree\nvier ü\n"
