"""Lineages: followed back to their base, kept within limits, and whole after a version got another name."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from napari_unet.app import library, lineage
from napari_unet.app.training_set import Kept, Record, image_sha256, keep, leave_out, read_set
from napari_unet.app.unfinished import NOTE
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.store.spec import SPEC_FILE
from napari_unet.core.store.training_set import Sample
from tests.app.models import tiny_spec, write_spec


def kept(seed: int) -> Kept:
    image = Image(np.random.default_rng(seed).random((24, 24), np.float32), "YX", name=f"s{seed}")
    labels = np.zeros((24, 24), np.int32)
    labels[4:9, 4:9] = 1
    return Kept(
        Record(image.name, image_sha256(image), 1, f"2026-01-0{seed + 1}"), Sample(image, labels, None, image.name)
    )


@pytest.fixture
def grow(models_home):
    """Add versions to a lineage; each has learnt from the samples given, by their number."""
    home = models_home / "models"
    write_spec(home, "base")

    def add(name: str, parent: str, samples: tuple[int, ...] = (0,), day: int = 1) -> str:
        before = lineage.trace(library.find_model(parent))
        spec = lineage.described(tiny_spec(name, training={"learned": "all"}), before)
        spec = replace(spec, training={**spec.training, lineage.DATE: f"2026-03-{day:02d}"})
        folder = write_spec(home, name)
        (folder / SPEC_FILE).write_text(spec.to_json(), encoding="utf-8")
        keep(lineage.set_folder(name), parent, [kept(seed) for seed in samples])
        return name

    return add


def names(folder_of: str) -> list[str]:
    return [entry.name for entry in lineage.trace(library.find_model(folder_of))]


def test_trace_when_a_model_was_fine_tuned_twice_then_the_base_comes_first(grow):
    grow("base-ft-1", "base")
    grow("base-ft-2", "base-ft-1")
    assert names("base-ft-2") == ["base", "base-ft-1", "base-ft-2"]
    assert names("base") == ["base"]


def test_trace_when_a_version_between_is_gone_then_the_base_is_still_found(grow):
    grow("base-ft-1", "base")
    grow("base-ft-2", "base-ft-1")
    library.delete_model("base-ft-1")
    assert names("base-ft-2") == ["base", "base-ft-2"]


def test_trace_when_the_base_is_gone_then_the_oldest_that_is_there_is_the_base(grow):
    grow("base-ft-1", "base")
    grow("base-ft-2", "base-ft-1")
    library.delete_model("base")
    assert names("base-ft-2") == ["base-ft-1", "base-ft-2"]


def test_trace_when_versions_name_only_their_parent_then_they_are_followed_all_the_same(models_home):
    home = models_home / "models"
    write_spec(home, "base")
    write_spec(home, "one", parent="base", training={"learned": "head"})
    write_spec(home, "two", parent="one", training={"learned": "head"})
    write_spec(home, "circle", parent="circle", training={"learned": "head"})
    assert names("two") == ["base", "one", "two"]
    assert names("circle") == ["circle"]


def test_trace_when_a_new_network_only_started_from_another_then_it_is_a_base_itself(models_home):
    home = models_home / "models"
    write_spec(home, "base")
    write_spec(home, "new", parent="base", training={"steps": 9})
    assert names("new") == ["new"]


def test_trace_when_a_name_was_given_anew_to_another_network_then_it_is_left_out(grow, models_home):
    grow("base-ft-1", "base")
    library.delete_model("base")
    write_spec(models_home / "models", "base", net_config={**tiny_spec().net_config, "base": 8})
    assert names("base-ft-1") == ["base-ft-1"]


def test_trace_when_the_model_lies_elsewhere_then_its_namesake_is_not_taken_for_it(grow, tmp_path):
    grow("base-ft-1", "base")
    elsewhere = write_spec(tmp_path, "base-ft-1")
    assert [entry.folder for entry in lineage.trace(elsewhere)] == [elsewhere]


def test_entries_when_a_training_never_ended_then_its_samples_count_too(grow):
    grow("base-ft-1", "base", (0,))
    keep(lineage.set_folder("base-ft-2"), "base-ft-1", [kept(0), kept(1)])
    keep(lineage.set_folder("other-ft-1"), "other", [kept(2)])
    found = lineage.entries_of(lineage.trace(library.find_model("base-ft-1")))
    assert [(e.folder.name, e.record.name) for e in found] == [
        ("base-ft-1", "s0"),
        ("base-ft-2", "s0"),
        ("base-ft-2", "s1"),
    ]


# --- what is kept ---


def rounds(grow, n: int, samples=lambda day: (0,)) -> str:
    parent = "base"
    for day in range(1, n + 1):
        parent = grow(f"base-ft-{day}", parent, samples(day), day)
    return parent


def left() -> list[str]:
    return [entry.name.removeprefix("base-ft-") for entry in library.list_models() if not entry.bundled]


def test_tidy_when_there_are_more_than_five_then_the_oldest_go_with_their_samples(grow):
    last = rounds(grow, 7)
    assert lineage.tidy(last) == ["base-ft-1", "base-ft-2"]
    assert left() == ["base", "3", "4", "5", "6", "7"]
    assert not lineage.set_folder("base-ft-1").exists()
    assert names(last)[0] == "base"


@pytest.mark.parametrize("keep_it", ["use", "rename", "in use"])
def test_tidy_when_somebody_named_chose_or_uses_a_version_then_it_stays(grow, keep_it):
    last = rounds(grow, 7)
    if keep_it == "use":
        library.keep_model("base-ft-1")
    elif keep_it == "rename":
        lineage.rename("base-ft-1", "monday")
    assert "base-ft-1" not in lineage.tidy(last, ("base-ft-1",) if keep_it == "in use" else ())
    assert ("monday" if keep_it == "rename" else "1") in left()


def test_tidy_when_no_newer_version_has_the_samples_then_the_old_one_stays(grow):
    last = rounds(grow, 7, lambda day: (0,) if day == 1 else (1,))
    assert lineage.tidy(last) == ["base-ft-2"]


def test_tidy_when_another_lineage_is_full_then_it_is_left_alone(grow, models_home):
    write_spec(models_home / "models", "other", net_config={**tiny_spec().net_config, "base": 8})
    rounds(grow, 6)
    grow("base-mine", "base", day=20)
    assert lineage.tidy("base-mine") == ["base-ft-1"]
    assert "other" in left()


def test_tidy_when_a_training_that_brought_no_model_is_old_then_its_samples_go_once_they_are_learnt(grow):
    grow("base-ft-1", "base")
    for name, seed in (("old", 0), ("unlearnt", 1), ("new", 0), ("interrupted", 0)):
        keep(lineage.set_folder(name), "base-ft-1", [kept(seed)])
        if name == "interrupted":
            (lineage.set_folder(name) / NOTE).touch()
        if name != "new":
            os.utime(lineage.set_folder(name), (0, 0))
    lineage.tidy(grow("base-ft-5", "base-ft-1", (0,), day=5))
    there = sorted(path.name for path in library.training_sets_folder().iterdir())
    assert there == ["base-ft-1", "base-ft-5", "interrupted", "new", "unlearnt"]


def test_rename_when_versions_came_from_a_model_then_they_still_know_it(grow):
    grow("base-ft-1", "base")
    grow("base-ft-2", "base-ft-1")
    lineage.rename("base-ft-1", "monday")
    assert names("base-ft-2") == ["base", "monday", "base-ft-2"]
    assert [e.record.name for e in read_set(lineage.set_folder("monday"))[0]] == ["s0"]
    lineage.rename("base", "origin")
    assert names("base-ft-2") == ["origin", "monday", "base-ft-2"]


@pytest.mark.parametrize(("samples", "stays"), [((0,), False), ((0, 1), True)])
def test_delete_when_no_other_version_has_the_samples_then_they_stay(grow, samples, stays):
    grow("base-ft-1", "base", (0,))
    grow("base-ft-2", "base", samples)
    lineage.delete("base-ft-2")
    assert lineage.set_folder("base-ft-2").exists() == stays


def test_rename_when_a_training_set_has_the_name_then_it_is_refused_before_anything_moves(grow):
    grow("base-ft-1", "base")
    keep(lineage.set_folder("taken"), "base", [kept(0)])
    with pytest.raises(UserError, match="training set"):
        lineage.rename("base-ft-1", "taken")
    assert library.find_model("base-ft-1")


def test_versions_when_listed_then_each_says_its_size_on_the_disk(grow):
    grow("base-ft-1", "base")
    base, version = lineage.versions(lineage.trace(library.find_model("base-ft-1")))
    assert 0 < base.n_bytes < version.n_bytes


def test_has_samples_when_all_are_left_out_then_there_are_none(grow):
    folder = library.find_model(grow("base-ft-1", "base"))
    assert lineage.has_samples(folder)
    leave_out([lineage.set_folder("base-ft-1")], kept(0).record.image, True)
    assert not lineage.has_samples(folder)
