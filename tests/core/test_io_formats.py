"""What each format tells: OME-XML, ImageJ's metadata, resolution tags, palettes, NIfTI headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.io import read_image, read_labels, write_labels
from napari_unet.core.io.nifti import read_affine

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 200, (5, 6, 7), dtype=np.uint8)


def test_tiff_when_ome_then_axes_and_units_are_converted(tmp_path: Path) -> None:
    path = tmp_path / "x.ome.tif"
    metadata = {
        "axes": "CZYX",
        "PhysicalSizeX": 200,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.25,
        "PhysicalSizeZ": 0.001,
        "PhysicalSizeZUnit": "mm",
    }
    tifffile.imwrite(path, np.stack([VOLUME, VOLUME + 1]), ome=True, metadata=metadata)

    image = read_image(path)

    assert image.axes == "CZYX"
    assert image.name == "x"
    assert image.voxel_size == pytest.approx((1.0, 0.25, 0.2))
    np.testing.assert_array_equal(image.data[0], VOLUME)


def test_tiff_when_ome_gives_no_z_size_then_the_voxel_size_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, VOLUME, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2})

    assert read_image(path).voxel_size is None
    assert read_image(path, voxel_size=(1, 0.2, 0.2)).voxel_size == (1, 0.2, 0.2)


@pytest.mark.parametrize(
    ("unit", "size"), [("micron", (1.5, 0.5, 0.25)), ("nm", (0.0015, 0.0005, 0.00025)), ("pixel", None), (None, None)]
)
def test_tiff_when_imagej_then_spacing_and_unit_count(
    tmp_path: Path, unit: str | None, size: tuple[float, ...] | None
) -> None:
    metadata = {"axes": "ZYX", "spacing": 1.5} | ({"unit": unit} if unit else {})
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, VOLUME, imagej=True, resolution=(4.0, 2.0), metadata=metadata)

    image = read_image(path)

    assert image.axes == "ZYX"
    assert image.voxel_size == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize(
    ("resolution", "unit", "size"),
    [
        ((20_000, 10_000), "CENTIMETER", (1.0, 0.5)),
        ((50_800, 50_800), "INCH", (0.5, 0.5)),
        ((300, 300), "INCH", None),
        ((28.35, 28.35), "CENTIMETER", None),
        ((20_000, 10_000), "NONE", None),
    ],
)
def test_tiff_when_plain_then_the_resolution_counts_only_where_no_printer_has_it(
    tmp_path: Path, resolution: tuple[float, float], unit: str, size: tuple[float, float] | None
) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, VOLUME[0], resolution=resolution, resolutionunit=unit, metadata=None)

    assert read_image(path).voxel_size == (None if size is None else pytest.approx(size))


def test_tiff_when_many_pages_say_nothing_then_asks(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, VOLUME, metadata=None)

    with pytest.raises(UserError, match="--axes: ZYX, CYX or TYX"):
        read_image(path)
    assert read_image(path, axes="CYX").n_channels == 5
    np.testing.assert_array_equal(read_labels(path), VOLUME)


@pytest.mark.parametrize(("samples", "planar"), [(3, "contig"), (4, "contig"), (3, "separate")])
def test_tiff_when_colour_then_three_channels_come_first(tmp_path: Path, samples: int, planar: str) -> None:
    array = RNG.integers(0, 255, (16, 17, samples), dtype=np.uint8)
    stored = np.moveaxis(array, -1, 0) if planar == "separate" else array
    path = tmp_path / "x.tif"
    extra = ["unassalpha"] if samples == 4 else None
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, extrasamples=extra)

    for axes in (None, "YX"):
        image = read_image(path, axes=axes)
        assert (image.axes, image.rgb) == ("CYX", True)
        np.testing.assert_array_equal(image.data, np.moveaxis(array[..., :3], -1, 0))


def test_tiff_when_a_palette_then_images_have_its_colours_and_labels_its_numbers(tmp_path: Path) -> None:
    colours = RNG.integers(0, 2**16, (3, 256), dtype=np.uint16)
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, VOLUME[0], photometric="palette", colormap=colours)

    image = read_image(path)

    assert image.rgb
    np.testing.assert_array_equal(image.data, (colours >> 8).astype(np.uint8)[:, VOLUME[0]])
    np.testing.assert_array_equal(read_labels(path), VOLUME[0])


def test_tiff_when_an_axis_has_no_meaning_here_then_names_it(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, VOLUME, metadata={"axes": "RYX"})

    with pytest.raises(UserError, match="axes RYX"):
        read_image(path)
    assert read_image(path, axes="TYX").n_times == 5


def test_tiff_when_colours_come_in_planes_then_they_stay_colours(tmp_path: Path) -> None:
    path = tmp_path / "x.ome.tif"
    stack = RNG.integers(0, 255, (4, 16, 17, 3), dtype=np.uint8)
    tifffile.imwrite(path, stack, ome=True, photometric="rgb", metadata={"axes": "ZYXS"})

    image = read_image(path)

    assert (image.axes, image.rgb) == ("CZYX", True)
    np.testing.assert_array_equal(image.data, np.moveaxis(stack, -1, 0))


def test_tiff_when_cmyk_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((16, 17, 4), np.uint8), photometric="separated")
    with pytest.raises(UserError, match="CMYK"):
        read_image(path)


def test_tiff_when_it_holds_several_equal_images_then_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "x.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for plane in VOLUME[:2]:
            writer.write(plane, metadata={"axes": "YX"})

    with pytest.raises(UserError, match="2 images"):
        read_image(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_when_cut_short_then_says_so(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "x.tif"
    data = RNG.integers(0, 255, (64, 64), dtype=np.uint8)
    tifffile.imwrite(path, data, compression=compression)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(ReadError, match="cut short"):
        read_image(path)


def test_tiff_when_the_last_pages_are_missing_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in VOLUME:
            writer.write(plane, contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as file:
        end = file.pages[-1].offset
    path.write_bytes(path.read_bytes()[:end])

    with pytest.raises(ReadError, match="lacks pages"):
        read_image(path, axes="ZYX")


def test_png_when_gray_colour_or_palette_then_is_read_as_what_it_is(tmp_path: Path) -> None:
    gray16 = RNG.integers(0, 2**16, (8, 9), dtype=np.uint16)
    rgba = RNG.integers(0, 255, (8, 9, 4), dtype=np.uint8)
    Picture.fromarray(gray16).save(tmp_path / "gray.png")
    Picture.fromarray(rgba).save(tmp_path / "rgba.png")
    Picture.fromarray(rgba[..., :3]).quantize(8).save(tmp_path / "palette.png")
    Picture.fromarray(rgba[..., :2], "LA").save(tmp_path / "la.png")

    gray, colour, palette, la = (read_image(tmp_path / f"{n}.png") for n in ("gray", "rgba", "palette", "la"))

    np.testing.assert_array_equal(gray.data, gray16)
    np.testing.assert_array_equal(colour.data, np.moveaxis(rgba[..., :3], -1, 0))
    np.testing.assert_array_equal(la.data, rgba[..., 0])
    with Picture.open(tmp_path / "palette.png") as picture:
        expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(palette.data, np.moveaxis(expected, -1, 0))
    assert read_labels(tmp_path / "palette.png").max() < 8


def test_jpeg_when_colour_or_cmyk_then_is_read_or_refused(tmp_path: Path) -> None:
    Picture.new("RGB", (9, 8), (200, 0, 0)).save(tmp_path / "rgb.jpg")
    Picture.new("CMYK", (9, 8)).save(tmp_path / "cmyk.jpg")

    assert read_image(tmp_path / "rgb.jpg").rgb
    with pytest.raises(UserError, match="CMYK"):
        read_image(tmp_path / "cmyk.jpg")


def _nifti(path: Path, array: np.ndarray, units: str = "mm") -> nib.Nifti1Image:
    """Write an oblique NIfTI with different qform and sform, and a private extension."""
    affine = np.array([[-0.8, 0.1, 0, 20], [0.1, 0.9, 0.2, -30], [0, -0.2, 3.0, 5], [0, 0, 0, 1]])
    image = nib.Nifti1Image(array, affine)
    image.set_qform(np.diag([0.8, 0.9, 3.0, 1]), code=1)
    image.set_sform(affine, code=4)
    image.header.set_xyzt_units(units)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    nib.save(image, path)
    return nib.load(path)


@pytest.mark.parametrize("kind", [".nii", ".nii.gz"])
def test_nifti_when_read_then_is_z_y_x_in_micrometres(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"brain{kind}"
    original = _nifti(path, VOLUME.astype(np.int16))

    image = read_image(path)

    assert (image.axes, image.name, image.data.dtype) == ("ZYX", "brain", np.int16)
    np.testing.assert_array_equal(image.data, VOLUME.T)
    x, y, z = original.header.get_zooms()
    assert image.voxel_size == pytest.approx((1000 * z, 1000 * y, 1000 * x))
    affine = read_affine(path)
    np.testing.assert_allclose((affine @ [2, 3, 4, 1])[:3], 1000 * (original.affine @ [4, 3, 2, 1])[[2, 1, 0]])


def test_nifti_when_labels_are_written_then_both_affines_stay_and_private_notes_go(tmp_path: Path) -> None:
    original = _nifti(tmp_path / "brain.nii.gz", VOLUME.astype(np.float32))
    image = read_image(tmp_path / "brain.nii.gz")
    labels = RNG.integers(0, 300, image.label_shape)

    written = nib.load(write_labels(tmp_path / "out" / "brain.nii.gz", labels, image))

    np.testing.assert_array_equal(np.asarray(written.dataobj), labels.T)
    assert written.get_data_dtype() == np.int16
    for form in ("get_qform", "get_sform"):
        expected, code = getattr(original, form)(coded=True)
        found, found_code = getattr(written, form)(coded=True)
        np.testing.assert_allclose(found, expected)
        assert code == found_code
    assert written.header.get_xyzt_units() == original.header.get_xyzt_units()
    assert not written.header.extensions
    first = (tmp_path / "out" / "brain.nii.gz").read_bytes()
    assert write_labels(tmp_path / "out" / "brain.nii.gz", labels, image).read_bytes() == first


def test_nifti_when_the_header_scales_then_values_are_scaled_as_float32(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOLUME.astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "x.nii")

    data = read_image(tmp_path / "x.nii").data

    assert data.dtype == np.float32
    np.testing.assert_allclose(data, np.asarray(nib.load(tmp_path / "x.nii").dataobj).T, rtol=1e-6)


def test_nifti_when_four_axes_then_the_fourth_is_time_unless_named(tmp_path: Path) -> None:
    path = tmp_path / "x.nii.gz"
    _nifti(path, RNG.random((5, 6, 7, 2), dtype=np.float32))

    image = read_image(path)

    assert image.axes == "TZYX"
    assert read_image(path, axes="CZYX").axes == "CZYX"
    labels = RNG.integers(0, 5, image.label_shape)
    np.testing.assert_array_equal(read_labels(write_labels(tmp_path / "t.nii.gz", labels, image)), labels)
    channels = read_image(path, axes="CZYX")
    np.testing.assert_array_equal(read_labels(write_labels(tmp_path / "c.nii", labels[0], channels)), labels[0])


def test_nifti_when_a_single_plane_then_is_2d_and_goes_back_as_a_plane(tmp_path: Path) -> None:
    path = tmp_path / "x.nii"
    _nifti(path, VOLUME[..., :1], units="micron")

    image = read_image(path)
    written = nib.load(write_labels(tmp_path / "y.nii", np.ones(image.label_shape, int), image))

    assert image.axes == "YX"
    assert max(image.voxel_size) < 2  # µm in the header
    assert written.shape == (5, 6, 1)


def test_nifti_when_its_image_was_replaced_meanwhile_then_labels_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.nii"
    _nifti(path, VOLUME.astype(np.int16))
    image = read_image(path)
    _nifti(path, VOLUME[:3].astype(np.int16))

    with pytest.raises(UserError, match="do not fit the grid"):
        write_labels(tmp_path / "labels.nii", np.ones(image.label_shape, int), image)


def test_nifti_when_the_source_is_gone_then_the_voxel_size_makes_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "x.nii"
    _nifti(path, VOLUME.astype(np.int16))
    image = read_image(path)
    path.unlink()

    written = read_image(write_labels(tmp_path / "labels.nii", np.ones(image.label_shape, int), image))

    assert written.voxel_size == pytest.approx(image.voxel_size)


def test_nifti_when_another_format_hides_behind_the_suffix_then_says_so(tmp_path: Path) -> None:
    nib.save(nib.MGHImage(VOLUME.astype(np.float32), np.eye(4)), tmp_path / "x.mgz")
    (tmp_path / "x.mgz").rename(tmp_path / "x.nii.gz")
    with pytest.raises(ReadError, match=r"x\.nii\.gz"):
        read_image(tmp_path / "x.nii.gz")


def test_nifti_when_colours_then_says_so(tmp_path: Path) -> None:
    rgb = np.zeros((4, 4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(UserError, match="colours"):
        read_image(tmp_path / "x.nii")


def test_nifti_when_bytes_are_swapped_then_the_image_is_native(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(VOLUME.astype(np.int16), np.eye(4), header), tmp_path / "x.nii")

    data = read_image(tmp_path / "x.nii").data

    assert data.dtype.isnative
    np.testing.assert_array_equal(data, VOLUME.T)
