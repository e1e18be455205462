"""A plan keeps its promises whatever the data, and follows the published rules where they are known."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.graph import saved_tensors_hooks

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.tiles import round_up
from napari_unet.core.nets import build
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.cost import step_seconds, training_bytes
from napari_unet.core.pipeline.fingerprint import look_at
from napari_unet.core.pipeline.plan import make_plan
from napari_unet.core.pipeline.topology import SMALLEST_MAP, context, target_voxel_size, topology
from napari_unet.core.store.training_set import Sample, load_samples
from tests.core.phantoms import blobs

GIB = 2**30
CPU = TrainOptions(device="cpu")
CLASSES = replace(CPU, target="semantic")


def empty(shape, voxel_size=None, highest=1):
    """Give a sample of any size that takes no memory."""
    image = Image(np.broadcast_to(np.float32(0), shape), "ZYX"[-len(shape) :], voxel_size)
    return Sample(image, np.broadcast_to(np.uint8(highest), shape))


@st.composite
def data_sets(draw):
    dims = draw(st.sampled_from((2, 3)))
    longest = 700 if dims == 2 else 120
    shapes = st.tuples(*[st.integers(2, longest)] * dims)
    coarse = draw(st.sampled_from((1.0, 1.5, 2.5, 5.0)))
    voxel_size = draw(st.sampled_from((None, (coarse, 1.0, 1.0)[-dims:])))
    return [empty(shape, voxel_size) for shape in draw(st.lists(shapes, min_size=1, max_size=3))]


@settings(max_examples=15, deadline=None)
@given(data_sets(), st.floats(0.5, 40), st.sampled_from(("semantic", "instances")))
def test_make_plan_when_given_any_data_then_patch_and_memory_are_within_bounds(samples, free, target):
    plan = make_plan(samples, replace(CPU, target=target), int(free * GIB))
    typical = np.median([one.image.spatial_shape for one in samples], axis=0).astype(int)
    for edge, size, multiple in zip(plan.patch, typical, plan.config.multiple(), strict=True):
        assert edge % multiple == 0
        assert edge <= round_up(max(int(size), 2 * SMALLEST_MAP), multiple)
    assert plan.memory == training_bytes(plan.net, plan.config, plan.patch, plan.batch) <= free * GIB
    assert plan.batch >= 2
    with torch.device("meta"):
        out = build(plan.net, plan.config)(torch.empty(2, 1, *plan.patch))
    assert out.shape == (2, plan.config.out_channels, *plan.patch)


@given(
    st.lists(st.sampled_from((1.0, 1.4, 2.0, 3.0, 6.0)), min_size=3, max_size=3),
    st.lists(st.integers(8, 200), min_size=3, max_size=3),
)
def test_topology_when_given_any_voxels_then_maps_stay_large_and_voxels_become_cubes(sampling, edges):
    strides, kernels = topology(sampling, edges, 9)
    voxels, maps = np.array(sampling), np.array(edges)
    seen = np.ones(3, int)
    for stride, kernel in zip(strides, kernels, strict=True):
        pooled = np.array(stride) == 2
        assert (maps[pooled] >= 2 * SMALLEST_MAP).all()
        assert voxels[pooled].max() < 2 * voxels[pooled].min()
        assert (np.array(kernel) >= seen).all()
        assert set(np.array(kernel)[voxels < 2 * voxels.min()]) == {3}
        seen = np.array(kernel)
        voxels[pooled] *= 2
        maps = -(-maps // np.array(stride))


def test_topology_when_planes_are_far_apart_then_they_are_pooled_later_and_convolved_in_the_plane():
    strides, kernels = topology((5.0, 1.0, 1.0), (20, 256, 256), 4)
    assert strides == ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))[: len(strides)]
    assert kernels[:3] == ((1, 3, 3), (1, 3, 3), (3, 3, 3))


def test_make_plan_when_voxels_are_long_along_z_then_says_so_and_trains_that_network():
    plan = make_plan([empty((20, 256, 256), (5.0, 1.0, 1.0))], CLASSES, 16 * GIB)
    assert plan.config.strides[:2] == ((1, 2, 2), (1, 2, 2))
    assert plan.config.kernels[:2] == ((1, 3, 3), (1, 3, 3))
    assert any("5.0 times longer along Z" in line for line in plan.words)


def test_make_plan_when_data_are_as_the_hippocampus_then_patch_and_poolings_are_the_published_ones():
    # F. Isensee et al., Nat Methods 2021, supplement: median shape 36 x 50 x 35, patch 40 x 56 x 40, 3 poolings
    plan = make_plan([empty((36, 50, 35), (1.0, 1.0, 1.0), highest=2)] * 20, CLASSES, 16 * GIB)
    assert (plan.patch, plan.config.depth, plan.config.strides) == ((40, 56, 40), 3, ())
    assert plan.config.out_channels == 3


@pytest.mark.parametrize(
    ("sizes", "shape", "wanted"),
    [
        ([(1, 1, 1), (3, 1, 1)], (50, 50, 50), (2, 1, 1)),
        ([(4, 1, 1), (6, 1, 1)], (10, 100, 100), (4.2, 1, 1)),  # the 10th percentile, linear between two
        ([(4, 1, 1), (6, 1, 1)], (90, 100, 100), (5, 1, 1)),  # many voxels along Z: the median
        ([(0.5, 1, 1), (9, 1, 1), (9, 1, 1)], (10, 100, 100), (2.2, 1, 1)),
        ([(0.1, 1, 1), (9, 1, 1), (9, 1, 1), (0.1, 1, 1), (9, 1, 1)], (10, 100, 100), (1, 1, 1)),  # never finer
        ([(4, 1, 1), None], (10, 100, 100), None),
    ],
)
def test_target_voxel_size_when_axes_differ_then_is_the_median_or_the_finest_tenth(sizes, shape, wanted):
    found = target_voxel_size(look_at([empty(shape, size) for size in sizes]))
    assert found == (None if wanted is None else pytest.approx(wanted))


def test_make_plan_when_objects_are_known_then_the_patch_holds_several_and_the_network_sees_them():
    sample = blobs(shape=(400, 400), n=60, radius=12.0)
    plan = make_plan([sample], CPU, 16 * GIB)
    diameter = look_at([sample]).object_size
    assert min(plan.patch) >= 3 * diameter
    assert 2 * min(context(plan.config)) >= 10 * diameter
    shallower = replace(plan.config, depth=plan.config.depth - 1)
    assert 2 * min(context(shallower)) < 10 * diameter


def test_context_when_compared_with_gradients_then_is_what_the_network_sees():
    config = NetConfig(base=1, depth=2, norm="none")
    net = build("unet", config)
    torch.nn.init.ones_(net.head.weight)
    for parameter in net.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    image = torch.rand(1, 1, 96, 96, requires_grad=True)
    net(image)[0, 0, 48, 48].backward()
    seen = torch.nonzero(image.grad[0, 0].abs().sum(0))[:, 0]
    reach = max(48 - int(seen.min()), int(seen.max()) - 48)
    # The pooling grid adds up to one of its blocks.
    assert context(config)[0] - 4 <= reach <= context(config)[0] + 4


def test_make_plan_when_the_user_fixed_something_then_it_is_kept():
    options = replace(CLASSES, patch=64, batch=3, norm="group", deep_supervision="on")
    plan = make_plan([empty((300, 300))], options, 16 * GIB)
    assert (plan.patch, plan.batch, plan.config.norm, plan.config.deep_supervision) == ((64, 64), 3, "group", True)


def test_make_plan_when_memory_is_short_then_network_and_patch_shrink_and_at_last_it_refuses():
    samples = [empty((120, 120, 120), (1.0, 1.0, 1.0))]
    plenty, little = (make_plan(samples, CLASSES, int(gib * GIB)) for gib in (16, 0.4))
    assert prod(little.patch) < prod(plenty.patch)
    assert little.config.base <= plenty.config.base
    with pytest.raises(UserError, match="Training needs") as caught:
        make_plan(samples, CLASSES, 2**20)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("samples", "words"),
    [([], "nothing to learn"), ([empty((9, 9)), empty((9, 9, 9))], r"\[2, 3\] dimensions")],
)
def test_make_plan_when_the_samples_cannot_be_used_then_says_why(samples, words):
    with pytest.raises(UserError, match=words):
        make_plan(samples, CPU, GIB)


def test_training_bytes_when_compared_with_a_real_forward_pass_then_counts_what_it_keeps():
    config, shape = NetConfig(base=4, depth=2), (2, 1, 32, 48)
    network = build("unet", config).train()
    own, kept = {one.data_ptr() for one in network.parameters()}, {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.rand(shape))
    real = sum(one.untyped_storage().nbytes() for pointer, one in kept.items() if pointer not in own)
    one, two = (training_bytes("unet", config, (32, 48), batch) for batch in (1, 2))
    # Means and deviations of the norms do not grow with the patch; they are few.
    assert (two - one) * 2 / 1.35 == pytest.approx(real, rel=0.02)


def test_step_seconds_when_the_batch_doubles_then_so_does_the_estimate(monkeypatch):
    from napari_unet.core.pipeline import cost

    monkeypatch.setattr(cost, "_step", lambda network, image: 0.5)
    config = NetConfig(base=4, depth=1)
    assert [step_seconds("unet", config, (8, 8), batch, "cpu") for batch in (2, 4)] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("name", "options", "channels", "dims", "n_in"),
    [
        ("dsb2018", CPU, (), 2, 3),
        ("hippocampus", CLASSES, (), 3, 1),
        ("axon_sem", CLASSES, (), 2, 1),
        ("go_nuclear_3d", CPU, (), 3, 1),
        ("ms_lesions", CLASSES, ("_FLAIR", "_T1"), 3, 2),
    ],
)
def test_make_plan_when_given_real_data_then_every_decision_has_a_reason(
    shared_data, name, options, channels, dims, n_in
):
    samples = load_samples(shared_data / name, limit=40 if dims == 2 else 2, channels=channels)
    plan = make_plan(samples, options, 8 * GIB)
    assert (plan.config.dims, plan.config.in_channels) == (dims, n_in)
    for start in ("Data:", "Voxel size:", "Patch:", "Network:", "Channels:", "Normalisation:", "Batch:", "Memory:"):
        assert sum(line.startswith(start) for line in plan.words) == 1
