"""Labels that another tool made go through everything that a prediction goes through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_unet.app.annotations import accept, start
from napari_unet.app.autosave_draft import restore, take_draft
from napari_unet.app.merging import merge_prediction
from napari_unet.app.overview import overview
from napari_unet.app.own_labels import own_labels
from napari_unet.app.result import Result
from napari_unet.app.suggest_places import SuggestRequest, look_for_region
from napari_unet.app.teaching import take_snapshot, to_samples
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.progress import silent
from napari_unet.core.edits import EDITS, apply_edit
from napari_unet.core.store.autosave import identify
from napari_unet.core.store.journal import Revision

SHAPE = (30, 40)
KINDS = ["uint8", "int8", "uint16", ">u2", "int32", ">i4", "uint32", "int64", "uint64"]


def drawn(kind: str) -> tuple[np.ndarray, int, int]:
    """Draw two objects, the second with the highest number that there can be with room for a few more."""
    high = min(np.iinfo(kind).max, np.iinfo(np.int64).max) - 10
    labels = np.zeros(SHAPE, kind)
    labels[2:9, 3:12], labels[15:26, 20:34] = 5, high
    return labels, 5, int(high)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_when_of_any_kind_with_huge_and_gappy_numbers_then_they_are_reviewed_corrected_and_taught(kind: str):
    data, low, high = drawn(kind)
    labels = own_labels(data, SHAPE, "mine")
    assert np.array_equal(labels, data)
    image = Image(np.zeros(SHAPE, np.float32), "YX")
    c = start(labels)
    assert overview(c, labels).states(c) == {low: "predicted", high: "predicted"}
    assert to_samples(take_snapshot(image, labels, c)) == ()
    c = accept(c, [high])
    assert overview(c, labels).states(c) == {low: "predicted", high: "accepted"}
    (sample,) = to_samples(take_snapshot(image, labels, c))
    assert set(np.unique(sample.labels)) == {0, high}
    assert look_for_region(SuggestRequest(labels, c, "YX"), silent, bool).n_open == 1
    edited = apply_edit(labels, EDITS["split"](labels, [high], line=np.array([[14.0, 26.5], [27.0, 26.5]])))
    assert overview(c, edited).states(c)[high] == "accepted"
    assert len(np.unique(edited)) == 4
    merged, after = merge_prediction(c, labels, np.pad(np.ones((4, 4), np.int32), ((0, 26), (36, 0))))
    assert overview(after, merged).states(after) == {high: "accepted", high + 1: "predicted"}
    draft = take_draft(identify(image), labels, Result(image, c))
    again = restore(Revision(1, 0.0, draft.about, draft.state, draft.arrays), image)
    assert np.array_equal(again.labels, labels)
    assert again.result.corrections.accepted == {high}


def stored(kind: str, data: np.ndarray, folder: Path) -> Any:
    """Store labels in one of the ways in which napari shows them."""
    np.save(folder / "labels.npy", data)
    zarr.save_array(folder / "labels.zarr", data)
    read_only = data.copy()
    read_only.flags.writeable = False
    return {
        "numpy": lambda: data,
        "zarr": lambda: zarr.open_array(folder / "labels.zarr", mode="r+"),
        "memory map": lambda: np.load(folder / "labels.npy", mmap_mode="r+"),
        "zarr, read only": lambda: zarr.open_array(folder / "labels.zarr", mode="r"),
        "memory map, read only": lambda: np.load(folder / "labels.npy", mmap_mode="r"),
        "numpy, read only": lambda: read_only,
        "dask": lambda: da.from_array(data),
    }[kind]()


@pytest.mark.parametrize("kind", ["numpy", "zarr", "memory map"])
def test_labels_when_they_can_be_painted_then_they_are_taken_as_they_are(kind: str, tmp_path: Path):
    data = stored(kind, drawn("int64")[0], tmp_path)
    assert own_labels(data, SHAPE, "mine") is data


@pytest.mark.parametrize("kind", ["zarr, read only", "memory map, read only", "numpy, read only", "dask"])
def test_labels_when_they_cannot_be_painted_then_a_copy_is_taken(kind: str, tmp_path: Path):
    data = stored(kind, drawn("uint16")[0], tmp_path)
    taken = own_labels(data, SHAPE, "mine")
    taken[0, 0] = 9
    assert type(taken) is np.ndarray
    assert np.asarray(data)[0, 0] == 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.zeros((30, 41), np.int32), r"\(30, 41\) voxels; the image needs \(30, 40\)"),
        (np.zeros((3, *SHAPE), np.int32), "the image needs"),
        (np.zeros(SHAPE, np.float32), "whole numbers"),
        (np.full(SHAPE, -2, np.int16), "below zero, down to -2"),
        (np.full(SHAPE, np.iinfo(np.uint64).max, np.uint64), "too large"),
    ],
)
def test_labels_when_they_are_none_then_it_says_why(data: np.ndarray, said: str):
    with pytest.raises(UserError, match=said) as told:
        own_labels(data, SHAPE, "mine")
    assert told.value.hint
