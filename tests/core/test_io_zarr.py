"""OME-Zarr and plain zarr as input: axes, voxel sizes, pyramids, collections, addresses, and what is broken."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.parts import check_image
from napari_unet.core.io import expand, guard, label_path, read_image, read_labels, read_levels, stem, suffix
from napari_unet.core.io.zarr_read import label_names

VOLUME = np.random.default_rng(0).integers(0, 200, (2, 3, 8, 32, 48), dtype=np.uint16)
KINDS = {"t": "time", "c": "channel"}


def axes_of(names: str, unit: str | None = "micrometer") -> list[dict[str, str]]:
    space = {"type": "space"} | ({"unit": unit} if unit else {})
    return [{"name": n, **({"type": KINDS[n]} if n in KINDS else space)} for n in names]


def write(
    place: str | Path,
    array: np.ndarray = VOLUME,
    names: str = "tczyx",
    *,
    version: int = 2,
    unit: str | None = "micrometer",
    scale: tuple[float, ...] = (1, 1, 2.0, 0.5, 0.25),
    n_levels: int = 3,
    whole: dict[str, Any] | None = None,
) -> None:
    """Write an OME-Zarr image by the specification, not by the code under test."""
    group = zarr.open_group(str(place), mode="a", zarr_format=version)
    datasets = []
    for level in range(n_levels):
        step = 2**level
        part = array[..., ::step, ::step]
        stored = group.create_array(
            str(level), shape=part.shape, dtype=part.dtype, chunks=(1,) * (part.ndim - 2) + (16, 16)
        )
        stored[...] = part
        sizes = [*scale[-array.ndim : -2], *(s * step for s in scale[-2:])]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": sizes}]})
    told = {"axes": axes_of(names, unit), "datasets": datasets, "name": "x", **(whole or {})}
    if version == 2:
        group.attrs["multiscales"] = [{**told, "version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [told]}


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_when_read_then_has_axes_and_voxel_size_and_stays_on_the_disk(tmp_path: Path, version: int) -> None:
    write(tmp_path / "x.ome.zarr", version=version)

    image = read_image(tmp_path / "x.ome.zarr")

    assert (image.axes, image.name, image.voxel_size) == ("TCZYX", "x", (2.0, 0.5, 0.25))
    assert isinstance(image.data, zarr.Array)
    box = (slice(2, 4), slice(5, 20), slice(30, 48))
    np.testing.assert_array_equal(image.box(1, box), VOLUME[(1, slice(None), *box)])
    np.testing.assert_array_equal(image.volume(0), VOLUME[0])
    check_image(image)


def test_ome_zarr_when_axes_have_length_1_then_they_go_and_nothing_is_read(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", VOLUME[:1, :1, :1])

    image = read_image(tmp_path / "x.zarr")

    assert (image.axes, image.voxel_size) == ("YX", (0.5, 0.25))
    assert not isinstance(image.data, np.ndarray)
    np.testing.assert_array_equal(image.volume(), VOLUME[0, :1, 0])
    assert read_image(tmp_path / "x.zarr", axes="TCZYX").axes == "TCZYX"


def test_ome_zarr_when_axes_come_in_another_order_then_boxes_are_in_ours(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", VOLUME[0].transpose(1, 2, 3, 0), "zyxc", scale=(2.0, 0.5, 0.25, 1), n_levels=1)

    image = read_image(tmp_path / "x.zarr")

    assert (image.axes, image.voxel_size) == ("CZYX", (2.0, 0.5, 0.25))
    np.testing.assert_array_equal(image.box(0, (slice(1, 3), slice(4, 9), slice(0, 48))), VOLUME[0, :, 1:3, 4:9])
    np.testing.assert_array_equal(image.plane(5).volume(), VOLUME[0, :, 5])


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("nanometer", 0.25e-3),
        ("angstrom", 0.25e-4),
        ("millimeter", 250.0),
        ("meter", 0.25e6),
        (None, None),
        ("ly", None),
    ],
)
def test_ome_zarr_when_the_unit_is_another_then_is_converted_or_unknown(
    tmp_path: Path, unit: str | None, size: float | None
) -> None:
    write(tmp_path / "x.zarr", VOLUME[0, 0], "zyx", unit=unit, n_levels=1)
    found = read_image(tmp_path / "x.zarr").voxel_size
    assert found == (None if size is None else (pytest.approx(8 * size), pytest.approx(2 * size), pytest.approx(size)))


def test_ome_zarr_when_the_whole_pyramid_has_a_scale_then_both_multiply(tmp_path: Path) -> None:
    whole = {"coordinateTransformations": [{"type": "scale", "scale": [1, 10, 10]}]}
    write(tmp_path / "x.zarr", VOLUME[0, 0], "zyx", whole=whole)
    assert read_image(tmp_path / "x.zarr").voxel_size == (2.0, 5.0, 2.5)


@pytest.mark.parametrize("axes", [["z", "y", "x"], None])
def test_ome_zarr_when_of_an_old_version_then_axes_are_names_or_fixed(tmp_path: Path, axes: list[str] | None) -> None:
    array = VOLUME[0, 0] if axes else VOLUME
    write(tmp_path / "x.zarr", array, "zyx" if axes else "tczyx", n_levels=1)
    group = zarr.open_group(tmp_path / "x.zarr")
    old = {"datasets": [{"path": "0"}], "version": "0.3"} | ({"axes": axes} if axes else {})
    group.attrs["multiscales"] = [old]
    assert read_image(tmp_path / "x.zarr").axes == ("ZYX" if axes else "TCZYX")


@pytest.mark.parametrize(("wanted", "edge"), [(0.1, 32), (0.5, 32), (0.99, 32), (1.0, 16), (2.5, 8), (100, 8)])
def test_read_image_when_a_voxel_size_is_wanted_then_takes_the_coarsest_level_that_is_as_fine(
    tmp_path: Path, wanted: float, edge: int
) -> None:
    write(tmp_path / "x.zarr", VOLUME[:1, 0])
    write(tmp_path / "y.zarr", VOLUME[0, 0], "zyx")

    image = read_image(tmp_path / "y.zarr", at_least=(100, wanted, wanted))

    assert image.spatial_shape[1] == edge
    assert image.voxel_size == (2.0, 16 / edge, 8 / edge)


def test_read_image_when_no_level_can_be_chosen_then_says_why(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", VOLUME[0, 0], "zyx", unit=None)
    write(tmp_path / "y.zarr", VOLUME[0, 0], "zyx")
    with pytest.raises(UserError, match="does not say its voxel size"):
        read_image(tmp_path / "x.zarr", at_least=(1, 1, 1))
    with pytest.raises(UserError, match="does not fit the axes ZYX"):
        read_image(tmp_path / "y.zarr", at_least=(1, 1))


def test_read_levels_when_a_pyramid_then_gives_all_the_finest_first(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", VOLUME[:1])
    levels = read_levels(tmp_path / "x.zarr")
    assert [one.spatial_shape for one in levels] == [(8, 32, 48), (8, 16, 24), (8, 8, 12)]
    assert [one.voxel_size for one in levels] == [(2.0, 0.5, 0.25), (2.0, 1.0, 0.5), (2.0, 2.0, 1.0)]


@pytest.mark.parametrize("version", [2, 3])
def test_plain_zarr_when_nothing_names_its_axes_then_asks(tmp_path: Path, version: int) -> None:
    array = zarr.create_array(tmp_path / "x.zarr", shape=(8, 32, 48), dtype="u2", zarr_format=version)
    array[...] = VOLUME[0, 0]

    with pytest.raises(UserError, match="--axes: ZYX, CYX or TYX"):
        read_image(tmp_path / "x.zarr")

    image = read_image(tmp_path / "x.zarr", axes="TYX", voxel_size=(0.5, 0.5))
    np.testing.assert_array_equal(image.volume(3), VOLUME[0, 0, 3:4])
    np.testing.assert_array_equal(read_labels(tmp_path / "x.zarr"), VOLUME[0, 0])


def test_plain_zarr_when_its_axes_are_named_then_takes_them(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "x.zarr", shape=(8, 32, 48), dtype="u2", dimension_names=["time", "y", "x"])
    zarr.create_array(
        tmp_path / "y.zarr",
        shape=(8, 32, 48),
        dtype="u2",
        zarr_format=2,
        attributes={"_ARRAY_DIMENSIONS": ["z", "y", "x"]},
    )
    zarr.create_array(tmp_path / "z.zarr", shape=(32, 48), dtype="u2", dimension_names=["dim_0", None])
    assert [read_image(tmp_path / f"{n}.zarr").axes for n in "xyz"] == ["TYX", "ZYX", "YX"]


def test_collection_when_it_holds_several_images_then_asks_for_one(tmp_path: Path) -> None:
    plate = tmp_path / "plate.zarr"
    zarr.create_group(plate, zarr_format=2, attributes={"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
    zarr.create_group(plate / "A" / "1", zarr_format=2, attributes={"well": {"images": [{"path": "0"}]}})
    write(plate / "A" / "1" / "0", VOLUME[0, 0], "zyx")

    with pytest.raises(UserError, match=r"2 images: A/1, B/2.*plate\.zarr/A/1"):
        read_image(plate)

    for place in (plate / "A" / "1" / "0", plate / "A" / "1"):
        assert read_image(place).voxel_size == (2.0, 0.5, 0.25)
    assert stem(plate / "A" / "1") == "plate_A_1"
    assert label_path("out", plate / "A" / "1") == Path("out/plate_A_1.zarr")


@pytest.mark.parametrize("attributes", [{"bioformats2raw.layout": 3}, {}])
def test_collection_when_it_holds_one_image_then_takes_it(tmp_path: Path, attributes: dict[str, int]) -> None:
    zarr.create_group(tmp_path / "x.zarr", zarr_format=2, attributes=attributes)
    zarr.create_group(tmp_path / "x.zarr" / "OME", zarr_format=2)
    write(tmp_path / "x.zarr" / "0", VOLUME[0, 0], "zyx")
    assert read_image(tmp_path / "x.zarr").axes == "ZYX"


def test_label_names_when_an_image_has_labels_then_lists_them(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", VOLUME[0, 0], "zyx")
    assert label_names(tmp_path / "x.zarr") == ()
    zarr.create_group(tmp_path / "x.zarr" / "labels", zarr_format=2, attributes={"labels": ["cells"]})
    write(tmp_path / "x.zarr" / "labels" / "cells", VOLUME[0, 0], "zyx")
    (name,) = label_names(tmp_path / "x.zarr")
    np.testing.assert_array_equal(read_labels(tmp_path / "x.zarr" / name), VOLUME[0, 0])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_read_image_when_at_an_address_then_is_as_on_the_disk(tmp_path: Path, protocol: str, version: int) -> None:
    place = f"memory://{tmp_path.name}" if protocol == "memory" else f"file://{tmp_path.as_posix()}"
    write(f"{place}/x.ome.zarr" if protocol == "memory" else tmp_path / "x.ome.zarr", version=version)

    (path,) = expand([f"{place}/x.ome.zarr"])
    image = read_image(path)

    assert (image.axes, image.name, image.source) == ("TCZYX", "x", f"{place}/x.ome.zarr")
    np.testing.assert_array_equal(image.box(1, (slice(0, 1), slice(0, 9), slice(3, 4))), VOLUME[1, :, :1, :9, 3:4])
    np.testing.assert_array_equal(read_image(image.source).volume(), VOLUME[0])
    assert label_path("out", path).name == "x.ome.zarr"


def test_read_image_when_an_address_leads_nowhere_then_says_so() -> None:
    with pytest.raises(ReadError, match=r"memory://nowhere/x\.zarr"):
        read_image("memory://nowhere/x.zarr")
    for place in ("http://127.0.0.1:9/x.zarr", "nosuch://x.zarr"):
        with pytest.raises(ReadError, match="network"):
            read_image(place)


def test_expand_when_an_address_is_no_zarr_then_says_so() -> None:
    with pytest.raises(UserError, match="only zarr"):
        expand(["https://example.org/x.tif"])
    assert suffix("https://example.org/images/6001240") == ".zarr"


def test_expand_when_stores_lie_among_files_then_each_is_one_image(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", n_levels=1)
    write(tmp_path / "B.OME.ZARR", n_levels=1)
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "d.zarr").write_bytes(b"")  # a file is no store

    for inputs in ([tmp_path], [tmp_path / "*"], [tmp_path / "a.zarr", tmp_path / "B.OME.ZARR", tmp_path / "c.png"]):
        assert [p.name for p in expand(inputs)] == ["B.OME.ZARR", "a.zarr", "c.png"]
    assert [p.name for p in expand([tmp_path / "**" / "*.zarr"])] == ["a.zarr"]
    assert (suffix(tmp_path / "B.OME.ZARR"), stem(tmp_path / "B.OME.ZARR")) == (".ome.zarr", "B")
    assert expand([tmp_path / "a.zarr" / "0"]) == [tmp_path / "a.zarr" / "0"]


def test_image_when_sent_to_another_process_then_reads_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x.zarr", VOLUME[:1, :1])
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(read_image("x.zarr"))
    assert len(sent) < VOLUME[0, 0].nbytes / 2
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(pickle.loads(sent).volume(), VOLUME[0, :1])


# ---------------------------------------------------------------- what is broken


@pytest.mark.parametrize("damage", ["empty", "no array", "cut json", "no datasets", "wrong scale", "axes", "list"])
def test_ome_zarr_when_its_metadata_are_broken_then_is_one_error_that_names_it(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.zarr"
    write(path, VOLUME[0, 0], "zyx", n_levels=1)
    attributes = json.loads((path / ".zattrs").read_text())
    told = attributes["multiscales"][0]
    if damage == "empty":
        attributes["multiscales"] = []
    elif damage == "no array":
        told["datasets"][0]["path"] = "7"
    elif damage == "no datasets":
        del told["datasets"]
    elif damage == "wrong scale":
        told["datasets"][0]["coordinateTransformations"][0]["scale"] = [1, 2]
    elif damage == "axes":
        told["axes"] = axes_of("yx")
        told["datasets"][0]["coordinateTransformations"][0]["scale"] = [1, 2]
    elif damage == "list":
        attributes["multiscales"] = [3]
    text = json.dumps(attributes)
    (path / ".zattrs").write_text(text[:-40] if damage == "cut json" else text)

    with pytest.raises(ReadError, match=r"x\.zarr") as caught:
        read_image(path)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["folder", "group"])
def test_zarr_when_the_folder_holds_no_image_then_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.zarr").mkdir()
    if name == "group":
        zarr.create_group(tmp_path / "x.zarr")
    with pytest.raises(UserError, match=r"x\.zarr"):
        read_image(tmp_path / "x.zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_when_a_chunk_is_cut_short_then_the_box_that_needs_it_says_so(tmp_path: Path, version: int) -> None:
    write(tmp_path / "x.zarr", VOLUME[0, 0], "zyx", n_levels=1, version=version)
    image = read_image(tmp_path / "x.zarr")
    chunk = tmp_path / "x.zarr" / "0" / ("c/3/1/2" if version == 3 else "3.1.2")
    chunk.write_bytes(chunk.read_bytes()[:20])

    image.box(0, (slice(0, 3), slice(0, 32), slice(0, 48)))
    with pytest.raises(ReadError, match="A part of 'x' cannot be read"):
        image.volume()
    with pytest.raises(ReadError, match=r"x\.zarr"):
        read_labels(tmp_path / "x.zarr")


def test_zarr_when_larger_than_the_memory_then_boxes_can_be_read_but_neither_labels_nor_monstrous_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "free_memory", lambda: 10_000_000)
    for name, edge in (("x", 512), ("y", 2**14)):
        zarr.create_array(
            tmp_path / f"{name}.zarr", shape=(2**20, 2**20), chunks=(edge, edge), dtype="u2", fill_value=3
        )

    image = read_image(tmp_path / "x.zarr")
    assert (image.box(0, (slice(0, 9), slice(2**20 - 9, 2**20))) == 3).all()
    with pytest.raises(UserError, match="constant"):
        check_image(image)
    with pytest.raises(ReadError, match="claims to hold"):
        read_labels(tmp_path / "x.zarr")
    with pytest.raises(ReadError, match="blocks of"):
        read_image(tmp_path / "y.zarr")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 8), np.uint8), "empty"),
        (np.full((8, 8), 7, np.uint8), "constant"),
        (np.full((8, 8), np.nan), "NaN"),
        (np.ones((8, 8), complex), "complex"),
    ],
)
def test_check_image_when_the_stored_values_are_bad_then_says_why(
    tmp_path: Path, array: np.ndarray, words: str
) -> None:
    stored = zarr.create_array(tmp_path / "x.zarr", shape=array.shape, dtype=array.dtype, chunks=(8, 8))
    stored[...] = array
    with pytest.raises(UserError, match=words):
        check_image(read_image(tmp_path / "x.zarr", axes="YX"))
