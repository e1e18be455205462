"""Who made labels comes back from every format, and the labels themselves are not touched by it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.core.base.errors import ReadError
from napari_unet.core.base.image import Image
from napari_unet.core.io import READERS, read_image, read_labels, read_provenance, suffix, write_labels
from napari_unet.core.io.formats import WRITERS

LABELS = np.zeros((3, 20, 30), np.int32)
LABELS[1, 2:9, 3:11], LABELS[2, 12:15, 20:29] = 1, 7
IMAGE = Image(LABELS.astype(np.float32), "ZYX", (2.0, 0.5, 0.5))
TOLD = {
    "program": "napari-unet",
    "model": "nuclei ü & <b>",
    "options": {"threshold": None},
    "objects": {"1": {"state": "accepted", "confidence": 0.75}, "7": {"state": "predicted"}},
}


@pytest.mark.parametrize("ending", sorted(WRITERS))
@pytest.mark.parametrize("highest", [7, 300, 2**20])
def test_provenance_when_labels_are_written_then_it_is_read_again_and_they_are_as_without(tmp_path, ending, highest):
    labels = np.where(LABELS == 7, highest, LABELS)
    path, plain = tmp_path / f"labels{ending}", tmp_path / f"plain{ending}"
    write_labels(path, labels, IMAGE, TOLD)
    write_labels(plain, labels, IMAGE)
    assert read_provenance(path) == TOLD
    assert read_provenance(plain) == {}
    np.testing.assert_array_equal(read_labels(path), labels)
    if ending != ".npy":
        assert read_image(path).voxel_size == read_image(plain).voxel_size == pytest.approx(IMAGE.voxel_size)
    assert suffix(path) in READERS


def test_provenance_when_written_as_ngff_then_objects_are_its_properties(tmp_path):
    write_labels(tmp_path / "labels.zarr", LABELS, IMAGE, TOLD)
    attrs = zarr.open_group(tmp_path / "labels.zarr", mode="r").attrs
    assert attrs["image-label"]["properties"] == [
        {"label-value": 1, "state": "accepted", "confidence": 0.75},
        {"label-value": 7, "state": "predicted"},
    ]
    assert attrs["image-label"]["version"] == "0.4"


def test_provenance_when_written_as_imagej_then_fiji_shows_it_as_info(tmp_path):
    write_labels(tmp_path / "labels.tif", LABELS, IMAGE, TOLD)
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        assert file.is_imagej
        assert "accepted" in file.imagej_metadata["Info"]


def test_provenance_when_the_labels_are_others_now_then_it_is_refused(tmp_path):
    path = tmp_path / "labels.npy"
    write_labels(path, LABELS, IMAGE, TOLD)
    write_labels(path, LABELS + 1, IMAGE)
    with pytest.raises(ReadError, match="other labels"):
        read_provenance(path)
    (tmp_path / "labels.npy.provenance.json").write_text("[1")
    with pytest.raises(ReadError, match="cannot be read"):
        read_provenance(path)
