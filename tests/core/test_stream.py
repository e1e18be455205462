"""Images that are segmented from store to store: the labels of `segment`, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import fastremap
import numpy as np
import pytest
import torch
import zarr
from scipy.ndimage import find_objects

from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.io import read_objects, zarr_write
from napari_unet.core.io.zarr_write import open_labels
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import ladder, stream_objects, stream_tiles, tiled
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.predictor import BLENDED
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.pipeline.stream import segment_to_store
from napari_unet.core.store.models import Model, initial_model, save_model
from napari_unet.core.targets import DecodeSettings
from tests.core.phantoms import blobs, lived_in, tiny_spec

OFF = SegmentOptions(device="cpu", precision="fp32", rescale="off", tile=48)


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    """Let blocks be so small that objects lie in several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zarr_write, "CHUNK", {2: (40, 40), 3: (8, 24, 24)})
        yield


def stored(image, folder, chunks=32):
    """Put an image onto the disk, to be read by boxes."""
    shape = image.data.shape
    array = zarr.create_array(folder / "image.zarr", shape=shape, chunks=(chunks,) * len(shape), dtype=image.data.dtype)
    array[...] = image.data
    return replace(image, data=array)


def labels_of(found):
    return np.asarray(open_labels(found.path, "r")[...])


def assert_same_objects(labels, truth):
    """Check that two label images differ in the numbers of the objects only."""
    assert labels.max() == truth.max() > 1
    pairs = fastremap.unique(labels.astype(np.uint64) << 32 | truth.astype(np.uint64))
    assert len(pairs) == truth.max() + 1
    np.testing.assert_array_equal(labels > 0, truth > 0)


def assert_same_facts(found, truth):
    """Check that what is kept of each object is what `segment` says of it."""
    labels, facts = labels_of(found), read_objects(found.path)
    assert facts["size"].shape == facts["confidence"].shape == (found.n_objects + 1,)
    np.testing.assert_array_equal(facts["size"][1:], np.bincount(labels.ravel(), minlength=found.n_objects + 1)[1:])
    same = np.zeros(found.n_objects + 1, np.intp)
    same[labels] = truth.labels
    np.testing.assert_allclose(facts["confidence"][1:], truth.confidence[same][1:], atol=1e-3)


LOOSE = DecodeSettings(seed=0.01, split=0.01, min_size=1).to_dict()


def random_model(seed=1, norm="batch", **changes):
    """Give a model whose output varies, of objects of all sizes, without a training."""
    spec = tiny_spec(object_size=None, decode=LOOSE, **changes)
    spec = replace(spec, net_config=spec.net_config | {"norm": norm})
    return Model(spec, lived_in(NetConfig.from_dict(spec.net_config), seed).state_dict())


def picture(shape, axes, seed=0):
    frames = [blobs(seed + i, shape=shape, n=12, radius=9.0, gap=1).image.data for i in range(2 if "T" in axes else 1)]
    return Image(np.stack(frames) if "T" in axes else frames[0], axes)


@pytest.mark.parametrize(
    ("shape", "axes", "dims"),
    [((130, 150), "YX", 2), ((20, 60, 50), "ZYX", 3), ((3, 90, 70), "ZYX", 2), ((90, 70), "TYX", 2)],
    ids=["plane", "stack", "planes of a stack", "time"],
)
def test_segment_to_store_when_tiles_are_small_then_labels_are_those_of_the_whole(shape, axes, dims, tmp_path):
    model, image = random_model(dims=dims), picture(shape, axes)
    options = replace(OFF, tile=32 if dims == 3 else 48)
    truth = segment(model, image, options)

    found = segment_to_store(model, stored(image, tmp_path), tmp_path / "labels.zarr", options)

    assert_same_objects(labels_of(found), truth.labels)
    assert_same_facts(found, truth)
    assert found.n_objects == truth.labels.max()
    assert [path.name for path in tmp_path.iterdir() if "labels" in path.name] == ["labels.zarr"]


def test_segment_to_store_when_an_object_is_too_large_to_be_looked_at_then_only_its_size_is_known(
    scene, tmp_path, monkeypatch
):
    _, model, image, truth = scene
    known = read_objects(scene[0] / "truth.zarr")
    monkeypatch.setattr(stream_objects, "MOST_VOXELS", 300)
    found = read_objects(segment_to_store(model, image, tmp_path / "labels.zarr", OFF).path)

    np.testing.assert_array_equal(found["size"], known["size"])
    boxes = [part and (part[0].stop - part[0].start) * (part[1].stop - part[1].start) for part in find_objects(truth)]
    large = np.array([False, *(box > 300 for box in boxes)])
    assert 2 < large.sum() < len(large) - 3
    np.testing.assert_array_equal(np.isnan(found["confidence"][1:]), large[1:])
    np.testing.assert_allclose(found["confidence"][~large], known["confidence"][~large], atol=1e-5)


def test_segment_to_store_when_memory_is_short_then_the_user_is_told(scene, tmp_path, monkeypatch):
    _, model, image, truth = scene
    call = Engine.__call__

    def short(self, batch):
        if batch[0, 0].numel() > 75 * 75:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return call(self, batch)

    monkeypatch.setattr(Engine, "__call__", short)
    monkeypatch.setattr(ladder, "SMALL", {2: 16})
    found = segment_to_store(model, image, tmp_path / "labels.zarr", OFF)

    assert len(found.notes) == 1
    assert "cut into tiles" in found.notes[0]
    assert_same_objects(labels_of(found), truth)


def test_segment_to_store_when_the_context_is_halved_then_reads_less_and_differs_a_little(scene, tmp_path, monkeypatch):
    _, model, image, truth = scene
    voxels, run = [], stream_tiles._run
    monkeypatch.setattr(stream_tiles, "_run", lambda *args: voxels.append(args[1].size) or run(*args))
    for halo in ("exact", "fast"):
        found = segment_to_store(model, image, tmp_path / f"{halo}.zarr", replace(OFF, halo=halo))
    assert 0 < ((labels_of(found) > 0) != (truth > 0)).mean() < 0.1
    assert sum(voxels[12:]) < 0.8 * sum(voxels[:12])


@pytest.mark.parametrize(("radius", "size"), [(16.0, 32.0), (5.0, 10.0)], ids=["coarser", "finer"])
def test_segment_to_store_when_rescaled_then_labels_are_nearly_those_of_the_whole(oracle, tmp_path, radius, size):
    sample = blobs(shape=(200, 231), n=9, radius=radius, gap=6)
    options = replace(OFF, rescale="auto", object_size=size)
    truth = segment(oracle(), sample.image, options)

    found = segment_to_store(oracle(), stored(sample.image, tmp_path), tmp_path / "labels.zarr", options)

    labels = labels_of(found)
    assert found.n_objects == truth.labels.max() == sample.labels.max()
    sizes, facts = np.bincount(labels.ravel()), read_objects(found.path)
    np.testing.assert_array_equal(facts["size"][1:], sizes[1:])
    np.testing.assert_allclose(np.sort(facts["confidence"][1:]), np.sort(truth.confidence[1:]), atol=0.01)
    assert ((labels > 0) != (truth.labels > 0)).mean() < 1e-4


def test_segment_to_store_when_the_network_sees_everything_then_tiles_are_blended_as_in_the_whole(tmp_path):
    model, image = random_model(norm="instance"), picture((150, 130), "YX")
    truth = segment(model, image, OFF)

    found = segment_to_store(model, stored(image, tmp_path), tmp_path / "labels.zarr", OFF)

    assert_same_objects(labels_of(found), truth.labels)
    assert found.notes == truth.notes == (BLENDED,)


def test_segment_to_store_when_the_model_has_classes_then_gives_and_counts_them(tmp_path):
    model = initial_model(tiny_spec(target="semantic", classes=("a", "b")), seed=2)
    image = blobs(shape=(100, 90)).image
    truth = segment(model, image, OFF).labels

    found = segment_to_store(model, stored(image, tmp_path), tmp_path / "labels.zarr", OFF)

    np.testing.assert_array_equal(labels_of(found), truth)
    assert read_objects(found.path) == {}
    assert (found.n_objects, found.voxels) == (0, tuple(np.bincount(truth.ravel(), minlength=3)[1:]))


def test_segment_to_store_when_tiles_are_constant_then_the_network_runs_once_for_all_alike(tmp_path, monkeypatch):
    data = np.zeros((300, 400), np.float32)
    data[100:200, 100:200] = blobs(shape=(100, 100)).image.data
    model, image = random_model(), Image(data, "YX")
    truth = segment(model, image, OFF).labels
    seen, run = [], stream_tiles._run
    monkeypatch.setattr(stream_tiles, "_run", lambda *args: seen.append(1) or run(*args))

    found = segment_to_store(model, stored(image, tmp_path), tmp_path / "labels.zarr", OFF)

    assert_same_objects(labels_of(found), truth)
    assert 9 < len(seen) < 50  # of 63 tiles


# --- interrupted ---


class Stops:
    """Cancel after so many reports."""

    def __init__(self, after):
        self.after = after

    def __call__(self, progress):
        self.after -= 1
        if self.after < 0:
            raise Cancelled


@pytest.fixture(scope="module")
def scene(small_chunks, tmp_path_factory):
    """Lay out an image and a model on the disk, with the labels of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("scene")
    model = random_model()
    save_model(model, folder / "model")
    image = stored(picture((130, 150), "YX"), folder)
    truth = labels_of(segment_to_store(model, image, folder / "truth.zarr", OFF))
    return folder, model, image, truth


@pytest.mark.parametrize("after", [3, 15, 25, 40, 50])
def test_segment_to_store_when_cancelled_then_goes_on_where_it_stopped(scene, tmp_path, after, monkeypatch):
    _, model, image, truth = scene
    tiles, run = [], stream_tiles._run
    monkeypatch.setattr(stream_tiles, "_run", lambda *args: tiles.append(1) or run(*args))
    with pytest.raises(Cancelled):
        segment_to_store(model, image, tmp_path / "labels.zarr", OFF, Stops(after))
    assert not (tmp_path / "labels.zarr").exists()
    assert len(tiles) <= after + 1

    found = segment_to_store(model, image, tmp_path / "labels.zarr", OFF)

    np.testing.assert_array_equal(labels_of(found), truth)
    for name, column in read_objects(scene[0] / "truth.zarr").items():
        np.testing.assert_array_equal(read_objects(found.path)[name], column)
    assert len(tiles) == 12  # each once
    assert [path.name for path in tmp_path.iterdir()] == ["labels.zarr"]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch, zarr
from napari_unet.core.base.files import write_atomic
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.io import read_objects, zarr_write
from napari_unet.core.pipeline import stream_place
from napari_unet.core.pipeline.stream import segment_to_store
from napari_unet.core.store.models import load_model

torch.set_num_threads(1)
zarr_write.CHUNK = {2: (40, 40)}
folder, out, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def write(path, data):
    global last
    last -= "done" in path.parts
    if last < 0:
        os.kill(os.getpid(), signal.SIGKILL)  # the chunk is written, its mark is not
    write_atomic(path, data)

stream_place.write_atomic = write
options = SegmentOptions(device="cpu", precision="fp32", rescale="off", tile=48)
segment_to_store(load_model(folder / "model"), Image(zarr.open_array(folder / "image.zarr"), "YX"), out, options)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("marks", [5, 17], ids=["among the tiles", "among the blocks"])
def test_segment_to_store_when_killed_then_resumes_to_the_same_labels(scene, tmp_path, marks):
    folder, model, image, truth = scene
    out = tmp_path / "labels.zarr"
    command = [sys.executable, "-c", KILLED, str(folder), str(out), str(marks)]
    ran = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False, timeout=300)
    assert ran.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "labels.zarr.work" / "done").iterdir())) == marks

    found = segment_to_store(model, image, out, OFF)

    np.testing.assert_array_equal(labels_of(found), truth)


def test_segment_to_store_when_a_chunk_has_no_mark_then_it_is_not_believed(scene, tmp_path):
    _, model, image, truth = scene
    with pytest.raises(Cancelled):
        segment_to_store(model, image, tmp_path / "labels.zarr", OFF, Stops(5))
    work = tmp_path / "labels.zarr.work"
    maps = zarr.open_array(work / "maps.zarr", mode="r+")
    maps[:, :, 96:] = 1  # as if a writer had been killed there
    assert not (work / "done" / "maps-0-11").exists()

    np.testing.assert_array_equal(labels_of(segment_to_store(model, image, tmp_path / "labels.zarr", OFF)), truth)


@pytest.mark.parametrize("other", ["model", "image", "options"])
def test_segment_to_store_when_resumed_with_something_else_then_refuses_or_starts_afresh(scene, tmp_path, other):
    _, model, image, _ = scene
    path = tmp_path / "labels.zarr"
    with pytest.raises(Cancelled):
        segment_to_store(model, image, path, OFF, Stops(5))
    changed = {
        "model": (random_model(2), image, OFF),
        "image": (model, replace(image, data=image.data[...] ** 2), OFF),
        "options": (model, image, replace(OFF, min_size=30)),
    }[other]

    with pytest.raises(UserError, match=f"another {other}\\.") as caught:
        segment_to_store(changed[0], changed[1], path, changed[2])
    found = segment_to_store(changed[0], changed[1], path, changed[2], resume=False)

    assert "--fresh" in caught.value.hint
    truth = segment(changed[0], Image(changed[1].data[...], "YX"), changed[2]).labels
    assert_same_objects(labels_of(found), truth)


def test_segment_to_store_when_something_else_is_there_then_refuses_before_working(scene, tmp_path):
    _, model, image, _ = scene
    (tmp_path / "labels.zarr").mkdir()
    (tmp_path / "labels.zarr" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no labels"):
        segment_to_store(model, image, tmp_path / "labels.zarr", OFF)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.zarr"]


def test_segment_to_store_when_the_gpu_is_too_small_then_asks_with_the_time_for_all_tiles(
    oracle, tmp_path, monkeypatch
):
    asked = []

    def refuse(engine, tile, n_voxels, may_use_cpu):
        may_use_cpu(1.0)
        raise UserError("refused")

    def short(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Engine, "__call__", short)
    monkeypatch.setattr(tiled, "step_down", refuse)
    image = picture((130, 150), "TYX")
    with pytest.raises(UserError, match="refused"):
        segment_to_store(oracle(), image, tmp_path / "out.zarr", OFF, may_use_cpu=asked.append)
    assert asked == [2 * 3 * 4]


def test_segment_to_store_when_it_runs_then_progress_only_grows_up_to_the_whole(oracle, tmp_path):
    image = Image(np.stack([blobs(i, shape=(64, 80), n=5, radius=16.0).image.data for i in (0, 1)]), "TYX")
    fractions = []
    options = replace(OFF, rescale="auto")
    segment_to_store(oracle(), image, tmp_path / "l.zarr", options, lambda p: fractions.append(p.fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
