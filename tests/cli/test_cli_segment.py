"""`napari-unet segment`: files in, labels of the same name, format and grid out."""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
import torch
import zarr
from PIL import Image as Picture

from napari_unet.app import commands
from napari_unet.cli import segment_task
from napari_unet.core.base.image import Image
from napari_unet.core.io import read_image, read_labels, read_provenance, write_image
from napari_unet.core.pipeline import cluster, stream, stream_place
from napari_unet.core.store.spec import read_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RNG = np.random.default_rng(0)


def names_in(folder: Path) -> list[str]:
    """List the labels in a folder, without the files that say who made them."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".json")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Lay three images of three formats into a folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    write_image(folder / "a.ome.tif", Image(RNG.integers(0, 255, (20, 24), dtype=np.uint8), "YX", (0.5, 0.25)))
    Picture.fromarray(RNG.integers(0, 255, (18, 22), dtype=np.uint8)).save(folder / "b.png")
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    nib.save(nib.Nifti1Image(RNG.random((16, 18, 4), dtype=np.float32), affine), folder / "c.nii.gz")
    return folder


def test_segment_when_given_a_folder_then_labels_keep_stem_format_and_grid(
    run: Callable, images: Path, tiny_model: Path, tmp_path: Path
) -> None:
    ran = run("segment", images, "--model", tiny_model, "--out", tmp_path / "out", "--json")

    assert ran.code == 0
    assert names_in(tmp_path / "out") == ["a.ome.tif", "b.tif", "c.nii.gz"]
    assert read_labels(tmp_path / "out" / "b.tif").shape == (18, 22)
    assert read_image(tmp_path / "out" / "a.ome.tif").voxel_size == (0.5, 0.25)
    written, original = (nib.load(folder / "c.nii.gz") for folder in (tmp_path / "out", images))
    np.testing.assert_array_equal(written.affine, original.affine)
    assert written.shape == original.shape
    assert ran.json["n_images"] == 3
    for one in ran.json["images"]:
        assert one["n_objects"] == len(set(np.unique(read_labels(one["output"]))) - {0})
        assert read_provenance(Path(one["output"]))["weights_sha256"] == read_spec(tiny_model).weights_sha256


def test_segment_when_the_model_has_classes_then_counts_their_voxels(
    run: Callable, images: Path, tiny_classes: Path, tmp_path: Path
) -> None:
    ran = run("segment", images / "b.png", "--model", tiny_classes, "--out", tmp_path / "out", "--json")

    labels = read_labels(tmp_path / "out" / "b.tif")
    assert ran.json["images"][0]["voxels"] == {"tissue": (labels == 1).sum(), "bone": (labels == 2).sum()}
    assert "tissue" in ran.out.splitlines()[0]


def test_segment_when_one_image_cannot_be_read_then_the_others_are_done_and_it_is_named(
    run: Callable, images: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (images / "broken.tif").write_bytes(b"II*\0nonsense")

    ran = run("segment", images, "--model", tiny_model, "--out", tmp_path / "out", "--json")

    assert ran.code == 1
    assert "broken.tif" in ran.error
    assert "1 of 4 images could not be segmented: broken.tif" in ran.err
    assert (ran.json["n_images"], ran.json["n_failed"]) == (3, 1)
    assert names_in(tmp_path / "out") == ["a.ome.tif", "b.tif", "c.nii.gz"]


def test_segment_when_memory_runs_out_for_one_image_then_it_is_one_line_and_the_rest_goes_on(
    run: Callable, images: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = commands.segment

    def fail_for_b(request: commands.SegmentRequest, *rest: object) -> commands.SegmentResult:
        if request.image.name == "b":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(request, *rest)

    monkeypatch.setattr(segment_task.commands, "segment", fail_for_b)

    ran = run("segment", images, "--model", tiny_model, "--out", tmp_path / "out")

    assert ran.code == 1
    assert "b.png: There is not enough memory" in ran.error
    assert names_in(tmp_path / "out") == ["a.ome.tif", "c.nii.gz"]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5), np.uint8),
        np.full((8, 8), 7, np.uint8),
        np.full((8, 8), np.nan, np.float32),
        np.eye(8, dtype=np.complex64),
        np.ones((1, 1), np.uint8),
    ],
    ids=["empty", "constant", "nan", "complex", "one pixel"],
)
def test_segment_when_the_image_is_unusable_then_says_why_in_one_line(
    run: Callable, tiny_model: Path, tmp_path: Path, array: np.ndarray
) -> None:
    np.save(tmp_path / "x.npy", array)

    ran = run("segment", tmp_path / "x.npy", "--model", tiny_model, "--out", tmp_path / "out")

    assert ran.code == 1
    assert "x.npy" in ran.error


def test_segment_when_axes_are_ambiguous_then_asks_and_takes_the_answer(
    run: Callable, tiny_model: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", RNG.random((3, 20, 22), dtype=np.float32))
    arguments = ("segment", tmp_path / "x.npy", "--model", tiny_model, "--out", tmp_path / "out")

    asked = run(*arguments)
    as_stack = run(*arguments, "--axes", "ZYX", "--voxel-size", "2,1,1")
    as_channels = run(*arguments, "--axes", "CYX", "--channel", "1")

    assert asked.code == 1
    assert "--axes" in asked.error
    assert as_stack.code == as_channels.code == 0
    assert read_labels(tmp_path / "out" / "x.npy").shape == (20, 22)


def test_segment_when_channels_lie_in_several_files_then_they_are_one_image(
    run: Callable, tmp_path: Path, tiny_model: Path
) -> None:
    for name in ("p1_FLAIR", "p1_T1", "p2_FLAIR", "p2_T1"):
        write_image(tmp_path / "in" / f"{name}.tif", Image(RNG.integers(0, 9, (20, 22), dtype=np.uint8), "YX"))
    arguments = ("segment", tmp_path / "in", "--model", tiny_model, "--out", tmp_path / "out")

    ran = run(*arguments, "--channels", "_FLAIR,_T1", "--channel", 1, "--json")

    assert ran.code == 0, ran.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["p1.tif", "p2.tif"]
    assert ran.json["n_images"] == 2


@pytest.mark.parametrize(
    ("names", "message"), [(["p1_FLAIR", "p1_T2"], "ends in none of"), (["p1_FLAIR"], "'p1.tif' has no _T1")]
)
def test_segment_when_channels_are_missing_then_names_them(
    run: Callable, tmp_path: Path, tiny_model: Path, names: list[str], message: str
) -> None:
    for name in names:
        write_image(tmp_path / "in" / f"{name}.tif", Image(RNG.random((8, 8)), "YX"))

    ran = run("segment", tmp_path / "in", "--model", tiny_model, "--out", tmp_path / "out", "--channels", "_FLAIR,_T1")

    assert ran.code == 2
    assert message in ran.error


def test_segment_when_two_images_would_write_one_file_then_refuses(
    run: Callable, images: Path, tiny_model: Path, tmp_path: Path
) -> None:
    write_image(images / "b.tif", Image(RNG.random((8, 8)), "YX"))

    ran = run("segment", images, "--model", tiny_model, "--out", tmp_path / "out")

    assert ran.code == 2
    assert "b.png" in ran.error
    assert not (tmp_path / "out").exists()


def test_segment_when_two_large_images_would_write_one_store_then_refuses_before_anything_runs(
    run: Callable, images: Path, tiny_model: Path, tmp_path: Path
) -> None:
    write_image(images / "c.tif", Image(RNG.random((16, 18)), "YX"))
    command = ("segment", images / "c.tif", images / "c.nii.gz", "--model", tiny_model, "--out", tmp_path / "out")

    ran = run(*command)

    assert ran.code == 2
    assert "the same name, c.zarr, if they do not fit into memory" in ran.error
    assert not (tmp_path / "out").exists()
    assert run(*command, "--format", "same").code == 0
    assert names_in(tmp_path / "out") == ["c.nii.gz", "c.tif"]


def test_segment_when_labels_would_replace_an_image_then_refuses(run: Callable, images: Path, tiny_model: Path) -> None:
    ran = run("segment", images, "--model", tiny_model, "--out", images)

    assert ran.code == 2
    assert "would replace the image" in ran.error


def test_segment_when_nothing_can_be_written_there_then_is_one_error_for_all_images(
    run: Callable, images: Path, tiny_model: Path
) -> None:
    ran = run("segment", images, "--model", tiny_model, "--out", images / "b.png")

    assert ran.code == 2
    assert ran.error.count("Nothing can be written") == 1


def test_segment_when_there_is_no_such_model_then_names_it(run: Callable, images: Path, tmp_path: Path) -> None:
    ran = run("segment", images, "--model", "nobody", "--out", tmp_path / "out")

    assert ran.code == 2
    assert "'nobody'" in ran.error


def test_segment_when_the_model_has_learnt_from_images_alone_then_is_one_error(
    run: Callable, images: Path, tiny_pretrained: Path, tmp_path: Path
) -> None:
    ran = run("segment", images, "--model", tiny_pretrained, "--out", tmp_path / "out")

    assert ran.code == 2
    assert "cannot segment yet" in ran.error


def test_segment_when_the_model_was_tampered_with_then_is_one_error(
    run: Callable, images: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tampered"
    folder.mkdir()
    for path in tiny_model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)

    ran = run("segment", images, "--model", folder, "--out", tmp_path / "out")

    assert ran.code == 2
    assert "SHA-256" in ran.error


def test_segment_when_the_inputs_match_nothing_then_names_them(run: Callable, tiny_model: Path, tmp_path: Path) -> None:
    ran = run("segment", tmp_path / "*.tif", "--model", tiny_model, "--out", tmp_path / "out")

    assert ran.code == 2
    assert "*.tif" in ran.error


# --- through the disk ---


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Lay an OME-Zarr image into a folder."""
    path = tmp_path / "large.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=RNG.integers(0, 255, (70, 90), dtype=np.uint8), chunks=(32, 32))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.25]}]
    level = {"path": "0", "coordinateTransformations": scale}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    return path


def test_segment_when_the_image_is_zarr_then_labels_go_through_the_disk_into_the_same_as_at_once(
    run: Callable, large: Path, tiny_model: Path, tmp_path: Path
) -> None:
    arguments = ("--model", tiny_model, "--tile", 32, "--threshold", "0.05", "--rescale", "off", "--json")

    through = run("segment", large, *arguments, "--out", tmp_path / "a")
    at_once = run("segment", large, *arguments, "--out", tmp_path / "b", "--format", "same")

    assert through.code == at_once.code == 0, through.err + at_once.err
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["large.ome.zarr"]
    labels = read_labels(tmp_path / "a" / "large.ome.zarr")
    assert labels.shape == (70, 90)
    np.testing.assert_array_equal(labels > 0, read_labels(tmp_path / "b" / "large.ome.zarr") > 0)
    assert through.json["images"][0]["n_objects"] == labels.max()
    assert read_image(tmp_path / "a" / "large.ome.zarr").voxel_size == (0.5, 0.25)


def test_segment_when_the_image_needs_more_than_its_share_of_memory_then_goes_through_the_disk(
    run: Callable, images: Path, tiny_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_task.streaming, "SHARE", 0.0)

    ran = run("segment", images, "--model", tiny_classes, "--out", tmp_path / "out", "--json")

    assert ran.code == 0, ran.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.zarr", "b.zarr", "c.zarr"]
    labels = read_labels(tmp_path / "out" / "b.zarr")
    assert ran.json["images"][1]["voxels"] == {"tissue": (labels == 1).sum(), "bone": (labels == 2).sum()}


def test_segment_when_an_interrupted_run_had_other_options_then_says_fresh_and_fresh_does_it(
    run: Callable, large: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    arguments = ("segment", large, "--model", tiny_model, "--out", tmp_path / "out", "--tile", 32)
    with monkeypatch.context() as patch:
        patch.setattr(stream, "finish_labels", interrupt)
        assert run(*arguments).code == 1
    assert (tmp_path / "out" / "large.ome.zarr.work").is_dir()

    refused = run(*arguments, "--threshold", "0.3")
    fresh = run(*arguments, "--threshold", "0.3", "--fresh")

    assert "another options" in refused.error
    assert "--fresh" in refused.error
    assert fresh.code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["large.ome.zarr"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--format", "tiff"), "The format is 'tiff'"),
        (("--format", "same", "--workers", 2), "through the disk only"),
        (("--workers", 2, "--scheduler", "tcp://127.0.0.1:9"), "Both --workers and --scheduler"),
    ],
)
def test_segment_when_ways_contradict_each_other_then_says_so(
    run: Callable, large: Path, tiny_model: Path, tmp_path: Path, extra: tuple[object, ...], message: str
) -> None:
    ran = run("segment", large, "--model", tiny_model, "--out", tmp_path / "out", *extra)

    assert ran.code == 2
    assert message in ran.error


def test_segment_when_given_workers_then_they_open_the_image_themselves_and_find_the_same(
    run: Callable, large: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def team(job: stream_place.Job) -> stream_place.Run:
        opened.append(pickle.loads(pickle.dumps(job)).open_image().data.shape)  # as on its way to another process
        return stream_place.here(job)

    @contextmanager
    def hire(n: int) -> Iterator[stream_place.Workers]:
        assert n == 2
        yield team

    monkeypatch.setattr(cluster, "local_workers", hire)
    arguments = ("segment", large, "--model", tiny_model, "--tile", 32, "--threshold", "0.05", "--rescale", "off")

    alone = run(*arguments, "--out", tmp_path / "a")
    shared = run(*arguments, "--out", tmp_path / "b", "--workers", 2)

    assert shared.code == 0, shared.err
    assert opened == [(70, 90)]
    np.testing.assert_array_equal(*(read_labels(tmp_path / name / "large.ome.zarr") for name in "ab"))
    assert alone.out.split(" -> ")[0] == shared.out.split(" -> ")[0]
