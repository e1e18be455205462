"""Files are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from napari_unet.core.base import files
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import check_writable, link_file, sha256, write_atomic


def test_write_atomic_when_a_file_stands_there_then_replaces_it(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomic_when_the_disk_refuses_then_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def refusals(monkeypatch):
    """Refuse some replacements, as Windows does while a scanner holds the file; nobody waits."""
    waited: list[float] = []
    monkeypatch.setattr(files.time, "sleep", waited.append)
    replace = Path.replace

    def refuse(times):
        left = [times]

        def stubborn(self, target):
            left[0] -= 1
            if left[0] >= 0:
                raise PermissionError(5, "Access is denied")
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", stubborn)
        return waited

    return refuse


def test_write_atomic_when_the_file_is_held_for_a_moment_then_tries_again(tmp_path, refusals):
    waited = refusals(2)
    write_atomic(tmp_path / "a.bin", b"new")
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert len(waited) == 2


def test_write_atomic_when_the_file_is_held_for_ever_then_gives_up_in_seconds(tmp_path, refusals):
    waited = refusals(1000)
    with pytest.raises(PermissionError):
        write_atomic(tmp_path / "a.bin", b"new")
    assert sum(waited) < 5
    assert not list(tmp_path.iterdir())


def test_sha256_when_given_bytes_then_is_the_known_digest():
    assert sha256(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert sha256(b"").startswith("e3b0c44298fc1c14")


def test_link_file_when_the_disk_links_then_both_names_stand_for_one_file(tmp_path):
    source, path = tmp_path / "a.bin", tmp_path / "b.bin"
    source.write_bytes(b"content")
    for _ in range(2):
        link_file(source, path)
        assert path.samefile(source)
    write_atomic(path, b"new")
    assert source.read_bytes() == b"content"


def test_link_file_when_the_disk_knows_no_links_then_copies(tmp_path, monkeypatch):
    source, path = tmp_path / "a.bin", tmp_path / "b.bin"
    source.write_bytes(b"content")

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    link_file(source, path)
    assert path.read_bytes() == b"content"
    assert sorted(tmp_path.iterdir()) == [source, path]


def test_check_writable_when_a_folder_is_missing_then_it_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_check_writable_when_a_file_is_in_the_way_then_names_the_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"file.*in"):
        check_writable(tmp_path / "file" / "in")
