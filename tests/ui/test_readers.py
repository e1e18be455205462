from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Labels, Layer
from qtpy.QtWidgets import QFileDialog

from napari_unet.core.base.image import Image
from napari_unet.core.io import stored, write_labels
from napari_unet.ui import layers, messages
from napari_unet.ui.readers import get_reader, open_zarr, read_layers
from napari_unet.ui.sample_data import mri_classes, nuclei_2d, nuclei_3d

if TYPE_CHECKING:
    from napari.viewer import Viewer


def _nifti(path: Path, affine: np.ndarray, shape: tuple[int, ...] = (7, 6, 5)) -> Path:
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def test_get_reader_when_the_suffix_is_not_ours_then_others_may_read_it() -> None:
    assert get_reader("a.png") is None
    assert get_reader(["A.NII.GZ"]) is not None
    assert get_reader("a.ome.tiff") is not None
    for zarr_path in ("a.zarr", "A.OME.ZARR/", "https://example.org/a.zarr", "plate.zarr/A/1/0"):
        assert get_reader(zarr_path) is not None
    assert get_reader("a.zarr.png") is None


def test_nifti_when_it_is_oblique_then_the_layer_lies_as_in_the_scanner(tmp_path: Path) -> None:
    turned = np.eye(4)
    turned[:3, :3] = [[0.99, -0.141, 0], [0.141, 0.99, 0], [0, 0, 1]] @ np.diag([1.0, -2.0, 3.0])
    turned[:3, 3] = (10, 20, 30)
    path = _nifti(tmp_path / "a.nii.gz", turned)
    layer = Layer.create(*read_layers(str(path))[0])
    assert layer.data.shape == (5, 6, 7)
    assert layer.axis_labels == ("z", "y", "x")
    assert layers.read_voxel_size(layer, "ZYX") == pytest.approx((3000, 2000, 1000), rel=1e-3)
    world = 1000 * (turned @ (2, 4, 1, 1))[:3]
    assert layer.data_to_world((1, 4, 2)) == pytest.approx(tuple(world[::-1]))


def test_nifti_when_its_axes_are_permuted_then_napari_can_still_show_a_slice(tmp_path: Path) -> None:
    sagittal = np.array([[0, 0, 2.0, 5], [1, 0, 0, 6], [0, 1, 0, 7], [0, 0, 0, 1]])
    layer = Layer.create(*read_layers(str(_nifti(tmp_path / "a.nii", sagittal)))[0])
    linear = layer.affine.affine_matrix[:3, :3]
    assert np.allclose(linear, np.eye(3))
    assert layers.read_voxel_size(layer, "ZYX") == pytest.approx((2000, 1000, 1000))


def test_nifti_when_it_has_time_points_then_they_come_first(tmp_path: Path) -> None:
    layer = Layer.create(*read_layers(str(_nifti(tmp_path / "a.nii", np.eye(4), (7, 6, 5, 4))))[0])
    assert layers.read_axes(layer) == "TZYX"
    assert layers.to_image(layer, "TZYX").voxel_size == (1000.0, 1000.0, 1000.0)


def test_ome_tiff_when_it_has_axes_and_sizes_then_the_layer_has_them(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "CZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.3, "PhysicalSizeZ": 1.5}
    tifffile.imwrite(path, np.zeros((2, 3, 8, 9), np.uint16), metadata=metadata, photometric="minisblack")
    layer = Layer.create(*read_layers([str(path)])[0])
    assert layers.read_axes(layer) == "CZYX"
    assert layers.to_image(layer, "CZYX").voxel_size == pytest.approx((1.5, 0.3, 0.2))


def test_ome_tiff_when_it_is_in_colour_then_the_layer_is_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((8, 9, 3), np.uint8), ome=True, photometric="rgb")
    layer = Layer.create(*read_layers(str(path))[0])
    assert (layer.rgb, layer.data.shape) == (True, (8, 9, 3))


def test_read_layers_when_one_file_is_corrupt_then_it_is_told_and_the_others_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(messages.notifications, "show_error", told.append)
    good = _nifti(tmp_path / "good.nii", np.eye(4))
    bad = tmp_path / "bad.nii"
    bad.write_bytes(good.read_bytes()[:500])
    found = read_layers([str(bad), str(good)])
    assert [options["name"] for _, options, _ in found] == ["good"]
    assert len(told) == 1
    assert "bad" in told[0]
    assert read_layers(str(bad)) == [(None,)]


def _ome_zarr(path: Path, shape: tuple[int, ...], names: str, n_levels: int = 3) -> None:
    sizes = {"z": 2.0, "y": 0.5, "x": 0.25}
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = np.random.default_rng(0).integers(0, 250, shape, dtype=np.uint8)
    datasets = []
    for level in range(n_levels):
        part = array[..., :: 2**level, :: 2**level]
        group.create_array(str(level), shape=part.shape, dtype="u1", chunks=(1,) * (len(shape) - 2) + (64, 64))[...] = (
            part
        )
        scale = [sizes.get(n, 1.0) * (2**level if n in "yx" else 1) for n in names]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    axes = [{"name": n, **({"type": "space", "unit": "micrometer"} if n in "zyx" else {})} for n in names]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]


def test_zarr_when_it_has_axes_sizes_and_levels_then_the_layer_has_them_lazily(tmp_path: Path) -> None:
    _ome_zarr(tmp_path / "a.ome.zarr", (1, 2, 3, 200, 160), "tczyx")
    layer = Layer.create(*read_layers(str(tmp_path / "a.ome.zarr"))[0])
    assert (layer.name, layer.multiscale, len(layer.data)) == ("a", True, 3)
    assert not any(isinstance(level, np.ndarray) for level in layer.data)
    assert layers.read_axes(layer) == "CZYX"
    image = layers.to_image(layer, "CZYX")
    assert image.voxel_size == pytest.approx((2.0, 0.5, 0.25))
    np.testing.assert_array_equal(image.volume(), zarr.open(tmp_path / "a.ome.zarr", mode="r")["0"][0])


def test_zarr_when_shown_then_napari_slices_and_thumbnails_it(
    tmp_path: Path, make_napari_viewer: Callable[[], Viewer]
) -> None:
    _ome_zarr(tmp_path / "a.zarr", (1, 1, 5, 200, 160), "tczyx")
    viewer = make_napari_viewer()
    viewer.add_layer(Layer.create(*read_layers(str(tmp_path / "a.zarr"))[0]))
    for z in (0, 4):
        viewer.dims.set_current_step(0, z)
    assert viewer.layers[0].thumbnail.any()


def test_zarr_when_labels_lie_within_then_they_lie_hidden_on_the_image(tmp_path: Path) -> None:
    _ome_zarr(tmp_path / "a.zarr", (1, 1, 200, 160), "tcyx")
    zarr.create_group(tmp_path / "a.zarr" / "labels", zarr_format=2, attributes={"labels": ["cells", "gone"]})
    _ome_zarr(tmp_path / "a.zarr" / "labels" / "cells", (1, 1, 200, 160), "tcyx")

    with pytest.MonkeyPatch.context() as patch:
        told: list[str] = []
        patch.setattr(messages.notifications, "show_error", told.append)
        image, labels = (Layer.create(*data) for data in read_layers(str(tmp_path / "a.zarr")))

    assert (type(labels), labels.visible, labels.editable) == (Labels, False, True)
    assert labels.data.shape == image.data[0].shape == (200, 160)
    assert np.allclose(labels.scale, image.scale)
    assert len(told) == 1
    assert "gone" in told[0]


@pytest.mark.parametrize("large", [False, True])
def test_zarr_when_it_is_labels_of_ours_then_small_ones_can_be_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (600, 500), dtype=np.int32)
    write_labels(tmp_path / "a.zarr", labels, Image(labels, "YX", (0.5, 0.25)))
    monkeypatch.setattr(stored, "LAZY_BYTES", 100 if large else 2**30)
    layer = Layer.create(*read_layers(str(tmp_path / "a.zarr"))[0])
    assert (type(layer), layer.multiscale, layer.editable) == (Labels, large, not large)
    assert np.allclose(layer.scale, (0.5, 0.25))
    np.testing.assert_array_equal(np.asarray(layer.data[0] if large else layer.data), labels)


@pytest.mark.parametrize("chosen", [True, False])
def test_open_zarr_when_a_folder_is_chosen_then_its_layers_are_added(
    tmp_path: Path, make_napari_viewer: Callable[[], Viewer], monkeypatch: pytest.MonkeyPatch, chosen: bool
) -> None:
    _ome_zarr(tmp_path / "a.zarr", (200, 160), "yx")
    viewer = make_napari_viewer()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "a.zarr") if chosen else "")
    open_zarr()
    assert [layer.name for layer in viewer.layers] == ["a"] * chosen
    assert [layer.source.path for layer in viewer.layers] == [str(tmp_path / "a.zarr")] * chosen


def test_open_zarr_when_labels_are_chosen_then_they_can_be_painted(
    tmp_path: Path, make_napari_viewer: Callable[[], Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.eye(9, dtype=np.int32)
    write_labels(tmp_path / "cells.zarr", labels, Image(np.zeros((9, 9)), "YX"))
    viewer = make_napari_viewer()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "cells.zarr"))
    open_zarr()
    np.testing.assert_array_equal(viewer.layers[0].data, labels)


@pytest.mark.parametrize("make", [nuclei_2d, nuclei_3d, mri_classes])
def test_sample_when_opened_then_the_truth_lies_on_the_image(make: object) -> None:
    truth, image = (Layer.create(*data) for data in make())  # type: ignore[operator]
    axes = layers.read_axes(image)
    assert axes is not None
    assert layers.to_image(image, axes).voxel_size is not None
    assert truth.data.shape == image.data.shape
    assert truth.units == image.units
    assert np.allclose(truth.scale, image.scale)
    assert truth.data.any()
