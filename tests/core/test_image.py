"""An image keeps its axes; one that no network can segment is refused in words."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import AXES, Image
from napari_unet.core.base.parts import check_image

GOOD = np.arange(64, dtype=np.float32).reshape(8, 8)

some_axes = st.sets(st.sampled_from("TCZ")).map(lambda s: "".join(a for a in AXES if a in s | {"Y", "X"}))


@given(some_axes, st.data())
def test_image_when_it_has_any_axes_then_shapes_follow_them(axes, data):
    sizes = {a: data.draw(st.integers(1, 4)) for a in axes}
    image = Image(np.zeros([sizes[a] for a in axes]), axes)
    assert image.label_shape == tuple(sizes[a] for a in axes if a != "C")
    assert image.label_axes == axes.replace("C", "")
    assert image.spatial_shape == tuple(sizes[a] for a in axes if a in "ZYX")
    assert image.volume(image.n_times - 1).shape == (image.n_channels, *image.spatial_shape)


@pytest.mark.parametrize(
    ("axes", "options", "words"),
    [
        ("X", {}, "'X'"),
        ("XY", {}, "'XY'"),
        ("ZY", {}, "'ZY'"),
        ("YYX", {}, "'YYX'"),
        ("SYX", {}, "'SYX'"),
        ("ZYX", {}, "2 axes"),
        ("YX", {"voxel_size": (1.0,)}, "voxel size"),
        ("YX", {"voxel_size": (1.0, -1.0)}, "voxel size"),
        ("YX", {"voxel_size": (1.0, float("nan"))}, "voxel size"),
        ("YX", {"rgb": True}, "3 channels"),
    ],
)
def test_image_when_axes_and_data_do_not_fit_then_is_refused(axes, options, words):
    with pytest.raises(UserError, match=words) as caught:
        Image(GOOD, axes, **options)
    assert caught.value.hint


def with_value(value):
    data = GOOD.copy()
    data[3, 3] = value
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((0, 8)), "empty"),
        (np.ones((1, 1)), "too small"),
        (np.ones((1, 8)), "too small"),
        (GOOD.astype(complex), "complex"),
        (GOOD.astype(str), "real numbers"),
        (with_value(np.nan), "NaN"),
        (with_value(np.inf), "infinite"),
        (with_value(-np.inf), "infinite"),
        (np.full((8, 8), 7, np.uint8), "constant: every voxel is 7"),
    ],
)
def test_check_image_when_no_network_can_segment_it_then_says_why(data, words):
    with pytest.raises(UserError, match=words) as caught:
        check_image(Image(data, "YX", name="mine"))
    assert "'mine'" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float16, np.float64, ">u2"])
def test_check_image_when_values_are_real_then_accepts(dtype):
    check_image(Image((GOOD > 10).astype(dtype), "YX"))


def test_check_image_when_only_a_later_time_point_is_bad_then_is_refused():
    with pytest.raises(UserError, match="NaN"):
        check_image(Image(np.stack([GOOD, with_value(np.nan)]), "TYX"))


def test_check_image_when_time_points_are_constant_but_differ_then_accepts():
    check_image(Image(np.stack([np.zeros((4, 4)), np.ones((4, 4))]), "TYX"))


def test_volume_when_the_array_is_stored_in_chunks_then_reads_one_time_point():
    data = np.random.default_rng(0).random((2, 3, 4, 5))
    image = Image(zarr.array(data, chunks=(1, 1, 4, 5)), "TZYX")
    np.testing.assert_array_equal(image.volume(1), data[1][np.newaxis])


@pytest.mark.parametrize("kind", ["numpy", "memory map", "zarr", "dask"])
@pytest.mark.parametrize("axes", ["TCZYX", "CZYX", "ZYX", "TYX", "YX"])
def test_box_when_the_array_is_of_any_kind_then_reads_what_was_asked(tmp_path, axes, kind):
    shape = dict(zip("TCZYX", (3, 2, 5, 16, 17), strict=True))
    data = np.random.default_rng(0).random([shape[a] for a in axes])
    np.save(tmp_path / "x.npy", data)
    make = {
        "numpy": lambda: data,
        "memory map": lambda: np.load(tmp_path / "x.npy", mmap_mode="r"),
        "zarr": lambda: zarr.array(data, chunks=(1,) * (data.ndim - 2) + (8, 8)),
        "dask": lambda: da.from_array(data, chunks=(1,) * (data.ndim - 2) + (8, 8)),
    }
    image = Image(make[kind](), axes)
    box = tuple(slice(1, s - 1) for s in image.spatial_shape)
    time = image.n_times - 1

    found = image.box(time, box)

    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, image.volume(time)[(slice(None), *box)])
    np.testing.assert_array_equal(
        image.volume(time), (data[time] if "T" in axes else data).reshape(image.volume().shape)
    )
    channel = image.n_channels - 1
    np.testing.assert_array_equal(image.box(time, box, channel), found[channel : channel + 1])
    assert np.shares_memory(found, data) == (kind == "numpy")


def test_plane_when_taken_from_a_stack_then_keeps_what_is_left():
    image = Image(np.random.default_rng(0).random((2, 3, 4, 5)), "CZYX", (2.0, 0.5, 0.4))
    plane = image.plane(1)
    assert (plane.axes, plane.voxel_size) == ("CYX", (0.5, 0.4))
    np.testing.assert_array_equal(plane.data, image.data[:, 1])


@pytest.mark.parametrize(
    ("shape", "axes", "options", "words"),
    [
        ((4, 5, 6), "ZYX", {"voxel_size": (0.5, 0.2, 0.2)}, "Z 4, Y 5, X 6, 0.5 x 0.2 x 0.2 µm, 1 channel"),
        ((2, 5, 6), "CYX", {}, "Y 5, X 6, voxel size unknown, 2 channels"),
        ((3, 5, 6), "CYX", {"rgb": True}, "Y 5, X 6, voxel size unknown, colour"),
    ],
)
def test_describe_when_read_by_a_person_then_names_axes_and_voxel_size(shape, axes, options, words):
    assert Image(np.zeros(shape), axes, **options).describe() == words
