"""What an exported file says of labels: the model, the states, what was changed; also after relabelling."""

from __future__ import annotations

import json

import numpy as np

from napari_unet.app import annotations as notes
from napari_unet.app.provenance import ExportRequest, export_labels, origin_of
from napari_unet.app.renaming import renamed
from napari_unet.app.result import Result
from napari_unet.core.base.image import Image
from napari_unet.core.io import read_labels, read_provenance

MADE_BY = {"model": "blobs", "weights_sha256": "ab", "options": {"threshold": 0.4}}


def made() -> tuple[Result, np.ndarray]:
    """Accept one object, paint into a second, erase of a third."""
    predicted = np.zeros((20, 30), np.int32)
    predicted[1:5, 1:5], predicted[1:5, 10:15], predicted[10:15, 1:5] = 1, 2, 3
    image = Image(predicted.astype(np.float32), "YX", source="/home/somebody/private/cells.tif")
    c = notes.mark_done(notes.accept(notes.start(predicted), [1]), (slice(0, 9), slice(0, 9)))
    labels = predicted.copy()
    labels[5, 10:13] = 2
    labels[10, 1:5] = 0
    return Result(image, c, model="blobs", confidence={2: 0.5, 3: 0.25}, made_by=MADE_BY), labels


def test_origin_when_labels_were_corrected_then_each_object_says_how():
    told = origin_of(*made())
    assert told["objects"] == {
        "1": {"state": "accepted"},
        "2": {"state": "edited", "confidence": 0.5, "edited_voxels": 3},
        "3": {"state": "edited", "confidence": 0.25},
    }
    assert (told["edited_voxels"], told["erased_voxels"]) == (7, 4)
    assert told["finished_regions"] == [[[0, 9], [0, 9]]]
    assert told["model"] == "blobs"
    assert "private" not in json.dumps(told)


def test_origin_when_objects_get_other_numbers_then_it_goes_with_them():
    result, labels = made()
    before = origin_of(result, labels)["objects"]
    names = {1: 9, 2: 1, 3: 2}
    moved = np.zeros_like(labels)
    for old, new in names.items():
        moved[labels == old] = new
    after = origin_of(renamed(result, labels, names), moved)
    assert after["objects"] == {str(names[int(one)]): said for one, said in before.items()}
    assert after["edited_voxels"] == 7


def test_origin_when_labels_are_classes_then_voxels_are_counted_only():
    result, labels = made()
    c = notes.start(result.corrections.predicted, semantic=True)
    told = origin_of(Result(result.image, c), labels)
    assert told["edited_voxels"] == 7
    assert "objects" not in told


def test_export_when_done_then_the_file_holds_labels_and_origin(tmp_path):
    result, labels = made()
    request = ExportRequest(tmp_path / "out.ome.tif", labels, result)
    path = export_labels(request, lambda _: None, lambda: False)
    np.testing.assert_array_equal(read_labels(path), labels)
    assert read_provenance(path)["objects"] == origin_of(result, labels)["objects"]
