"""Labels as OME-Zarr: whole or block by block, resumed, with a pyramid, and read by others."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.io import (
    create_labels,
    finish_labels,
    open_labels,
    read_image,
    read_labels,
    read_levels,
    write_labels,
)
from napari_unet.core.io.zarr_write import blocks, label_chunks

LABELS = np.random.default_rng(0).integers(0, 70_000, (3, 600, 700), dtype=np.int32)
SIZE = (2.0, 0.5, 0.25)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_write_labels_when_any_shape_and_size_then_all_comes_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    axes = data.draw(st.sampled_from(["YX", "ZYX", "TYX", "TZYX"]))
    shape = data.draw(st.tuples(*(st.integers(2, 5) for _ in axes)))
    labels = np.full(shape, data.draw(st.sampled_from([0, 1, 300, 2**31 - 1, 2**31, 2**32 - 1])))
    size = data.draw(st.none() | st.tuples(*(st.floats(0.01, 50) for a in axes if a != "T")))
    path = tmp_path_factory.mktemp("io") / "x.ome.zarr"

    write_labels(path, labels, Image(np.zeros(shape), axes, size))

    again = read_image(path)
    assert (again.axes, again.voxel_size) == (axes, size)
    assert again.data.dtype == (np.int32 if labels.max() < 2**31 else np.uint32)
    np.testing.assert_array_equal(read_labels(path), labels)


def test_write_labels_when_written_then_the_metadata_are_those_of_ngff_04(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "cells.zarr", LABELS, Image(np.zeros(LABELS.shape), "ZYX", SIZE))

    told = json.loads((path / ".zattrs").read_text())
    assert told["image-label"] == {"version": "0.4"}
    (image,) = told["multiscales"]
    assert (image["version"], image["name"]) == ("0.4", "cells")
    assert image["axes"] == [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    assert [one["path"] for one in image["datasets"]] == ["0", "1"]
    assert image["datasets"][1]["coordinateTransformations"] == [{"type": "scale", "scale": [2.0, 1.0, 0.5]}]
    assert json.loads((path / "0" / ".zarray").read_text())["dimension_separator"] == "/"
    assert not [p for p in tmp_path.iterdir() if p != path]


def test_write_labels_when_checked_by_the_package_ome_zarr_models_then_are_valid(tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models.v04.image_label", reason="ome-zarr-models is not installed")
    path = write_labels(tmp_path / "x.zarr", LABELS, Image(np.zeros(LABELS.shape), "TYX", SIZE[1:]))
    assert models.ImageLabel.from_zarr(zarr.open_group(path, mode="r"))


def test_write_labels_when_labels_are_there_then_the_new_ones_replace_them(tmp_path: Path) -> None:
    for labels in (LABELS, LABELS[0] + 1):
        write_labels(tmp_path / "x.zarr", labels)
        np.testing.assert_array_equal(read_labels(tmp_path / "x.zarr"), labels)


@pytest.mark.parametrize("there", ["an image", "a folder", "a group"])
def test_write_labels_when_something_else_is_there_then_it_stays(tmp_path: Path, there: str) -> None:
    path = tmp_path / "x.zarr"
    if there == "an image":
        zarr.save_array(path, LABELS)
    elif there == "a folder":
        path.mkdir()
        (path / "precious.txt").write_text("")
    else:
        zarr.create_group(path, zarr_format=2).create_array("0", shape=(3, 3), dtype="i4")
    before = sorted(path.rglob("*"))

    for write in (lambda: write_labels(path, LABELS), lambda: create_labels(path, (3, 3), "YX")):
        with pytest.raises(UserError, match="holds no labels"):
            write()
    assert sorted(path.rglob("*")) == before


@pytest.mark.parametrize("size", [SIZE, None])
def test_create_labels_when_written_block_by_block_then_is_as_written_whole(
    tmp_path: Path, size: tuple[float, ...] | None
) -> None:
    whole = write_labels(tmp_path / "whole" / "x.ome.zarr", LABELS, Image(np.zeros(LABELS.shape), "ZYX", size))
    path = tmp_path / "new" / "x.ome.zarr"

    array = create_labels(path, LABELS.shape, "ZYX", size)
    assert array.chunks == label_chunks(LABELS.shape, "ZYX") == (3, 256, 256)
    for number, box in enumerate(blocks(LABELS.shape, array.chunks)):
        array[box] = LABELS[box]
        if number == 3:  # interrupted: the next process goes on
            array = create_labels(path, LABELS.shape, "ZYX", size)
    finish_labels(path)

    files = [p.relative_to(whole) for p in sorted(whole.rglob("*")) if p.is_file()]
    assert files == [p.relative_to(path) for p in sorted(path.rglob("*")) if p.is_file()]
    assert all((whole / one).read_bytes() == (path / one).read_bytes() for one in files)


def test_create_labels_when_finished_and_opened_again_then_what_was_written_is_there(tmp_path: Path) -> None:
    array = create_labels(tmp_path / "x.zarr", (600, 700), "YX", chunks=(128, 128), dtype=np.uint32)
    array[128:256, 0:128] = 2**32 - 1
    finish_labels(tmp_path / "x.zarr")

    again = create_labels(tmp_path / "x.zarr", (600, 700), "YX", chunks=(128, 128), dtype=np.uint32)

    np.testing.assert_array_equal(again[...], array[...])
    np.testing.assert_array_equal(open_labels(tmp_path / "x.zarr", "r")[...], array[...])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again))[...], array[...])
    assert len(list((tmp_path / "x.zarr" / "0").rglob("[0-9]*/[0-9]*"))) == 1  # chunks without labels take no space


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": (4, 8, 9)},
        {"axes": "TYX", "voxel_size": (1, 1)},
        {"voxel_size": (1, 1, 2)},
        {"chunks": (1, 8, 8)},
        {"dtype": np.uint32},
    ],
    ids=str,
)
def test_create_labels_when_others_are_there_then_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    same = {"shape": (4, 8, 8), "axes": "ZYX", "voxel_size": (1, 1, 1), "chunks": (4, 8, 8), "dtype": np.int32}
    create_labels(tmp_path / "x.zarr", **same)
    with pytest.raises(UserError, match="are wanted"):
        create_labels(tmp_path / "x.zarr", **{**same, **changed})


@pytest.mark.parametrize("axes", ["YX", "TZYX"])
def test_finish_labels_when_called_then_levels_are_every_second_pixel_until_small(tmp_path: Path, axes: str) -> None:
    labels = np.random.default_rng(1).integers(0, 9, (2, 2, 1100, 1030)[-len(axes) :], dtype=np.int32)
    array = create_labels(tmp_path / "x.zarr", labels.shape, axes, (4, 1.0, 2.0)[-min(3, len(axes)) :])
    array[...] = labels
    for _ in range(2):  # once more changes nothing
        finish_labels(tmp_path / "x.zarr")

        levels = read_levels(tmp_path / "x.zarr")

        assert [one.spatial_shape[-2:] for one in levels] == [(1100, 1030), (550, 515), (275, 258)]
        assert [one.voxel_size[-2:] for one in levels] == [(1.0, 2.0), (2.0, 4.0), (4.0, 8.0)]
        for level, one in enumerate(levels):
            step = 2**level
            np.testing.assert_array_equal(np.asarray(one.data[...]), labels[..., ::step, ::step])


def test_labels_when_the_place_cannot_be_then_says_so(tmp_path: Path) -> None:
    for call in (create_labels, write_labels):
        with pytest.raises(UserError, match="s3"):
            call("s3://bucket/x.zarr", *((LABELS.shape, "ZYX") if call is create_labels else (LABELS,)))
    with pytest.raises(UserError, match="no OME-Zarr"):
        create_labels(tmp_path / "x.tif", (3, 3), "YX")
    for call in (finish_labels, open_labels):
        with pytest.raises(UserError, match="cannot be opened"):
            call(tmp_path / "missing.zarr")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        create_labels(tmp_path / "file" / "x.zarr", (3, 3), "YX")
