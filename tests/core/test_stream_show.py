"""What a large image shows while it is segmented, and what is kept of its network for other thresholds."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base.errors import Cancelled
from napari_unet.core.base.glimpse import Glimpse, choose_steps
from napari_unet.core.io import read_objects, zarr_write
from napari_unet.core.pipeline import stream_kept, stream_tiles
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.pipeline.stream import segment_to_store
from napari_unet.core.pipeline.stream_show import Looker
from tests.core.test_stream import OFF, assert_same_objects, labels_of, picture, random_model, stored

sizes = st.integers(1, 40)
EDGE = {2: (40, 40), 3: (8, 24, 24)}
THRESHOLD = 0.4


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Let blocks be so small that objects lie in several."""
    monkeypatch.setattr(zarr_write, "CHUNK", EDGE)


@pytest.fixture
def tiles(monkeypatch):
    """Count how often the network runs."""
    seen, run = [], stream_tiles._run
    monkeypatch.setattr(stream_tiles, "_run", lambda *args: seen.append(1) or run(*args))
    return seen


# --- shown


@given(st.lists(st.tuples(sizes, sizes, st.integers(1, 6)), min_size=1, max_size=3))
def test_every_when_tiles_are_put_together_then_is_every_so_manieth_voxel_of_the_whole(axes):
    shape, cut, steps = ([n + m for n, m, _ in axes], [n for n, _, _ in axes], tuple(s for _, _, s in axes))
    whole = np.random.default_rng(0).integers(0, 99, shape)
    found = np.full([-(-n // s) for n, s in zip(shape, steps, strict=True)], -1)
    for corner in np.ndindex(*(2,) * len(shape)):
        box = tuple(slice(0, c) if first == 0 else slice(c, n) for first, c, n in zip(corner, cut, shape, strict=True))
        part = Glimpse(0, box, whole[box]).every(steps)
        found[part.box] = part.classes
    assert np.array_equal(found, whole[tuple(slice(None, None, s) for s in steps)])


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=4), st.integers(4, 10**6))
def test_choose_steps_when_the_image_is_large_then_what_is_shown_fits_or_is_one_voxel_a_frame(shape, most):
    dims = min(3, len(shape))
    steps = choose_steps(tuple(shape), dims, most)
    coarse = [-(-n // s) for n, s in zip(shape[-dims:], steps, strict=True)]
    frames = np.prod(shape[:-dims], dtype=object)
    assert frames * np.prod(coarse, dtype=object) <= most or max(coarse) == 1


@pytest.mark.parametrize(
    ("shape", "axes", "dims", "size"),
    [((130, 150), "YX", 2, None), ((3, 90, 70), "ZYX", 2, None), ((90, 70), "TYX", 2, None), ((90, 70), "YX", 2, 12.0)],
    ids=["plane", "planes of a stack", "time", "rescaled"],
)
def test_segment_to_store_when_somebody_looks_on_then_tiles_come_nearest_first_and_end_as_the_labels(
    shape, axes, dims, size, tmp_path
):
    model, image = random_model(dims=dims), picture(shape, axes)
    options = OFF if size is None else replace(OFF, rescale="auto", object_size=size)
    model = model if size is None else replace(model, spec=replace(model.spec, object_size=8.0))
    steps = (1,) * (image.dims - 2) + (3, 2)
    first = tuple(slice(n - 1, n) for n in image.label_shape)  # the last voxel
    coarse = np.zeros([-(-n // s) for n, s in zip(image.spatial_shape, steps, strict=True)], np.int32)
    shown = np.stack([coarse] * image.n_times)
    seen = []

    def look(progress):
        for one in progress.payload or ():
            seen.append((progress.message.split()[0], one))
            shown[(one.time, *one.box)] = one.classes

    found = segment_to_store(model, image, tmp_path / "labels.zarr", options, look, looker=Looker(first, steps))

    labels = labels_of(found).reshape(image.n_times, *image.spatial_shape)
    assert np.array_equal(shown, labels[(slice(None), *(slice(None, None, s) for s in steps))])
    network = [one for what, one in seen if what == "tile"]
    assert network[0].time == image.n_times - 1
    assert all(part.stop == n for part, n in zip(network[0].box, coarse.shape, strict=True))
    assert all(part.start == 0 for part in network[-1].box)
    assert all(one.classes.max(initial=0) <= 1 for one in network)


# --- kept


def test_segment_to_store_when_the_maps_are_kept_then_other_thresholds_need_no_network(tmp_path, tiles):
    model, image = random_model(), picture((130, 150), "YX")
    for number, options in enumerate(
        (OFF, replace(OFF, threshold=THRESHOLD), replace(OFF, min_size=5, split_threshold=0.05))
    ):
        found = segment_to_store(
            model,
            stored(image, tmp_path) if not number else image,
            tmp_path / f"{number}.zarr",
            options,
            keeps_maps=True,
        )
        ran, truth = len(tiles), segment(model, image, options).labels
        assert ran == 12
        assert_same_objects(labels_of(found), truth)
    kept = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".zarr")
    assert kept == ["0.zarr.maps", "1.zarr.maps", "2.zarr.maps"]
    assert sorted(path.name for path in (tmp_path / "0.zarr.maps").iterdir()) == ["done", "maps.zarr", "plan.json"]
    shutil.rmtree(tmp_path / "0.zarr.maps")  # each has all it needs
    segment_to_store(model, image, tmp_path / "3.zarr", replace(OFF, threshold=0.45))
    assert len(tiles) == 12


@pytest.mark.parametrize("other", ["model", "image", "options", "fresh", "version"])
def test_segment_to_store_when_the_kept_maps_are_of_something_else_then_the_network_runs(tmp_path, tiles, other):
    model, image = random_model(), picture((130, 150), "YX")
    segment_to_store(model, image, tmp_path / "0.zarr", OFF, keeps_maps=True)
    if other == "version":
        plan = tmp_path / "0.zarr.maps" / "plan.json"
        plan.write_text(plan.read_text().replace('"version": ', '"version": 9'))
    segment_to_store(
        random_model(2) if other == "model" else model,
        replace(image, data=image.data**2) if other == "image" else image,
        tmp_path / "1.zarr",
        replace(OFF, threshold=THRESHOLD, halo="fast" if other == "options" else "exact"),
        resume=other != "fresh",
    )
    assert len(tiles) == 24


def test_segment_to_store_when_files_cannot_have_second_names_then_the_kept_maps_are_copied(
    tmp_path, tiles, monkeypatch
):
    def refuse(source, target):
        raise OSError("not here")

    model, image = random_model(), picture((130, 150), "YX")
    segment_to_store(model, image, tmp_path / "0.zarr", OFF, keeps_maps=True)
    monkeypatch.setattr(stream_kept, "link", refuse)
    found = segment_to_store(model, image, tmp_path / "1.zarr", replace(OFF, threshold=THRESHOLD))
    assert len(tiles) == 12
    assert_same_objects(labels_of(found), segment(model, image, replace(OFF, threshold=THRESHOLD)).labels)


def test_segment_to_store_when_cancelled_while_it_decodes_kept_maps_then_goes_on(tmp_path, tiles):
    def cancel(progress):
        if progress.message.startswith("block 3 "):
            raise Cancelled

    model, image, other = random_model(), picture((130, 150), "YX"), replace(OFF, threshold=THRESHOLD)
    segment_to_store(model, image, tmp_path / "0.zarr", OFF, keeps_maps=True)
    with pytest.raises(Cancelled):
        segment_to_store(model, image, tmp_path / "1.zarr", other, cancel)
    found = segment_to_store(model, image, tmp_path / "1.zarr", other)
    ran, truth = len(tiles), segment(model, image, other).labels
    assert ran == 12
    assert_same_objects(labels_of(found), truth)


# --- where objects are


def test_objects_when_read_then_their_boxes_and_times_are_those_of_the_labels(tmp_path):
    image = picture((90, 70), "TYX")
    found = segment_to_store(random_model(), image, tmp_path / "labels.zarr", OFF)
    labels, facts = labels_of(found), read_objects(found.path)
    assert found.n_objects > 5
    for number in range(1, found.n_objects + 1):
        where = np.argwhere(labels == number)
        assert set(where[:, 0]) == {facts["time"][number]}
        assert np.array_equal(where[:, 1:].min(0), facts["low"][number])
        assert np.array_equal(where[:, 1:].max(0) + 1, facts["high"][number])
