"""All labels so far: newer ones win, others are merged, and what a model knows already is told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_unet.core.metrics.instances  # noqa: F401 - loaded here, not within an example's deadline
from napari_unet.app.gathering import Taught, gather, merged, new_part, new_since
from napari_unet.app.training_set import keep, leave_out, read_set
from napari_unet.core.base.image import Image
from napari_unet.core.store.training_set import Sample

SIZE = 40


def image(seed: int = 0, name: str = "cells") -> Image:
    return Image(np.random.default_rng(seed).random((SIZE, SIZE), np.float32), "YX", name=name)


def sample(*corners: tuple[int, int], seed: int = 0, known: tuple[slice, slice] | None = None, name: str = "cells"):
    """Label squares of 8 px; known is what they cover with a ring of 2 px, and a box."""
    labels = np.zeros((SIZE, SIZE), np.int32)
    annotated = np.zeros((SIZE, SIZE), np.uint8)
    for number, (y, x) in enumerate(corners, start=1):
        annotated[max(0, y - 2) : y + 10, max(0, x - 2) : x + 10] = 1
        labels[y : y + 8, x : x + 8] = number
    if known is not None:
        annotated[known] = 1
    return Sample(image(seed, name), labels, annotated, name)


def objects(one: Sample) -> list[tuple[int, int]]:
    known = np.where(one.annotated == 1, one.labels, 0)
    return sorted(tuple(int(v) for v in np.argwhere(known == i)[0]) for i in np.unique(known) if i)


def test_merged_when_different_parts_are_annotated_then_both_teach():
    found = merged(sample((4, 4)), sample((4, 24)))
    assert objects(found) == [(4, 4), (4, 24)]
    assert found.annotated[3, 3] == found.annotated[3, 23] == 1
    assert found.annotated[30, 30] == 0


def test_merged_when_an_object_was_redrawn_then_the_new_one_replaces_it_wholly():
    found = merged(sample((4, 4)), sample((6, 6)))
    assert objects(found) == [(6, 6)]
    assert len(np.unique(found.labels)) == 2


def test_merged_when_an_object_was_deleted_then_it_stays_so():
    found = merged(sample((4, 4), (24, 24)), sample(known=(slice(0, 16), slice(0, 16))))
    assert objects(found) == [(24, 24)]


def test_merged_when_an_object_loses_a_few_voxels_then_its_shape_counts_no_more():
    found = merged(sample((4, 4)), sample((4, 13)))  # its ring covers one column
    assert objects(found) == [(4, 13)]
    assert found.annotated[6, 6] == 2
    assert found.labels[6, 6] > 0


def test_merged_when_classes_are_painted_then_the_newer_stroke_wins():
    older, newer = sample((4, 4)), sample((4, 8))
    found = merged(older, replace(newer, labels=2 * newer.labels), semantic=True)
    assert (found.labels[6, 5], found.labels[6, 9]) == (1, 2)


CORNERS = st.lists(st.sampled_from([(2, 2), (2, 14), (2, 27), (14, 5), (27, 14), (26, 26)]), unique=True, max_size=4)


@given(CORNERS, CORNERS)
def test_merged_when_anything_is_merged_then_all_that_is_newer_holds(old, new):
    older, newer = sample(*old), sample(*new)
    found = merged(older, newer)
    over = newer.annotated > 0
    np.testing.assert_array_equal(found.labels[over], newer.labels[over])
    np.testing.assert_array_equal(found.annotated[over], newer.annotated[over])
    assert not ((found.annotated > 0) & (newer.annotated == 0) & (older.annotated == 0)).any()
    assert not (set(np.unique(found.labels[over])) - {0}) & set(np.unique(found.labels[~over & (found.annotated > 0)]))


@given(CORNERS, CORNERS)
def test_new_part_when_something_is_added_then_it_holds_that_and_nothing_learnt(old, new):
    older = sample(*old)
    all_of_it = merged(older, sample(*new))
    part = new_part(all_of_it, older)
    assert objects(part) == sorted(set(objects(all_of_it)) - set(old))
    assert not new_part(older, older).annotated.any()


def test_new_part_when_an_object_was_deleted_then_its_place_is_new():
    part = new_part(sample(known=(slice(0, 16), slice(0, 16))), sample((4, 4)))
    assert part.annotated[6, 6] == 1


@pytest.mark.parametrize("semantic", [False, True])
def test_new_part_when_nothing_is_known_twice_then_all_is_new(semantic):
    one = sample((4, 24))
    np.testing.assert_array_equal(new_part(one, sample((4, 4)), semantic=semantic).annotated, one.annotated)


# --- with sets on disk ---


@pytest.fixture
def line(tmp_path):
    """Teach in rounds; each gives what is learnt, and makes a set."""

    class Line:
        def __init__(self):
            self.folders = []

        def entries(self):
            return [entry for folder in self.folders for entry in read_set(folder)[0]]

        def round(self, *taught: Taught):
            found = gather(taught, self.entries())
            folder = tmp_path / f"ft-{len(self.folders) + 1}"
            keep(folder, "parent", found.kept)
            self.folders = [*self.folders, folder]
            return found

    return Line()


def test_gather_when_another_image_comes_then_both_teach(line):
    line.round(Taught(sample((4, 4))))
    found = line.round(Taught(sample((4, 24), seed=1)))
    assert [one.name for one in found.samples] == ["cells", "cells-2"]
    assert [one.record.cells for one in found.kept] == [1, 1]
    assert [kept.is_changed for kept in found.kept] == [False, True]


def test_gather_when_the_same_image_is_opened_on_another_day_then_both_parts_teach(line):
    line.round(Taught(sample((4, 4)), "monday"))
    found = line.round(Taught(sample((4, 24)), "friday"))
    assert [objects(one) for one in found.samples] == [[(4, 4), (4, 24)]]
    assert line.entries()[-1].record.is_merged


def test_gather_when_an_object_is_taken_back_in_the_same_labels_then_it_teaches_no_more(line):
    line.round(Taught(sample((24, 4)), "monday"))
    line.round(Taught(sample((4, 4), (4, 24)), "friday"))
    found = line.round(Taught(sample((4, 24)), "friday"))
    assert [objects(one) for one in found.samples] == [[(4, 24), (24, 4)]]


def test_gather_when_the_set_from_before_is_gone_then_older_labels_are_not_lost(line):
    line.round(Taught(sample((24, 4)), "monday"))
    line.round(Taught(sample((4, 4)), "friday"))
    line.folders = line.folders[1:]
    found = line.round(Taught(sample((4, 24)), "friday"))
    assert (24, 4) in objects(found.samples[0])


def test_gather_when_a_sample_is_left_out_then_it_is_kept_but_not_learnt(line):
    line.round(Taught(sample((4, 4))), Taught(sample((4, 24), seed=1)))
    leave_out(line.folders, line.entries()[0].key, True)
    found = line.round(Taught(sample((24, 24), seed=2)))
    assert [one.name for one in found.samples] == ["cells-2", "cells-3"]
    assert [e.record.left_out for e in read_set(line.folders[-1])[0]] == [True, False, False]


def test_gather_when_a_file_is_damaged_then_the_rest_teaches_and_it_is_told(line):
    line.round(Taught(sample((4, 4))), Taught(sample((4, 24), seed=1)))
    (line.folders[0] / "labels" / "cells.tif").write_bytes(b"II*")
    found = line.round(Taught(sample((24, 24), seed=2)))
    assert [one.name for one in found.samples] == ["cells-2", "cells"]
    assert "'cells'" in found.notes[0]


@pytest.mark.parametrize("is_out", [False, True])
def test_gather_when_two_sets_gave_a_name_to_different_images_then_both_are_kept(line, tmp_path, is_out):
    line.round(Taught(sample((4, 4))))
    other = gather([Taught(sample((4, 24), seed=1))], ())
    keep(tmp_path / "other", "parent", other.kept)
    line.folders.append(tmp_path / "other")
    leave_out(line.folders, read_set(tmp_path / "other")[0][0].key, is_out)
    found = line.round()
    assert [one.record.name for one in found.kept] == ["cells", "cells-2"]
    assert len(found.samples) == 2 - is_out
    assert [objects(entry.load()) for entry in read_set(line.folders[-1])[0]] == [[(4, 4)], [(4, 24)]]


def test_new_since_when_a_model_knows_a_part_then_only_the_rest_can_judge_it(line):
    line.round(Taught(sample((4, 4))), Taught(sample((4, 24), seed=1)))
    current = read_set(line.folders[-1])[0]
    found = line.round(Taught(sample((24, 24))), Taught(sample((24, 4), seed=2)))
    assert [objects(one) for one in new_since(found, current)] == [[(24, 24)], [(24, 4)]]
    assert [objects(one) for one in new_since(found, [])] == [[(4, 4), (24, 24)], [(4, 24)], [(24, 4)]]
