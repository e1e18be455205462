from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from napari.layers import Layer

from napari_unet.ui import layers, messages
from napari_unet.ui.readers import get_reader, read_layers
from napari_unet.ui.sample_data import mri_classes, nuclei_2d, nuclei_3d


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
