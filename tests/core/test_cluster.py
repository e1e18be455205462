"""Large images in worker processes: the labels of a single process, also when a worker dies."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.io import read_image
from napari_unet.core.io.zarr_write import open_labels
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import cluster
from napari_unet.core.pipeline.stream import segment_to_store
from napari_unet.core.store.models import Model
from napari_unet.core.targets import DecodeSettings
from tests.core.phantoms import blobs, lived_in, tiny_spec

OPTIONS = SegmentOptions(device="cpu", precision="fp32", rescale="off", tile=96)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Lay out an image on the disk, a model, and the labels that one process makes."""
    folder = tmp_path_factory.mktemp("scene")
    spec = tiny_spec(object_size=None, decode=DecodeSettings(seed=0.01, split=0.01, min_size=1).to_dict())
    model = Model(spec, lived_in(NetConfig.from_dict(spec.net_config), 1).state_dict())
    data = np.tile(blobs(shape=(220, 210), n=12).image.data, (3, 3))
    array = zarr.create_array(folder / "image.zarr", shape=data.shape, chunks=(128, 128), dtype=data.dtype)
    array[...] = data
    open_image = partial(read_image, folder / "image.zarr", "YX")
    truth = _labels(segment_to_store(model, open_image(), folder / "truth.zarr", OPTIONS).path)
    assert truth.max() > 100
    return model, open_image, truth


@pytest.fixture(scope="module")
def workers():
    """Start two worker processes for all tests."""
    with cluster.local_workers(2) as found:
        yield found


def _labels(path: Path):
    return np.asarray(open_labels(path, "r")[...])


def _pids(workers):
    return sorted(workers.args[0].run(os.getpid).values())


def test_local_workers_when_they_share_the_work_then_labels_are_those_of_one_process(scene, workers, tmp_path):
    model, open_image, truth = scene
    found = segment_to_store(
        model, open_image(), tmp_path / "labels.zarr", OPTIONS, open_image=open_image, workers=workers
    )
    np.testing.assert_array_equal(_labels(found.path), truth)
    assert found.n_objects == truth.max()
    assert os.getpid() not in _pids(workers)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_local_workers_when_one_is_killed_then_nothing_changes(scene, workers, tmp_path):
    model, open_image, truth = scene
    before = _pids(workers)

    def kill_once(progress):
        if "tile 10 " in progress.message:
            os.kill(before[0], signal.SIGKILL)

    path = tmp_path / "labels.zarr"
    found = segment_to_store(model, open_image(), path, OPTIONS, kill_once, open_image=open_image, workers=workers)

    np.testing.assert_array_equal(_labels(found.path), truth)
    assert before[0] not in _pids(workers)


def test_local_workers_when_cancelled_then_few_tiles_more_are_done_and_one_process_goes_on(scene, workers, tmp_path):
    model, open_image, truth = scene
    path = tmp_path / "labels.zarr"

    def cancel(progress):
        if "tile 5 " in progress.message:
            raise Cancelled

    with pytest.raises(Cancelled):
        segment_to_store(model, open_image(), path, OPTIONS, cancel, open_image=open_image, workers=workers)
    n_done = len(list((tmp_path / "labels.zarr.work" / "done").iterdir()))
    found = segment_to_store(model, open_image(), path, OPTIONS)

    assert 5 <= n_done <= 5 + 2 * cluster.AHEAD
    np.testing.assert_array_equal(_labels(found.path), truth)


def test_local_workers_when_a_tile_fails_then_the_reason_arrives_in_words(scene, workers, tmp_path):
    model, open_image, _ = scene
    huge = Model(model.spec, {name: w * 1e15 if w.is_floating_point() else w for name, w in model.weights.items()})
    with pytest.raises(UserError, match="not numbers"):
        segment_to_store(huge, open_image(), tmp_path / "labels.zarr", OPTIONS, open_image=open_image, workers=workers)


def test_local_workers_when_dask_is_missing_then_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match="not installed") as caught, cluster.local_workers(2):
        pass
    assert "napari-unet[cluster]" in caught.value.hint


def test_cluster_workers_when_given_an_address_then_its_workers_do_the_work(scene, workers, tmp_path):
    model, open_image, truth = scene
    with cluster.cluster_workers(workers.args[0].scheduler.address) as team:
        found = segment_to_store(
            model, open_image(), tmp_path / "labels.zarr", OPTIONS, open_image=open_image, workers=team
        )
    np.testing.assert_array_equal(_labels(found.path), truth)


def test_cluster_workers_when_there_is_no_scheduler_then_says_so(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", "200ms")
    with pytest.raises(UserError, match="no Dask scheduler at 'tcp:"), cluster.cluster_workers("tcp://127.0.0.1:9"):
        pass
