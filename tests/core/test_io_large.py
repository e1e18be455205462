"""Files above the size from which they are read where they are asked: TIFF as map or by tiles, .npy as map."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.lazy import is_lazy
from napari_unet.core.base.parts import check_image
from napari_unet.core.io import guard, npy, read_image, read_labels, read_levels, tiff, write_image

STACK = np.random.default_rng(0).integers(0, 2**16, (3, 2, 5, 64, 80), dtype=np.uint16)
BOX = (slice(1, 3), slice(10, 50), slice(33, 71))


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "LAZY_BYTES", 100)
    monkeypatch.setattr(npy, "LAZY_BYTES", 100)


WAYS: dict[str, dict[str, Any]] = {
    "map": {},
    "swapped map": {"byteorder": ">"},
    "tiles": {"tile": (32, 32)},
    "zlib tiles": {"tile": (32, 32), "compression": "zlib"},
    "swapped strips": {"byteorder": ">", "rowsperstrip": 7, "compression": "zlib", "predictor": True},
    "bigtiff": {"bigtiff": True, "compression": "zlib"},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("axes", ["ZYX", "TCZYX"])
def test_tiff_when_large_then_boxes_are_those_of_the_file(tmp_path: Path, axes: str, way: str) -> None:
    array = STACK if axes == "TCZYX" else STACK[0, 0]
    path = tmp_path / "x.tif"
    metadata = {"axes": axes, "unit": "um", "spacing": 2.0}
    tifffile.imwrite(path, array, metadata=metadata, resolution=(4, 2), photometric="minisblack", **WAYS[way])

    image = read_image(path)

    assert (image.axes, image.voxel_size) == (axes, (2.0, 0.5, 0.25))
    assert is_lazy(image.data)
    assert np.dtype(image.data.dtype).isnative
    check_image(image)
    time = 2 if "T" in axes else 0
    whole = array if "C" in axes else array[np.newaxis, np.newaxis]
    np.testing.assert_array_equal(image.box(time, BOX), whole[time][(slice(None), *BOX)])
    np.testing.assert_array_equal(image.volume(time), whole[time])
    np.testing.assert_array_equal(read_labels(path) if axes == "ZYX" else array, array)


def test_tiff_when_large_and_the_image_is_gone_then_the_file_is_closed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", STACK[0, 0], tile=(32, 32), metadata={"axes": "ZYX"})
    image = read_image(tmp_path / "x.tif")
    gc.collect()
    assert image.volume().size
    del image
    gc.collect()  # a file left open is a warning, and warnings are errors


def test_tiff_when_large_and_in_colour_then_alpha_is_left_out_without_reading(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (64, 80, 4), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", array, photometric="rgb", extrasamples=["unassalpha"], tile=(32, 32))

    image = read_image(tmp_path / "x.tif")

    assert (image.axes, image.rgb, is_lazy(image.data)) == ("CYX", True, True)
    np.testing.assert_array_equal(image.box(0, BOX[1:]), np.moveaxis(array, -1, 0)[:3, 10:50, 33:71])


def test_tiff_when_a_palette_then_is_read_whole_with_its_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 2**16, (3, 256), dtype=np.uint16)
    data = STACK[0, 0, 0].astype(np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", data, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif").data, (colours >> 8).astype(np.uint8)[:, data])


def test_tiff_when_it_is_a_pyramid_then_levels_have_their_sizes(tmp_path: Path) -> None:
    plane = STACK[0, 0, 0]
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", bigtiff=True) as writer:
        metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
        writer.write(plane, subifds=2, tile=(16, 16), metadata=metadata, compression="zlib")
        for step in (2, 4):
            writer.write(plane[::step, ::step], subfiletype=1, tile=(16, 16), compression="zlib")

    levels = read_levels(tmp_path / "x.ome.tif")

    assert [one.voxel_size for one in levels] == [(0.5, 0.25), (1.0, 0.5), (2.0, 1.0)]
    for step, one in zip((1, 2, 4), levels, strict=True):
        np.testing.assert_array_equal(one.volume()[0], plane[::step, ::step])
    del levels
    chosen = read_image(tmp_path / "x.ome.tif", at_least=(1.2, 1.2))
    gc.collect()
    np.testing.assert_array_equal(chosen.volume()[0], plane[::2, ::2])


def test_tiff_when_large_and_cut_short_then_says_so(tmp_path: Path) -> None:
    for options in ({}, {"compression": "zlib"}):
        tifffile.imwrite(tmp_path / "x.tif", STACK[0, 0], **options)
        (tmp_path / "x.tif").write_bytes((tmp_path / "x.tif").read_bytes()[:-100])
        with pytest.raises(ReadError, match="cut short"):
            read_image(tmp_path / "x.tif", axes="ZYX")


def test_tiff_when_a_tile_is_damaged_then_the_box_that_needs_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, STACK[0, 0], tile=(32, 32), compression="zlib", metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        at = file.pages[3].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[at : at + 50] = bytes(50)
    path.write_bytes(content)

    image = read_image(path)

    image.box(0, (slice(0, 3), slice(0, 64), slice(0, 80)))
    with pytest.raises(ReadError, match="A part of 'x' cannot be read"):
        image.volume()


def test_files_when_larger_than_the_memory_then_images_open_and_labels_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "map.tif", STACK[0, 0], metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "tiles.tif", STACK[0, 0], tile=(16, 16), metadata={"axes": "ZYX"})
    np.save(tmp_path / "x.npy", STACK[0, 0])
    monkeypatch.setattr(guard, "free_memory", lambda: 10_000)

    for path in tmp_path.iterdir():
        image = read_image(path, axes="ZYX")
        assert image.box(0, (slice(0, 1), slice(0, 9), slice(0, 9))).shape == (1, 1, 9, 9)
        with pytest.raises(ReadError, match="claims to hold"):
            read_labels(path)

    tifffile.imwrite(tmp_path / "y.tif", STACK[0, 0], tile=(64, 80), compression="zlib", metadata={"axes": "ZYX"})
    with pytest.raises(ReadError, match="blocks of"):
        read_image(tmp_path / "y.tif")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">f4"])
def test_npy_when_large_then_is_a_memory_map(tmp_path: Path, dtype: str, order: str) -> None:
    array = np.asarray(STACK[0, 0], dtype, order=order)
    np.save(tmp_path / "x.npy", array)

    image = read_image(tmp_path / "x.npy", axes="ZYX")

    assert is_lazy(image.data)
    np.testing.assert_array_equal(image.box(0, BOX), array[BOX][np.newaxis])
    with pytest.raises(UserError, match="--axes"):
        read_image(tmp_path / "x.npy")


def test_write_image_when_lazy_then_is_written_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", STACK[0, 0])
    image = read_image(tmp_path / "x.npy", axes="ZYX")
    np.testing.assert_array_equal(read_image(write_image(tmp_path / "y.tif", image)).volume(), image.volume())
    assert isinstance(Image(STACK, "TCZYX").box(0, BOX).base, np.ndarray)  # a view, where it is in memory
