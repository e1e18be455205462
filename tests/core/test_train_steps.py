"""One step: accumulated, deeply supervised or in half precision, it goes where the plain one goes."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from napari_unet.core.base.errors import UserError
from napari_unet.core.nets import build
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import run as module
from napari_unet.core.pipeline.criterion import criterion
from napari_unet.core.pipeline.deep import coarser, deep_loss
from napari_unet.core.pipeline.learner import Learner, freeze_norms
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.sampler import Batch
from napari_unet.core.pipeline.train import train
from napari_unet.core.store.models import initial_model
from napari_unet.core.targets import TARGETS
from tests.core.phantoms import blobs, tiny_recipe, tiny_spec

OFF = torch.amp.GradScaler("cpu", enabled=False)


def squared(logits, batch):
    return (logits - batch.target).square().mean()


def some_batch(n=2, seed=0, size=8):
    draw = torch.Generator().manual_seed(seed)
    image, target = (torch.rand(n, 1, size, size, generator=draw) for _ in range(2))
    return Batch(image, target, torch.ones(n, 2, size, size))


def learner_of(network, loss=squared, **changes):
    parameters = list(network.parameters())
    return Learner(network, parameters, torch.optim.SGD(parameters, lr=0.1), loss, **({"scaler": OFF} | changes))


def joined(batches):
    return Batch(*(torch.cat([getattr(b, name) for b in batches]) for name in ("image", "target", "weight")))


# --- accumulation ---


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_learn_when_batches_are_accumulated_then_is_one_step_of_a_large_batch(norm):
    torch.manual_seed(0)
    network = build("unet", NetConfig(base=4, depth=1, norm=norm)).train()
    freeze_norms(network)
    other = copy.deepcopy(network)
    batches = [some_batch(seed=seed) for seed in range(3)]
    loss = learner_of(network, clip=0.1, accumulate=3).learn(iter(batches).__next__)
    whole = learner_of(other, clip=0.1).learn(lambda: joined(batches))
    assert loss == pytest.approx(whole, rel=1e-5)
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_learn_when_one_of_the_accumulated_batches_is_not_a_number_then_nothing_changes():
    network = nn.Conv2d(1, 1, 1)
    before = copy.deepcopy(network.state_dict())
    bad = some_batch()
    bad.image[0, 0, 0, 0] = torch.nan
    assert learner_of(network, accumulate=2).learn(iter([some_batch(), bad]).__next__) is None
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_train_when_batches_are_accumulated_then_a_step_draws_that_many(monkeypatch):
    spec = tiny_spec(object_size=None)
    drawn = itertools.count()
    usual = module.Sampler.draw
    monkeypatch.setattr(module.Sampler, "draw", lambda sampler: (next(drawn), usual(sampler))[1])
    found = train(initial_model(spec), [prepare(blobs(), spec)], tiny_recipe(3, patch=(16, 16), accumulate=4))
    assert found.steps == 3
    assert next(drawn) == 12


# --- deep supervision ---


def test_deep_when_there_is_one_output_then_is_its_loss():
    batch, logits = some_batch(), torch.randn(2, 1, 8, 8)
    assert deep_loss(squared, [logits], batch) == squared(logits, batch)


def test_deep_when_there_are_three_then_each_weighs_half_of_the_one_before():
    batch = some_batch()
    sizes = [(8, 8), (4, 4), (4, 2)]
    losses = iter([7.0, 70.0, 700.0])
    found = deep_loss(lambda *_: torch.tensor(next(losses)), [torch.zeros(2, 1, *size) for size in sizes], batch)
    assert float(found) == pytest.approx((4 * 7 + 2 * 70 + 700) / 7)


@pytest.mark.parametrize("dims", [2, 3])
def test_deep_when_outputs_are_right_at_every_level_then_the_loss_is_0(dims):
    """Distances and vectors are kept as they are, not averaged: a constant field stays itself."""
    shape = (1, 2 + dims, *(8,) * dims)
    target = torch.zeros(shape)
    target[:, :, :4] = 1
    weight = torch.ones(1, 2, *(8,) * dims)
    weight[:, :, 6:] = 0
    batch = Batch(torch.zeros(1, 1, *(8,) * dims), target, weight)
    full = torch.cat((100 * (target[:, :1] - 0.5), target[:, 1:]), 1)
    half = full[(slice(None), slice(None), *(slice(None, None, 2),) * dims)]
    loss = criterion(TARGETS["instances"].terms(dims, 0), "ce")
    assert float(deep_loss(loss, [full, half], batch)) == pytest.approx(0, abs=1e-5)


def test_coarser_when_taken_then_each_voxel_is_one_of_the_middle():
    batch = some_batch(n=1)
    found = coarser(batch, torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 2))
    assert torch.equal(found.target, batch.target[..., 2::4])
    assert found.weight.shape == (1, 2, 8, 2)


def test_coarser_when_the_network_is_unpadded_then_the_middle_is_taken_first():
    batch = some_batch(n=1, size=12)
    found = coarser(batch, torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4))
    assert torch.equal(found.target, batch.target[..., 3:10:2, 3:10:2])


def test_coarser_when_sizes_do_not_fit_then_says_what_to_do():
    with pytest.raises(UserError, match="3 voxels") as caught:
        coarser(some_batch(), torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 3, 3))
    assert "switch it off" in caught.value.hint


def test_train_when_supervised_deeply_then_the_coarser_heads_learn_too():
    config = NetConfig(out_channels=4, base=4, depth=2, deep_supervision=True)
    spec = tiny_spec(net_config=config.to_dict(), object_size=None)
    start = initial_model(spec)
    plain = set(initial_model(tiny_spec(object_size=None)).weights)
    found = train(start, [prepare(blobs(), spec)], tiny_recipe(3, patch=(16, 16)))
    extra = set(start.weights) - plain
    assert extra
    assert all(not torch.equal(found.model.weights[name], start.weights[name]) for name in extra)


# --- precision ---


def test_train_when_numbers_are_float16_then_gradients_do_not_vanish(monkeypatch):
    spec = tiny_spec(object_size=None)
    monkeypatch.setattr(module, "choose_dtype", lambda *_: torch.float16)
    found = train(initial_model(spec), [prepare(blobs(), spec)], tiny_recipe(20, patch=(16, 16)))
    assert found.history[-1].loss < found.history[0].loss
    assert all(bool(torch.isfinite(value).all()) for value in found.model.weights.values())


def test_learn_when_a_float16_gradient_overflows_then_the_step_is_skipped_and_the_scale_halved():
    network = nn.Conv2d(1, 1, 1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    learner = learner_of(network, lambda logits, batch: 1e38 * logits.mean(), scaler=scaler)
    before = copy.deepcopy(network.state_dict())
    assert learner.learn(some_batch) is None
    assert scaler.get_scale() == 2.0**9
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
