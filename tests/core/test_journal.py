"""Whatever happens to the files: the newest whole revision comes back, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import zlib
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.store import journal_read
from napari_unet.core.store.journal import LENGTHS, MAGIC, SUMS, Revision, chunk_boxes
from napari_unet.core.store.journal_read import read_journal
from napari_unet.core.store.journal_writer import JournalWriter, generations, newest_revision

SHAPES = {2: (300, 270), 3: (9, 140, 130), 4: (2, 3, 20, 20)}


def same(one: Revision | None, state: dict, arrays: dict) -> bool:
    return (
        one is not None
        and one.state == state
        and one.arrays.keys() == arrays.keys()
        and all(np.array_equal(one.arrays[k], a) and one.arrays[k].dtype == a.dtype for k, a in arrays.items())
    )


class Work:
    """Random edits, and what each save should bring back."""

    def __init__(self, folder: Path, seed: int, dims: int = 2, compact_bytes: int = 2000) -> None:
        self.rng = np.random.default_rng(seed)
        self.writer = JournalWriter(folder, compact_bytes=compact_bytes)
        shape = SHAPES[dims]
        self.arrays = {"labels": np.zeros(shape, np.int32), "predicted": np.ones(shape, np.int32)}
        self.arrays["predicted"].flags.writeable = False
        self.state: dict = {"accepted": []}
        self.saved: list[tuple[Path, int, int, dict, dict]] = []

    def edit(self) -> None:
        labels = self.arrays["labels"]
        box = tuple(slice(at, at + 6) for at in self.rng.integers(0, labels.shape))
        labels[box] = self.rng.integers(0, 4)
        which = self.rng.integers(0, 4)
        if which == 0:
            self.state = {"accepted": [*self.state["accepted"], int(self.rng.integers(1, 9))]}
        elif which == 1:
            background = self.rng.random(labels.shape) < 0.001
            background.flags.writeable = False
            self.arrays["background"] = background
        elif which == 2:
            self.arrays.pop("background", None)

    def save(self) -> int:
        arrays = {k: a.copy() if a.flags.writeable else a for k, a in self.arrays.items()}
        number = self.writer.write(float(len(self.saved)), {"n": len(self.saved)}, self.state, arrays)
        path = generations(self.writer.folder)[0]
        self.saved.append((path, path.stat().st_size, number, self.state, arrays))
        return number


@given(st.integers(0, 2**32), st.sampled_from([2, 3, 4]), st.integers(1, 9), st.data())
def test_journal_when_a_file_is_cut_or_changed_at_any_byte_then_the_newest_whole_revision_comes_back(
    seed, dims, n, data
):
    with TemporaryDirectory() as name:
        work = Work(Path(name), seed, dims)
        for _ in range(n):
            work.edit()
            work.save()
        files = generations(Path(name))
        hurt = data.draw(st.sampled_from(files))
        content = bytearray(hurt.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[at:]
        else:
            content[at] ^= data.draw(st.integers(1, 255))
        hurt.write_bytes(content)

        whole = [s for s in work.saved if s[0] in files and (s[0] != hurt or s[1] <= at)]
        found = newest_revision(Path(name), arrays=True)
        if not whole:
            assert found.revision is None
            assert found.damage
            return
        _, _, number, state, arrays = whole[-1]
        assert found.revision is not None
        assert found.revision.number == number
        assert same(found.revision, state, arrays)
        looked = newest_revision(Path(name)).revision
        assert looked is not None
        assert (looked.number, looked.arrays) == (number, {})


@given(st.binary(max_size=300), st.booleans())
def test_journal_when_a_file_is_anything_then_it_is_told_and_not_raised(data, with_magic):
    with TemporaryDirectory() as name:
        path = Path(name, "000001.journal")
        path.write_bytes(MAGIC * with_magic + data)
        found = read_journal(path)
        assert found.revision is None
        assert found.damage


def record(header: object, body: bytes = b"") -> bytes:
    packed = json.dumps(header).encode()
    lengths = LENGTHS.pack(len(packed), len(body))
    return MAGIC + lengths + SUMS.pack(zlib.crc32(lengths), zlib.crc32(packed + body)) + packed + body


GOOD = {"revision": 1, "time": 0, "about": {}, "state": None, "arrays": {}, "chunks": {}}
ARRAY = {"labels": {"shape": [4, 4], "dtype": "<i4"}}
BOMB = zlib.compress(bytes(10_000_000))


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ([], b""),
        ({**GOOD, "revision": "1"}, b""),
        ({**GOOD, "state": 5}, b"abcde"),
        ({**GOOD, "arrays": {"labels": {"shape": [4, 4], "dtype": "O"}}}, b""),
        ({**GOOD, "arrays": {"labels": {"shape": [4, -4], "dtype": "<i4"}}}, b""),
        ({**GOOD, "arrays": {"labels": {"shape": [2**40, 2**40], "dtype": "<i4"}}}, b""),
        ({**GOOD, "arrays": ARRAY, "chunks": {"labels": [[7, 0]]}}, b""),
        ({**GOOD, "arrays": ARRAY, "chunks": {"other": [[0, 0]]}}, b""),
        ({**GOOD, "arrays": ARRAY, "chunks": {"labels": [[0, len(BOMB)]]}}, BOMB),
        ({**GOOD, "arrays": ARRAY, "chunks": {"labels": [[0, 3]]}}, b"abc"),
        (GOOD, b"left over"),
    ],
)
def test_journal_when_the_sums_are_right_and_the_content_is_not_then_the_record_before_comes_back(
    tmp_path, header, body
):
    path = tmp_path / "000001.journal"
    state = zlib.compress(b'{"a":1}')
    labels = zlib.compress(np.arange(16, dtype=np.int32).tobytes())
    spec = {**GOOD, "state": len(state), "arrays": ARRAY, "chunks": {"labels": [[0, len(labels)]]}}
    path.write_bytes(record(spec, state + labels) + record(header, body))
    found = read_journal(path)
    assert found.damage.startswith("record 2")
    assert same(found.revision, {"a": 1}, {"labels": np.arange(16, dtype=np.int32).reshape(4, 4)})


def test_journal_when_written_by_a_newer_version_then_it_says_so(tmp_path):
    (tmp_path / "000001.journal").write_bytes(record(GOOD).replace(b"J1\n", b"J2\n", 1))
    assert "another version" in newest_revision(tmp_path).damage


def test_journal_when_the_memory_is_too_small_then_it_is_told(tmp_path, monkeypatch):
    Work(tmp_path, 0).save()
    monkeypatch.setattr(journal_read.psutil, "virtual_memory", lambda: type("Free", (), {"available": 10}))
    assert "memory" in newest_revision(tmp_path, arrays=True).damage


@pytest.mark.parametrize("shape", [(5,), (300, 600), (9, 129, 4), (2, 2, 9, 130, 4), (0, 7)])
def test_chunks_when_listed_then_they_cover_each_voxel_once(shape):
    hits = np.zeros(shape, int)
    for box in chunk_boxes(shape):
        hits[box] += 1
    assert (hits == 1).all()


# ---------------------------------------------------------------- the writer


def test_writer_when_nothing_changed_then_nothing_is_written(tmp_path):
    work = Work(tmp_path, 1)
    work.edit()
    first = work.save()
    assert work.save() == first
    assert work.saved[0][1] == work.saved[1][1]


def test_writer_when_one_stroke_is_painted_then_a_small_record_is_appended(tmp_path):
    work = Work(tmp_path, 1, compact_bytes=10**6)
    work.arrays["labels"] = work.rng.integers(0, 9, (900, 900))
    work.save()
    work.arrays["labels"][5:9, 5:9] = 3
    work.save()
    (path, first, _, _, _), (same_path, second, *_) = work.saved
    assert path == same_path
    assert second - first < first / 8


def test_writer_when_the_file_grew_then_a_generation_begins_and_three_are_kept(tmp_path):
    work = Work(tmp_path, 1, compact_bytes=0)
    for _ in range(30):
        work.arrays["labels"][:50, :50] = work.rng.integers(0, 9, (50, 50))
        work.save()
    files = generations(tmp_path)
    assert len(files) == len(list(tmp_path.iterdir())) == 3
    assert int(files[0].stem) > 3


def test_writer_when_another_one_was_there_then_the_revisions_count_on(tmp_path):
    first, second = Work(tmp_path, 1), Work(tmp_path, 2)
    first.save()
    number = first.save()
    assert second.save() == number + 1
    found = newest_revision(tmp_path, arrays=True)
    assert same(found.revision, second.saved[-1][3], second.saved[-1][4])


def test_writer_when_the_labels_get_another_shape_or_dtype_then_they_are_saved_anew(tmp_path):
    work = Work(tmp_path, 1, compact_bytes=10**6)
    work.edit()
    work.save()
    for labels in (np.full((10, 700), 300, np.uint16), np.full((10, 700), 300, np.int64)):
        work.arrays = {"labels": labels}
        work.save()
        assert same(newest_revision(tmp_path, arrays=True).revision, work.state, work.arrays)


def replace_file(path: Path) -> None:
    path.write_bytes(b"something else")


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def swap(path: Path) -> None:
    copy = path.read_bytes()
    path.unlink()
    path.write_bytes(bytes(len(copy)))


def remove_folder(path: Path) -> None:
    for one in path.parent.iterdir():
        one.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("harm", [replace_file, tear, swap, Path.unlink, remove_folder])
def test_writer_when_the_file_is_not_as_it_left_it_then_it_saves_all_in_a_new_one(tmp_path, harm):
    work = Work(tmp_path / "work", 3)
    for _ in range(3):
        work.edit()
        work.save()
    harm(work.saved[-1][0])
    work.edit()
    work.save()
    assert same(newest_revision(tmp_path / "work", arrays=True).revision, work.state, work.arrays)


@contextmanager
def file_size_limit(n: int):
    """Let the system cut a write short, as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_writer_when_the_disk_is_full_in_the_middle_of_a_record_then_the_last_one_stays_and_the_next_goes_on(tmp_path):
    work = Work(tmp_path, 4, compact_bytes=10**6)
    work.edit()
    work.save()
    path, size, number, state, arrays = work.saved[-1]
    work.arrays["labels"][:100, :100] = work.rng.integers(0, 9, (100, 100))
    with file_size_limit(size + 100), pytest.raises(OSError, match="too large"):
        work.save()
    assert path.stat().st_size == size
    found = newest_revision(tmp_path, arrays=True)
    assert found.damage == ""
    assert found.revision.number == number
    assert same(found.revision, state, arrays)
    assert work.save() == number + 1
    assert work.saved[-1][0] == path
    assert same(newest_revision(tmp_path, arrays=True).revision, work.state, work.arrays)


def test_writer_when_there_is_no_room_for_a_generation_then_the_old_one_stays_and_no_part_is_left(tmp_path):
    work = Work(tmp_path, 4)
    work.edit()
    work.save()
    again = Work(tmp_path, 5)
    again.arrays["labels"][:] = again.rng.integers(0, 9, SHAPES[2])
    with file_size_limit(1000), pytest.raises(OSError, match="too large"):
        again.save()
    assert [path.name for path in tmp_path.iterdir()] == ["000001.journal"]
    again.save()
    assert same(newest_revision(tmp_path, arrays=True).revision, again.state, again.arrays)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_writer_when_the_disk_refuses_then_the_next_call_saves_the_same(tmp_path, monkeypatch, number):
    work = Work(tmp_path, 6)
    work.edit()
    work.save()

    def refuse(_):
        raise OSError(number, os.strerror(number))

    work.edit()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match=os.strerror(number)):
            work.save()
    work.save()
    assert same(newest_revision(tmp_path, arrays=True).revision, work.state, work.arrays)
