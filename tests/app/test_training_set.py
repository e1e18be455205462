"""Training sets on disk: what is listed, linked, left out and removed, and what damage does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_unet.app.training_set import (
    RECORDS,
    Kept,
    Record,
    holds_all,
    image_sha256,
    keep,
    leave_out,
    newest,
    read_set,
    remove,
)
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import disk_size, remove_folder
from napari_unet.core.base.image import Image
from napari_unet.core.store.training_set import Sample


def sample(name: str = "cells", seed: int = 0) -> Sample:
    labels = np.zeros((32, 32), np.int32)
    labels[4:12, 4:12] = 1
    return Sample(Image(np.random.default_rng(seed).random((32, 32), np.float32), "YX", name=name), labels, None, name)


def kept(one: Sample, **changes) -> Kept:
    return Kept(Record(one.name, image_sha256(one.image), 1, "2026-01-01", **changes), one)


@pytest.fixture
def first(tmp_path):
    """Give a set of two samples."""
    folder = tmp_path / "ft-1"
    keep(folder, "base", [kept(sample("a", 1), source="a.tif"), kept(sample("b", 2))])
    return folder


def taken_over(first: Path, **changes) -> Path:
    """Make the next set: the same samples, unchanged."""
    folder = first.with_name("ft-2")
    entries = read_set(first)[0]
    keep(folder, "ft-1", [Kept(replace(e.record, **changes), e.load(), e, is_changed=False) for e in entries])
    return folder


def test_set_when_kept_then_its_records_and_its_samples_are_read_again(first):
    entries, parent = read_set(first)
    assert parent == "base"
    assert [(e.record.name, e.record.source, e.record.cells, e.problem) for e in entries] == [
        ("a", "a.tif", 1, ""),
        ("b", "", 1, ""),
    ]
    assert entries[0].key == image_sha256(entries[0].load().image)


def test_set_when_the_next_takes_it_over_then_its_files_take_no_room_twice(first):
    alone = disk_size([first])
    second = taken_over(first)
    assert [e.load().digest() for e in read_set(second)[0]] == [e.load().digest() for e in read_set(first)[0]]
    assert disk_size([first, second]) - alone < 2_000  # the records
    remove_folder(first)
    assert not first.exists()
    assert all(e.load() for e in read_set(second)[0])


def test_set_when_the_labels_of_a_sample_change_then_only_the_image_is_shared(first):
    entry = read_set(first)[0][0]
    changed = replace(entry.load(), labels=np.fliplr(entry.load().labels))
    second = first.with_name("ft-2")
    keep(second, "ft-1", [Kept(entry.record, changed, entry)])
    assert (second / "images" / "a.tif").samefile(first / "images" / "a.tif")
    np.testing.assert_array_equal(read_set(second)[0][0].load().labels, changed.labels)
    np.testing.assert_array_equal(entry.load().labels, sample().labels)


def test_newest_when_several_sets_hold_an_image_then_the_last_labelled_counts(first):
    second = taken_over(first, date="2026-02-02")
    found = newest([*read_set(second)[0], *read_set(first)[0]])
    assert [entry.folder for entry in found] == [second, second]


def test_leave_out_when_asked_then_all_sets_of_the_lineage_know_and_it_can_be_taken_back(first):
    second = taken_over(first)
    key = read_set(first)[0][0].key
    leave_out([first, second], key, True)
    for folder in (first, second):
        assert [e.record.left_out for e in read_set(folder)[0]] == [True, False]
    leave_out([first, second], key, False)
    assert not any(e.record.left_out for e in read_set(second)[0])
    assert read_set(second)[1] == "ft-1"


def test_remove_when_asked_then_no_set_of_the_lineage_has_it(first):
    second = taken_over(first)
    remove([first, second], read_set(first)[0][0].key)
    for folder in (first, second):
        assert [e.record.name for e in read_set(folder)[0]] == ["b"]
        assert not list(folder.glob("*/a.tif"))


def test_holds_all_when_a_sample_is_missing_or_left_out_then_the_older_set_is_still_needed(first):
    second = taken_over(first)
    older, newer = read_set(first)[0], read_set(second)[0]
    assert holds_all(newer, older)
    assert not holds_all(newer[1:], older)
    leave_out([second], newer[0].key, True)
    assert not holds_all(read_set(second)[0], older)
    leave_out([second], newer[0].key, False)
    (second / "images" / "a.tif").unlink()
    assert not holds_all(read_set(second)[0], older)


@pytest.mark.parametrize("text", ["{", "[]", '{"samples": 3}', '{"samples": [3, {"name": "../../x"}, {"name": ""}]}'])
def test_read_set_when_the_records_are_damaged_then_the_samples_are_still_listed(first, text):
    (first / RECORDS).write_text(text, encoding="utf-8")
    entries, parent = read_set(first)
    assert [(e.record.name, e.record.cells) for e in entries] == [("a", -1), ("b", -1)]
    assert parent == ""
    assert entries[0].load().name == "a"


def test_read_set_when_a_value_is_of_another_kind_then_it_counts_as_unknown(first):
    values = json.loads((first / RECORDS).read_text())
    values["samples"][0]["cells"] = "many"
    (first / RECORDS).write_text(json.dumps(values))
    assert read_set(first)[0][0].record.cells == -1


def test_read_set_when_there_is_none_then_it_is_empty(tmp_path):
    assert read_set(tmp_path / "absent") == ([], "")


@pytest.mark.parametrize("part", ["images", "labels"])
def test_entry_when_a_file_is_gone_then_it_says_which_and_the_others_work(first, part):
    (first / part / "a.tif").unlink()
    gone, there = read_set(first)[0]
    assert part in gone.problem
    with pytest.raises(UserError, match=part):
        gone.load()
    assert there.load().name == "b"


def test_entry_when_a_file_is_damaged_then_loading_says_so(first):
    path = first / "labels" / "a.tif"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError):
        read_set(first)[0][0].load()
