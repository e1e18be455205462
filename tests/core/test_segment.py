"""From an image to labels on its own grid, whatever its axes, colours, voxel size and memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.metrics.instances import match_counts
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import fits, tiled, zoom
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.segment import redecode, segment
from napari_unet.core.store.models import Model, initial_model
from napari_unet.core.targets import DecodeSettings
from tests.core.phantoms import blobs, lived_in, tiny_spec

PLAIN = SegmentOptions(device="cpu", precision="fp32")
OFF = replace(PLAIN, rescale="off")


def assert_finds(labels, truth, iou=0.85):
    """Check that every object is found, and nothing else."""
    assert labels.dtype == np.int32
    assert labels.shape == truth.shape
    counts = match_counts(labels, truth, (iou,))
    assert (counts.fp, counts.fn) == ((0,), (0,))


@pytest.fixture
def seen(monkeypatch):
    """Record the spatial shape of everything that a network sees."""
    shapes = []
    call = Engine.__call__

    def recorded(self, batch):
        shapes.append(tuple(batch.shape[2:]))
        return call(self, batch)

    monkeypatch.setattr(Engine, "__call__", recorded)
    return shapes


def test_segment_when_objects_are_clear_then_finds_them_with_confidence(oracle):
    sample = blobs()
    found = segment(oracle(), sample.image, PLAIN)
    assert_finds(found.labels, sample.labels)
    assert found.confidence.shape == (10 + 1,)
    assert (found.confidence[1:] > 0.9).all()
    assert found.object_size == pytest.approx(16, rel=0.1)
    assert found.notes == ()


def test_segment_when_a_trained_network_runs_then_finds_what_it_learned(taught):
    model, sample = taught
    assert_finds(segment(model, sample.image, PLAIN).labels, sample.labels, iou=0.75)


# --- object size ---


@pytest.mark.parametrize(("radius", "shape"), [(24.0, (288, 288)), (4.0, (64, 64))])
def test_segment_when_objects_are_of_another_size_then_rescales_and_gives_the_images_own_grid(
    oracle, seen, radius, shape
):
    sample = blobs(shape=shape, n=8, radius=radius, gap=6)
    found = segment(oracle(), sample.image, PLAIN)
    assert_finds(found.labels, sample.labels)
    factor = 16 / (2 * radius)
    assert seen[-1] == pytest.approx(tuple(n * factor for n in shape), rel=0.1)
    assert "rescaled by" in found.notes[0]
    assert found.object_size == pytest.approx(2 * radius, rel=0.15)


def test_segment_when_the_user_gives_the_size_then_there_is_no_first_pass(oracle, seen):
    sample = blobs(shape=(144, 144), n=6, radius=24.0, gap=6)
    found = segment(oracle(), sample.image, replace(PLAIN, object_size=48.0))
    assert seen == [(48, 48)]
    assert_finds(found.labels, sample.labels)


def test_segment_when_rescaling_is_off_then_the_network_sees_the_image_as_it_is(oracle, seen):
    segment(oracle(), blobs(shape=(144, 144), n=6, radius=24.0).image, OFF)
    assert seen == [(144, 144)]


def test_segment_when_the_first_pass_is_not_confirmed_then_nothing_is_rescaled(oracle, seen, monkeypatch):
    measured = iter([5.0, 40.0])
    monkeypatch.setattr(zoom, "_object_size", lambda *_: next(measured))
    found = segment(oracle(), blobs().image, PLAIN)
    assert seen == [(96, 96)]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("voxel_size", "expected"),
    [
        ((1.0, 1.0), (192, 192)),
        ((0.7, 0.7), (96, 96)),
        ((0.5, 1.5), (96, 288)),
        ((1e6, 1e6), (384, 384)),
        (None, (96, 96)),
    ],
)
def test_segment_when_the_voxel_size_differs_then_rescales_by_it_within_bounds(oracle, seen, voxel_size, expected):
    sample = blobs(gap=6)
    found = segment(oracle(voxel_size=(0.5, 0.5)), replace(sample.image, voxel_size=voxel_size), PLAIN)
    assert seen[-1] == expected
    assert_finds(found.labels, sample.labels)
    assert bool(found.notes) == (expected != (96, 96))


def test_segment_when_the_minimum_size_is_given_then_it_counts_voxels_of_the_image(oracle):
    sample = blobs(shape=(64, 64), n=5, radius=4.0, gap=6)
    small, large = np.sort(np.bincount(sample.labels.ravel())[1:])[[0, -1]]
    for size, n in ((0.5 * small, 5), (1.5 * large, 0)):
        options = replace(PLAIN, object_size=8.0, min_size=int(size))
        assert segment(oracle(), sample.image, options).labels.max() == n


def test_segment_when_planes_are_enlarged_then_the_minimum_size_still_counts_voxels_of_the_image(oracle):
    sample = blobs(shape=(6, 64, 64), n=3, radius=4.0, gap=8)
    smallest = np.bincount(sample.labels.ravel())[1:].min()
    options = replace(PLAIN, object_size=6.0, min_size=int(0.6 * smallest))
    assert segment(oracle(), sample.image, options).labels.max() == sample.labels.max()


# --- axes ---


@pytest.mark.parametrize("voxel_size", [None, (2.0, 1.0, 1.0)])
def test_segment_when_the_image_is_a_stack_then_labels_are_a_stack(oracle, voxel_size):
    sample = blobs(shape=(12, 48, 56), n=5, radius=8.0, voxel_size=voxel_size)
    found = segment(oracle(dims=3), sample.image, PLAIN)
    assert_finds(found.labels, sample.labels, iou=0.8)
    assert found.object_size is None or found.object_size == pytest.approx(16, rel=0.2)


def test_segment_when_a_2d_model_gets_a_stack_then_planes_are_joined_to_objects(oracle, seen):
    sample = blobs(shape=(12, 48, 56), n=4, radius=8.0)
    assert_finds(segment(oracle(), sample.image, OFF).labels, sample.labels, iou=0.8)
    assert seen == [(48, 56)] * 12


def test_segment_when_a_2d_model_gets_a_stack_of_large_objects_then_keeps_its_planes(oracle, seen):
    sample = blobs(shape=(4, 144, 144), n=4, radius=24.0)
    found = segment(oracle(), sample.image, replace(PLAIN, object_size=48.0))
    assert found.labels.shape == (4, 144, 144)
    assert seen == [(48, 48)] * 4


def test_segment_when_a_2d_model_gets_a_stack_of_unknown_size_then_measures_it_in_the_middle_plane(oracle, seen):
    sample = blobs(shape=(3, 240, 240), n=6, radius=24.0, gap=8)
    found = segment(oracle(), sample.image, PLAIN)
    assert seen[0] == (240, 240)
    assert seen[-1] == pytest.approx((80, 80), abs=12)
    assert "rescaled by" in found.notes[0]


def test_segment_when_a_3d_model_gets_a_plane_then_says_what_to_choose(oracle):
    with pytest.raises(UserError, match="3D stacks") as caught:
        segment(oracle(dims=3), blobs().image, PLAIN)
    assert "2D model" in caught.value.hint


def test_segment_when_there_are_time_points_then_each_has_its_own_objects(oracle):
    frames = [blobs(seed) for seed in (0, 1)]
    movie = Image(np.stack([f.image.data for f in frames]), "TYX")
    found = segment(oracle(), movie, PLAIN)
    for labels, frame in zip(found.labels, frames, strict=True):
        assert_finds(labels, frame.labels)
    numbers = [set(np.unique(labels)) - {0} for labels in found.labels]
    assert not numbers[0] & numbers[1]
    assert found.object_size == pytest.approx(16, rel=0.1)
    assert len(found.confidence) == found.labels.max() + 1


def test_segment_when_one_time_point_is_asked_for_then_it_is_as_in_the_whole(oracle):
    movie = Image(np.stack([blobs(0).image.data, 2 * blobs(1).image.data]), "TYX")
    whole = segment(oracle(), movie, OFF).labels
    part = segment(oracle(), movie, OFF, box=(slice(1, 2), slice(0, 96), slice(0, 96))).labels
    np.testing.assert_array_equal(part[0] > 0, whole[1] > 0)


@pytest.mark.parametrize("box", [(slice(30, 70), slice(20, 75)), (slice(0, 33), slice(61, 160))])
def test_segment_when_a_box_is_asked_for_then_maps_are_as_in_the_whole(taught, box):
    model, _ = taught
    image = blobs(5, (150, 160), n=20).image
    whole, part = (segment(model, image, OFF, box=b).prediction.maps[0] for b in (None, box))
    assert part.shape == (2, *(s.stop - s.start for s in box))
    np.testing.assert_allclose(part, whole[(slice(None), *box)], atol=2e-3)  # maps are kept in half precision


def test_segment_when_a_box_holds_whole_objects_then_they_are_as_in_the_whole(oracle):
    sample = blobs(shape=(96, 200), n=12)
    box = (slice(0, 96), slice(0, 120))
    inside = [i for i in np.unique(sample.labels[box]) if i and not (sample.labels[:, 120:] == i).any()]
    found = segment(oracle(), sample.image, OFF, box=box).labels
    for number in inside:
        assert len(np.unique(found[sample.labels[box] == number], return_counts=True)[0]) <= 2


# --- channels ---


def with_channels(*planes, rgb=False):
    return Image(np.stack(planes), "CYX", rgb=rgb)


LIGHT = blobs().image.data
DARK = np.random.default_rng(0).normal(0.5, 0.01, LIGHT.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("image", "model", "channel"),
    [
        (with_channels(DARK, LIGHT), {}, 1),
        (with_channels(LIGHT, LIGHT, LIGHT, rgb=True), {}, None),
        (with_channels(DARK, LIGHT, DARK, rgb=True), {}, 1),
        (with_channels(LIGHT, LIGHT, LIGHT, rgb=True), {"channels": 3, "colour": "repeat"}, None),
        (Image(LIGHT, "YX"), {"channels": 3, "colour": "repeat"}, None),
        (with_channels(LIGHT), {}, None),
        (with_channels(LIGHT, LIGHT), {"channels": 2, "colour": "exact"}, None),
    ],
    ids=["one of two", "luminance", "green", "colour", "repeat", "axis of one", "exact"],
)
def test_segment_when_channels_fit_then_finds_the_objects(oracle, image, model, channel):
    assert_finds(segment(oracle(**model), image, replace(PLAIN, channel=channel)).labels, blobs().labels)


@pytest.mark.parametrize(
    ("image", "model", "channel", "words", "hint"),
    [
        (with_channels(DARK, LIGHT), {}, None, "has 2 channels", "0 to 1"),
        (with_channels(DARK, LIGHT), {}, 2, "Channel 2", "0 to 1"),
        (with_channels(DARK, LIGHT), {"channels": 3, "colour": "repeat"}, None, "has 2 channels", "0 to 1"),
        (with_channels(DARK, DARK, LIGHT), {"channels": 3, "colour": "repeat"}, None, "has 3 channels", "0 to 2"),
        (Image(LIGHT, "YX"), {"channels": 2, "colour": "exact"}, None, "takes 2 channels", "channels it was trained"),
        (with_channels(DARK, LIGHT), {"channels": 2, "colour": "exact"}, 0, "takes 2 channels", "channels"),
        (with_channels(LIGHT, LIGHT, LIGHT, rgb=True), {"channels": 2, "colour": "exact"}, None, "has 3", "channels"),
        (with_channels(LIGHT, LIGHT, LIGHT, rgb=True), {"channels": 2, "colour": "repeat"}, None, "has 3", "channels"),
    ],
)
def test_segment_when_channels_do_not_fit_then_says_which_to_choose(oracle, image, model, channel, words, hint):
    with pytest.raises(UserError, match=words) as caught:
        segment(oracle(**model), image, replace(PLAIN, channel=channel))
    assert hint in caught.value.hint


# --- decoding again ---


def test_redecode_when_settings_change_then_labels_follow_without_the_network(oracle, monkeypatch):
    sample = blobs(gap=-3, n=14)
    found = segment(oracle(), sample.image, OFF)
    monkeypatch.setattr(Engine, "__call__", None)
    np.testing.assert_array_equal(redecode(oracle(), found.prediction, OFF), found.labels)
    assert not redecode(oracle(), found.prediction, replace(OFF, min_size=10_000)).any()
    areas = [
        np.count_nonzero(redecode(oracle(), found.prediction, replace(OFF, threshold=t, min_size=0)))
        for t in (0.05, 0.5, 0.95)
    ]
    assert areas[0] >= areas[1] >= areas[2] > 0


def test_redecode_when_there_is_time_then_gives_all_time_points(oracle):
    movie = Image(np.stack([blobs(0).image.data, blobs(1).image.data]), "TYX")
    found = segment(oracle(), movie, OFF)
    np.testing.assert_array_equal(redecode(oracle(), found.prediction, OFF, has_time=True), found.labels)


def test_segment_when_the_model_has_tuned_settings_then_the_users_win(oracle):
    tuned = oracle(decode=DecodeSettings(min_size=10_000).to_dict())
    nothing = segment(tuned, blobs().image, OFF)
    assert not nothing.labels.any()
    assert nothing.object_size is None
    assert nothing.confidence.shape == (1,)
    assert segment(tuned, blobs().image, replace(OFF, min_size=10)).labels.any()


def test_segment_when_the_model_is_semantic_then_gives_classes(oracle):
    model = initial_model(tiny_spec(target="semantic", classes=("a", "b")))
    found = segment(model, blobs().image, PLAIN)
    assert set(np.unique(found.labels)) <= {0, 1, 2}
    assert found.confidence.size == 0
    assert found.object_size is None


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((0, 5)), "empty"),
        (np.ones((1, 1)), "too small"),
        (np.full((32, 32), 4), "constant"),
        (np.full((32, 32), np.nan), "NaN"),
        (LIGHT.astype(np.complex64), "complex64"),
    ],
)
def test_segment_when_the_image_is_bad_then_is_refused_in_words(oracle, data, words):
    with pytest.raises(UserError, match=words):
        segment(oracle(), Image(data, "YX"), PLAIN)


@pytest.mark.parametrize("shape", [(2, 2), (3, 200), (17, 5)])
def test_segment_when_the_image_is_tiny_then_still_gives_labels(taught, shape):
    data = np.random.default_rng(0).random(shape)
    assert segment(taught[0], Image(data, "YX"), PLAIN).labels.shape == shape


def test_segment_when_the_network_gives_no_numbers_then_says_so(oracle):
    broken = Model(oracle().spec, {"gain": torch.tensor(float("nan"))})
    with pytest.raises(UserError, match="not numbers"):
        segment(broken, blobs().image, PLAIN)


def test_segment_when_memory_runs_out_then_gives_the_same_mask(taught, monkeypatch):
    model, sample = taught
    whole = segment(model, sample.image, OFF).labels
    call, failed = Engine.__call__, []

    def small(self, batch):
        if batch[0, 0].numel() > 70 * 70:
            failed.append(batch.shape)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return call(self, batch)

    monkeypatch.setattr(Engine, "__call__", small)
    monkeypatch.setattr(fits, "_fits", {})  # another test may have run out of memory with this network
    np.testing.assert_array_equal(segment(model, sample.image, OFF).labels, whole)
    assert failed


@pytest.mark.parametrize(("dims", "shape"), [(2, (128, 128)), (2, (6, 128, 128)), (3, (6, 128, 128))])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_segment_when_something_is_looked_at_then_it_is_computed_first_and_labels_are_the_same(
    oracle, monkeypatch, dims, shape, factor
):
    brightness = []
    call = Engine.__call__

    def recorded(self, batch):
        brightness.append(float(batch.mean()))
        return call(self, batch)

    ramp = np.add.outer(np.arange(128.0), np.arange(128.0))  # the brightest tile is the last one
    image = Image(ramp if len(shape) == 2 else np.add.outer(100 * np.arange(shape[0]), ramp), "ZYX"[-len(shape) :])
    model, options = oracle(dims=dims), replace(OFF, tile=32, rescale="auto", object_size=16 / factor)
    plain = segment(model, image, options).labels
    monkeypatch.setattr(Engine, "__call__", recorded)
    first = tuple(slice(n - 1, n) if i < len(shape) - 2 else slice(n - 10, n) for i, n in enumerate(shape))
    found = segment(model, image, options, first=first)
    assert brightness[0] == max(brightness) > min(brightness)
    np.testing.assert_array_equal(found.labels, plain)


@pytest.mark.parametrize(("dims", "axes"), [(2, "YX"), (2, "ZYX"), (3, "ZYX"), (2, "TYX")])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_segment_when_tiles_are_looked_at_then_they_cover_what_is_asked_for_and_show_the_foreground(
    oracle, dims, axes, factor
):
    shape = (4, 128, 128)[-len(axes) :]
    sample = blobs(shape=shape[-2:], n=10)
    image = Image(np.broadcast_to(sample.image.data, shape).copy(), axes)
    box = (*(slice(1, 3) for _ in shape[:-2]), slice(10, 128), slice(0, 90))
    seen = np.full(shape, 9, np.uint8)
    options = replace(OFF, tile=32, rescale="auto", object_size=16 / factor)

    def look(glimpse):
        where = (glimpse.time, *glimpse.box) if "T" in axes else glimpse.box
        assert (seen[where] == 9).all()
        seen[where] = glimpse.classes

    found = segment(oracle(dims=dims), image, options, box=box, on_tile=look)
    assert (seen[box] != 9).all()
    outside = np.ones(shape, bool)
    outside[box] = False
    assert (seen[outside] == 9).all()
    assert ((seen[box] > 0) == (found.labels > 0)).mean() > 0.97


def test_segment_when_tiles_of_classes_are_looked_at_then_they_show_the_classes():
    spec = tiny_spec(target="semantic", classes=("a", "b"), object_size=None)
    model = Model(spec, lived_in(NetConfig.from_dict(spec.net_config), 2).state_dict())
    image = blobs().image
    seen = np.zeros(image.label_shape, np.uint8)

    def look(glimpse):
        seen[glimpse.box] = glimpse.classes

    found = segment(model, image, replace(OFF, tile=32, min_size=0), on_tile=look)
    np.testing.assert_array_equal(seen, found.labels)
    assert len(np.unique(seen)) > 1


def test_segment_when_the_gpu_is_too_small_then_asks_with_the_time_for_all_that_is_left(oracle, monkeypatch):
    asked = []

    def refuse(engine, tile, n_voxels, may_use_cpu):
        may_use_cpu(1.0)
        raise UserError("refused")

    def short(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Engine, "__call__", short)
    monkeypatch.setattr(tiled, "step_down", refuse)
    movie = Image(np.random.default_rng(0).random((3, 4, 32, 32)), "TZYX")
    with pytest.raises(UserError, match="refused"):
        segment(oracle(), movie, OFF, may_use_cpu=asked.append)
    assert asked == [12.0]  # planes of all time points


@pytest.mark.parametrize("options", [PLAIN, OFF], ids=["first pass", "as it is"])
@pytest.mark.parametrize("radius", [8.0, 16.0])
def test_segment_when_it_runs_then_progress_only_grows_up_to_the_whole(oracle, options, radius):
    frames = [blobs(seed, n=5, radius=radius).image.data for seed in (0, 1)]
    fractions = []
    segment(oracle(), Image(np.stack(frames), "TYX"), replace(options, tile=32), lambda p: fractions.append(p.fraction))
    assert fractions == sorted(fractions)
    assert len(fractions) > 4
    assert fractions[-1] == 1


@pytest.mark.parametrize("options", [PLAIN, OFF], ids=["first pass", "as it is"])
def test_segment_when_cancelled_then_stops_at_the_next_tile(oracle, options, seen):
    def cancel(_):
        raise Cancelled

    with pytest.raises(Cancelled):
        segment(oracle(), blobs().image, replace(options, tile=48), report=cancel)
    assert len(seen) == 1


def test_segment_when_the_contrast_changes_then_labels_stay(oracle):
    sample = blobs()
    brighter = replace(sample.image, data=(3000 + 500 * sample.image.data).astype(np.uint16))
    found = [segment(oracle(), image, OFF).labels for image in (sample.image, brighter)]
    assert (found[0] != found[1]).mean() < 0.01
