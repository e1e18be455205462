"""Labels of large images on the disk: their objects as rows, other thresholds, what they take, and that they go."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.app import stored_results
from napari_unet.app.large import LargeRequest, segment_large
from napari_unet.app.stored_rows import stored_objects
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import disk_size
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import LargeOptions, SegmentOptions
from napari_unet.core.base.progress import Progress, silent
from tests.app.models import save_tiny

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {
    "size": np.array([0, 9, 0, 4, 6]),
    "confidence": np.array([np.nan, 0.9, np.nan, np.nan, 0.2], np.float32),
    "low": np.array([[0, 0], [1, 2], [0, 0], [5, 5], [7, 0]], np.int32),
    "high": np.array([[0, 0], [4, 5], [0, 0], [7, 7], [9, 3]], np.int32),
}


def request(folder: Path, *, keep_maps: bool = True, threshold: float | None = None) -> LargeRequest:
    image = Image(np.random.default_rng(0).random((70, 80)).astype(np.float32), "YX", name="slide")
    options = SegmentOptions(device="cpu", precision="fp32", rescale="off", tile=32, min_size=0, threshold=threshold)
    model = folder / "tiny" if (folder / "tiny").is_dir() else save_tiny(folder, "tiny")
    return LargeRequest(image, model, options, LargeOptions(keep_maps=keep_maps), folder / "results")


# --- rows


def test_stored_objects_when_listed_then_have_size_and_confidence_and_what_vanished_is_left_out() -> None:
    found = stored_objects(COLUMNS, (0.5, 2.0))
    assert found.rows.ids.tolist() == [1, 3, 4]
    assert found.rows.sizes.tolist() == [9.0, 4.0, 6.0]
    assert (found.rows.unit, found.total) == ("µm²", 3)
    assert found.rows.order()[0] == 2  # the least certain first
    assert not found.rows.reviewed.any()


def test_stored_objects_when_there_are_very_many_then_the_least_certain_are_listed_and_it_is_told() -> None:
    found = stored_objects(COLUMNS, most=2)
    assert found.rows.ids.tolist() == [1, 4]
    assert "3 objects as they were segmented; the 2 least certain are listed" in found.describe("slide")


@pytest.mark.parametrize(("label", "box"), [(1, (slice(1, 4), slice(2, 5))), (99, None)])
def test_box_when_asked_for_then_is_that_of_the_object(label: int, box: object) -> None:
    assert stored_objects(COLUMNS).box(label) == box


def test_box_when_there_are_frames_then_begins_with_the_time_point() -> None:
    timed = COLUMNS | {"time": np.array([0, 0, 0, 1, 1], np.int32)}
    assert stored_objects(timed).box(3) == (slice(1, 2), slice(5, 7), slice(5, 7))


def test_stored_objects_when_nothing_is_known_then_there_are_none() -> None:
    found = stored_objects({})
    assert (len(found.rows), found.total, found.box(1)) == (0, 0, None)


# --- thresholds


def test_segment_large_when_only_a_threshold_changes_then_the_network_does_not_run_again(tmp_path: Path) -> None:
    told: list[str] = []

    def tell(progress: Progress) -> None:
        told.append(progress.message)

    first = segment_large(request(tmp_path), tell, bool)
    assert sum(one.startswith("tile") for one in told) == 9
    told.clear()
    second = segment_large(request(tmp_path, threshold=0.45), tell, bool)
    assert second.path != first.path
    assert not [one for one in told if one.startswith("tile")]
    told.clear()
    segment_large(request(tmp_path, threshold=0.45, keep_maps=False), tell, bool)
    assert not told[1:]  # found


# --- the disk


def test_list_results_when_some_are_there_then_says_what_each_takes_and_which_are_unfinished(tmp_path: Path) -> None:
    found = segment_large(request(tmp_path), silent, bool)
    shutil.copytree(found.path, found.path.with_name("begun.zarr.work"))
    listed = {one.name: one for one in stored_results.list_results(found.path.parent)}
    done, begun = listed[found.path.name.removesuffix(".zarr")], listed["begun"]
    assert (done.is_finished, begun.is_finished) == (True, False)
    assert set(done.parts) == {".zarr", ".zarr.maps"}
    files = (path for path in found.path.rglob("*") if path.is_file())
    assert done.parts[".zarr"] == sum(path.stat().st_size for path in files) > 0
    assert stored_results.total_size(found.path.parent) == done.size + begun.size


def test_total_size_when_results_share_the_output_then_it_counts_once(tmp_path: Path) -> None:
    found = segment_large(request(tmp_path), silent, bool)
    segment_large(request(tmp_path, threshold=0.45), silent, bool)
    both = stored_results.list_results(found.path.parent)
    assert len(both) == 2
    shared = disk_size([found.path.with_name(f"{found.path.name}.maps") / "maps.zarr"])
    total = stored_results.total_size(found.path.parent)
    assert sum(one.size for one in both) - shared <= total < sum(one.size for one in both)


def test_delete_result_when_a_part_or_all_is_deleted_then_nothing_of_it_stays_and_others_do(tmp_path: Path) -> None:
    first = segment_large(request(tmp_path), silent, bool)
    second = segment_large(request(tmp_path, threshold=0.45), silent, bool)
    folder, name = first.path.parent, first.path.name.removesuffix(".zarr")
    (folder / ".left.zarr.deleted").mkdir()  # of a time when the program was killed
    stored_results.delete_result(name, (stored_results.MAPS,), folder)
    assert first.path.is_dir()
    assert not first.path.with_name(f"{first.path.name}.maps").exists()
    stored_results.delete_result(name, folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == [second.path.name, f"{second.path.name}.maps"]
    told: list[str] = []
    segment_large(request(tmp_path, threshold=0.4), lambda progress: told.append(progress.message), bool)
    assert not [one for one in told if one.startswith("tile")]  # the other's output is whole


@pytest.mark.parametrize("name", ["nothing", "../tiny"])
def test_delete_result_when_it_is_none_of_the_list_then_refuses(tmp_path: Path, name: str) -> None:
    folder = request(tmp_path).folder
    (folder / "a.zarr").mkdir(parents=True)
    (tmp_path / "tiny.zarr").mkdir()
    with pytest.raises(UserError, match="no result"):
        stored_results.delete_result(name, folder=folder)
    assert (tmp_path / "tiny.zarr").is_dir()
