"""From scratch: the model's description follows from the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import SegmentOptions, TrainOptions
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import scratch
from napari_unet.core.pipeline.plan import Plan
from napari_unet.core.pipeline.scratch import describe_data, train_new
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.store.models import load_model, save_model
from napari_unet.core.store.training_set import Sample
from tests.core.phantoms import blobs

QUICK = TrainOptions(budget="2steps", patch=32, batch=2, device="cpu", precision="fp32")
SEMANTIC = replace(QUICK, target="semantic")
LABELS = np.array([[0, 1, 1, 2]] * 4)


def sample(shape, axes, name="s", **image):
    data = np.random.default_rng(0).random(shape).astype(np.float32)
    return Sample(Image(data, axes, name=name, **image), LABELS, name=name)


GRAY = sample((4, 4), "YX")
COLOUR = sample((3, 4, 4), "CYX", rgb=True)
CHANNELS = sample((2, 4, 4), "CYX")
STACK = blobs(shape=(8, 24, 24), n=6, radius=3.0, voxel_size=(2.0, 0.5, 0.5))


@pytest.mark.parametrize(
    ("samples", "channels", "colour"),
    [([GRAY], 1, "luminance"), ([COLOUR], 3, "repeat"), ([GRAY, COLOUR], 3, "repeat"), ([CHANNELS], 2, "exact")],
    ids=["gray", "colour", "both", "channels"],
)
def test_describe_when_images_have_colours_or_channels_then_the_model_takes_them(samples, channels, colour):
    spec = describe_data(samples, QUICK, "new")
    assert (spec.channels, spec.colour, spec.dims) == (channels, colour, 2)
    assert spec.net_config["in_channels"] == channels
    assert spec.net_config["out_channels"] == 4


def test_describe_when_images_are_stacks_then_the_model_knows_their_voxels_and_objects():
    spec = describe_data([STACK], QUICK, "new")
    assert (spec.dims, spec.net_config["dims"], spec.net_config["out_channels"]) == (3, 3, 5)
    assert spec.voxel_size == (2.0, 0.5, 0.5)
    assert spec.object_size == pytest.approx(6, rel=0.3)  # in voxels of the finest axis
    assert spec.data == {"blobs": STACK.digest()}


def test_describe_when_one_voxel_size_is_unknown_then_the_model_knows_none():
    unknown = replace(STACK, image=replace(STACK.image, voxel_size=None))
    assert describe_data([STACK, unknown], QUICK, "new").voxel_size is None


def test_describe_when_labels_are_classes_then_the_model_names_them():
    spec = describe_data([GRAY], SEMANTIC, "new")
    assert spec.classes == ("class 1", "class 2")
    assert spec.net_config["out_channels"] == 3
    assert spec.object_size is None


@pytest.mark.parametrize(("suffix", "kind"), [(".nii.gz", "zscore"), (".nii", "zscore"), (".tif", "percentile")])
def test_describe_when_images_come_from_a_scanner_then_are_normalised_as_such(suffix, kind):
    found = describe_data([replace(GRAY, image=replace(GRAY.image, source=f"a/b{suffix}"))], QUICK, "new")
    assert found.normalisation["kind"] == kind


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        ([GRAY, STACK], QUICK, r"\[2, 3\] dimensions"),
        ([GRAY, CHANNELS], QUICK, r"\[1, 2\] channels"),
        ([GRAY], replace(QUICK, dims=3), "3D model was asked for"),
        ([GRAY], replace(QUICK, net="unet3d-2016"), "is for 3D"),
        ([replace(GRAY, labels=LABELS * 200)], SEMANTIC, "go up to 400"),
        ([replace(GRAY, labels=LABELS * 0)], SEMANTIC, "go up to 0"),
        ([], QUICK, "nothing to learn from"),
        ([replace(GRAY, annotated=np.zeros((4, 4), np.uint8))], QUICK, "nothing to learn from"),
    ],
)
def test_train_new_when_data_or_options_do_not_fit_then_says_why(samples, options, words):
    with pytest.raises(UserError, match=words) as caught:
        train_new(samples, options, "new")
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["instances", "semantic", "3D"])
def test_train_new_when_done_then_the_model_can_be_saved_loaded_and_used(tmp_path, kind):
    taught = STACK if kind == "3D" else blobs(shape=(48, 48), n=5)
    options = QUICK
    if kind == "semantic":
        taught, options = replace(taught, labels=np.minimum(taught.labels, 1)), SEMANTIC
    if kind == "3D":
        options = replace(QUICK, patch=16, batch=1)
    model, result = train_new([taught], options, "new")
    assert result.steps == model.spec.training["steps"] == 2
    save_model(model, tmp_path / "new")
    loaded = load_model(tmp_path / "new")
    found = segment(loaded, taught.image, SegmentOptions(device="cpu", precision="fp32"))
    assert found.labels.shape == taught.labels.shape


def test_train_new_when_the_seed_is_the_same_then_so_is_the_model():
    weights = [train_new([blobs(shape=(48, 48), n=5)], replace(QUICK, seed=s), "new")[0].weights for s in (1, 1, 2)]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert any(not torch.equal(weights[0][k], weights[2][k]) for k in weights[0])


def test_train_new_when_there_are_enough_images_then_some_are_held_out(monkeypatch):
    monkeypatch.setattr(scratch, "ENOUGH_TO_VALIDATE", 3)
    given = []
    prepare = scratch.prepare
    monkeypatch.setattr(
        scratch, "prepare", lambda s, spec, **given_too: given.append(s.name) or prepare(s, spec, **given_too)
    )
    train_new([blobs(seed, (32, 32), 2, name=f"s{seed}") for seed in range(4)], QUICK, "new")
    assert given == ["s1", "s2", "s3"]


def test_train_new_when_it_runs_then_progress_only_grows():
    fractions = []
    train_new([blobs(shape=(32, 32), n=2)], QUICK, "new", lambda p: fractions.append(p.fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.95


def test_train_new_when_stopped_then_keeps_what_was_learned():
    _, result = train_new([blobs(shape=(32, 32), n=2)], replace(QUICK, budget="50steps"), "new", stop=lambda: True)
    assert result.stopped
    assert result.steps == 1


@pytest.mark.parametrize("net", ["attention-unet", "res-unet"])
def test_describe_when_a_network_is_chosen_then_it_has_the_widths_of_the_fast_preset(net):
    spec = describe_data([GRAY], replace(QUICK, net=net), "new")
    assert (spec.net, spec.net_config["base"], spec.net_config["depth"]) == (net, 16, 4)


def test_describe_when_norm_and_deep_supervision_are_chosen_then_the_network_has_them():
    config = describe_data([GRAY], replace(QUICK, norm="group", deep_supervision="on"), "new").net_config
    assert (config["norm"], config["deep_supervision"]) == ("group", True)


def test_train_new_when_planned_then_learns_with_the_planned_network_patch_and_batch(monkeypatch):
    planned = Plan("unet", NetConfig(base=4, depth=1, out_channels=4), (24, 40), 3, None)
    monkeypatch.setattr(scratch, "make_plan", lambda samples, options: planned)
    model, _ = train_new([blobs(shape=(48, 48), n=5)], replace(QUICK, net="plan"), "new")
    assert model.spec.net_config == planned.config.to_dict()
    assert (model.spec.training["patch"], model.spec.training["batch"]) == ([24, 40], 3)


def test_train_new_when_weights_are_chosen_then_samples_are_prepared_with_them(monkeypatch):
    given = []
    prepare = scratch.prepare
    monkeypatch.setattr(scratch, "prepare", lambda s, spec, **kinds: given.append(kinds) or prepare(s, spec, **kinds))
    train_new([blobs(shape=(32, 32), n=2)], replace(QUICK, weighting="border"), "new")
    assert given == [{"weighting": "border"}]


def test_train_new_when_the_start_does_not_fit_the_chosen_network_then_says_why():
    start, _ = train_new([blobs(shape=(32, 32), n=2)], replace(QUICK, budget="1steps"), "start")
    with pytest.raises(UserError, match="cannot start from a 'unet'"):
        train_new([blobs(shape=(32, 32), n=2)], replace(QUICK, net="res-unet"), "new", start=start)
