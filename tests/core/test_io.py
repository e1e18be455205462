"""Reading and writing by suffix: axes, voxel size, grids, names, and what is asked instead of guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.image import AXES, Image
from napari_unet.core.io import (
    READERS,
    WRITERS,
    expand,
    guard,
    label_path,
    read_image,
    read_labels,
    stem,
    suffix,
    write_image,
    write_labels,
)

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 200, (5, 6, 7), dtype=np.uint8)


def _npy(folder: Path, array: np.ndarray) -> Path:
    path = folder / "image.npy"
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("a.tif", ".tif", "a"),
        ("a.b.ome.tif", ".ome.tif", "a.b"),
        ("A.OME.TIFF", ".ome.tiff", "A"),
        ("brain.1.nii.gz", ".nii.gz", "brain.1"),
        ("x.NII", ".nii", "x"),
        ("noext", "", "noext"),
    ],
)
def test_stem_when_the_suffix_has_two_parts_then_both_go(name: str, kind: str, expected: str) -> None:
    assert suffix(f"some.folder/{name}") == kind
    assert stem(f"some.folder/{name}") == expected


def test_label_path_when_the_format_holds_no_labels_then_tiff(tmp_path: Path) -> None:
    assert label_path(tmp_path, "in/a.ome.tif") == tmp_path / "a.ome.tif"
    assert label_path(tmp_path, "in/a.nii.gz") == tmp_path / "a.nii.gz"
    assert label_path(tmp_path, "in/a.png") == label_path(tmp_path, "a.jpeg") == tmp_path / "a.tif"
    assert set(WRITERS) <= set(READERS)


def test_expand_when_files_folders_and_patterns_overlap_then_each_file_comes_once_in_order(tmp_path: Path) -> None:
    for name in ("b.tif", "a.nii.gz", "note.txt", ".hidden.tif", "c[1].png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub.tif").mkdir()

    found = expand([tmp_path, str(tmp_path / "*.tif"), tmp_path / "c[1].png"])

    assert [p.name for p in found] == ["a.nii.gz", "b.tif", "c[1].png"]


@pytest.mark.parametrize("one", ["nothing.tif", "*.tif", "empty", "note.txt"])
def test_expand_when_an_input_matches_no_image_then_names_it(tmp_path: Path, one: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("")

    with pytest.raises(UserError, match=one.replace("*", r"\*")):
        expand([tmp_path / one])


def test_read_image_when_two_axes_then_needs_no_help(tmp_path: Path) -> None:
    image = read_image(_npy(tmp_path, VOLUME[0]))

    assert (image.axes, image.name, image.voxel_size) == ("YX", "image", None)
    assert image.source == str(tmp_path / "image.npy")


@pytest.mark.parametrize("shape", [(5, 6, 7), (6, 7, 3), (2, 5, 6, 7)])
def test_read_image_when_axes_are_unknown_then_asks(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = _npy(tmp_path, np.zeros(shape, np.float32))

    with pytest.raises(UserError, match=r"does not say what its axes are.*--axes"):
        read_image(path)


def test_read_image_when_the_user_names_the_axes_then_they_win(tmp_path: Path) -> None:
    path = _npy(tmp_path, VOLUME)

    image = read_image(path, axes="yxz", voxel_size=(2.0, 0.5, 0.5))

    assert image.axes == "ZYX"
    assert image.voxel_size == (2.0, 0.5, 0.5)
    np.testing.assert_array_equal(image.data, np.moveaxis(VOLUME, 2, 0))


def test_read_image_when_the_user_names_an_axis_of_length_1_then_it_stays(tmp_path: Path) -> None:
    path = _npy(tmp_path, VOLUME[:1])

    assert read_image(path).axes == "YX"
    assert read_image(path, axes="ZYX").data.shape == (1, 6, 7)
    assert read_image(path, axes="YX").data.shape == (6, 7)


@pytest.mark.parametrize("axes", ["YX", "TZYX", "ZZX", "ABC", "ZY"])
def test_read_image_when_the_users_axes_do_not_fit_then_says_so(tmp_path: Path, axes: str) -> None:
    with pytest.raises(UserError, match="axes"):
        read_image(_npy(tmp_path, VOLUME), axes=axes)


def test_read_image_when_the_users_voxel_size_does_not_fit_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="voxel size"):
        read_image(_npy(tmp_path, VOLUME[0]), voxel_size=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("samples", [3, 4])
def test_read_image_when_bytes_end_in_three_or_four_then_they_are_colours(tmp_path: Path, samples: int) -> None:
    array = RNG.integers(0, 255, (8, 9, samples), dtype=np.uint8)

    image = read_image(_npy(tmp_path, array))

    assert (image.axes, image.rgb) == ("CYX", True)
    np.testing.assert_array_equal(image.data, np.moveaxis(array[..., :3], -1, 0))


def test_read_image_when_the_format_is_unknown_then_lists_the_known(tmp_path: Path) -> None:
    (tmp_path / "a.czi").write_bytes(b"x")
    with pytest.raises(UserError, match=r"a\.czi.*\.nii\.gz"):
        read_image(tmp_path / "a.czi")


@pytest.mark.parametrize("name", ["missing.tif", "folder.tif"])
def test_read_image_when_there_is_no_file_then_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(ReadError, match=name):
        read_image(tmp_path / name)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x00" * 600])
def test_read_image_when_the_content_is_nonsense_then_is_one_error_that_names_the_file(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    path = tmp_path / f"broken{kind}"
    path.write_bytes(content)
    with pytest.raises(ReadError, match="broken"):
        read_image(path)


def test_read_image_when_the_file_claims_more_than_the_memory_then_refuses_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"big{kind}" for kind in (".tif", ".npy", ".nii.gz")]
    for path in paths:
        write_labels(path, np.zeros((40, 50, 60), np.uint8))
    monkeypatch.setattr(guard, "free_memory", lambda: 100_000)

    for path in paths:
        with pytest.raises(ReadError, match=r"claims to hold .* GiB"):
            read_image(path)


def test_read_image_when_npy_holds_pickled_objects_then_refuses(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(ReadError, match="pickle"):
        read_image(path)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("largest", [1, 255, 256, 70_000])
def test_write_labels_when_read_again_then_they_are_the_same(tmp_path: Path, kind: str, largest: int) -> None:
    labels = np.zeros((4, 5, 6), np.int64)
    labels[1, 2, 3] = largest
    like = Image(VOLUME[:4, :5, :6], "ZYX", (2.0, 0.5, 0.25))

    path = write_labels(tmp_path / "new" / f"x{kind}", labels, like)

    np.testing.assert_array_equal(read_labels(path), labels)
    assert not list(path.parent.glob(".*"))  # no temporary file stays
    if kind != ".npy":
        again = read_image(path)
        assert again.axes == "ZYX"
        assert again.voxel_size == pytest.approx(like.voxel_size)


@pytest.mark.parametrize("kind", WRITERS)
def test_write_labels_when_there_is_a_time_axis_then_it_stays_one(tmp_path: Path, kind: str) -> None:
    labels = RNG.integers(0, 9, (3, 5, 6), dtype=np.int32)
    like = Image(np.zeros((3, 2, 5, 6)), "TCYX", (0.5, 0.5))

    path = write_labels(tmp_path / f"x{kind}", labels, like)

    np.testing.assert_array_equal(read_labels(path), labels)
    if kind != ".npy":
        assert read_image(path).axes == "TYX"


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("x.png", np.ones((2, 2), int), "cannot be written"),
        ("x.tif", np.ones((2, 3), int), "shape"),
        ("x.tif", np.ones((2, 2)), "float64"),
        ("x.tif", np.full((2, 2), -1), "-1"),
        ("x.nii", np.full((2, 2), 2**31), "largest label"),
    ],
)
def test_write_labels_when_they_cannot_be_written_then_says_why(
    tmp_path: Path, name: str, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        write_labels(tmp_path / name, labels, Image(np.zeros((2, 2)), "YX"))
    assert not list(tmp_path.iterdir())


def test_write_labels_when_the_folder_is_a_file_then_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_labels(tmp_path / "file" / "x.tif", np.ones((2, 2), int))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4), 0.5), "fractions"),
        (np.full((4, 4), -2), "-2"),
        (np.full((4, 4), np.nan), "nan"),
        (np.ones((4, 4), complex), "complex"),
    ],
)
def test_read_labels_when_the_values_are_no_labels_then_says_why(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_labels(_npy(tmp_path, array))


def test_read_labels_when_stored_as_whole_floats_or_bool_then_are_integers(tmp_path: Path) -> None:
    for array in (np.array([[0.0, 2.0]]), np.array([[False, True]]), np.array([[0, 2**31]], np.uint32)):
        labels = read_labels(_npy(tmp_path, array))
        assert labels.dtype.kind == "i"
        np.testing.assert_array_equal(labels, array)


def test_read_labels_when_the_picture_has_colours_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(UserError, match="channels"):
        read_labels(path)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_write_image_when_read_again_then_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    axes = data.draw(st.sampled_from(["YX", "CYX", "ZYX", "TYX", "CZYX", "TCZYX"]))
    shape = data.draw(st.tuples(*(st.integers(2, 4) for _ in axes)))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64]))
    array = data.draw(arrays(dtype, shape, elements={"min_value": 0, "max_value": 100}))
    n = sum(a in "ZYX" for a in axes)
    size = data.draw(st.none() | st.tuples(*(st.floats(0.01, 50) for _ in range(n))))
    rgb = axes.startswith("C") and shape[0] == 3 and dtype == np.uint8
    image = Image(array, axes, size, rgb=rgb)

    again = read_image(write_image(tmp_path_factory.mktemp("io") / "x.tif", image))

    assert (again.axes, again.rgb, again.data.dtype) == (axes, rgb, dtype)
    np.testing.assert_array_equal(again.data, array)
    assert again.voxel_size == (None if size is None else pytest.approx(size))


def test_write_image_when_the_type_has_no_place_in_tiff_then_a_wider_one_is_used(tmp_path: Path) -> None:
    for dtype, kept in ((bool, np.uint8), (np.int64, np.float64), (np.float16, np.float32)):
        image = Image(np.eye(4).astype(dtype), "YX")
        assert read_image(write_image(tmp_path / "x.tif", image)).data.dtype == kept


def test_write_image_when_the_suffix_is_no_tiff_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_image(tmp_path / "x.nii", Image(VOLUME, "ZYX"))


@settings(max_examples=40, deadline=None)
@given(st.permutations("TCZYX").map("".join), st.sets(st.sampled_from("TCZ")))
def test_read_image_when_axes_come_in_any_order_then_each_keeps_its_length(
    tmp_path_factory: pytest.TempPathFactory, order: str, left_out: set[str]
) -> None:
    order = "".join(a for a in order if a not in left_out)
    lengths = {a: 5 + i for i, a in enumerate(AXES)}
    path = _npy(tmp_path_factory.mktemp("axes"), np.zeros([lengths[a] for a in order], np.float32))

    image = read_image(path, axes=order)

    assert image.axes == "".join(a for a in AXES if a in order)
    assert all(image.size(a) == lengths[a] for a in order)
