"""Optimisers and schedules: as their papers have them, and at the right moments."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

from napari_unet.core.base.catalogue import OPTIMISERS, SCHEDULES
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.optimise import (
    DECAYS,
    PLATEAU_CHECKS,
    RATES,
    Plateau,
    get_schedule,
    make_optimizer,
)
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.recipe import fine_tune_recipe
from napari_unet.core.pipeline.train import train
from napari_unet.core.store.models import initial_model
from tests.core.phantoms import blobs, tiny_recipe, tiny_spec

SPEC = tiny_spec(object_size=None)
START = initial_model(SPEC)
SAMPLE = prepare(blobs(), SPEC)


def walk(optimizer, weight, steps=3):
    for step in range(1, steps + 1):
        weight.grad = torch.tensor([0.5 * step, -1.0])
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimizer_when_it_steps_then_goes_where_torchs_own_goes(name):
    ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    decay = 0.1 * DECAYS.get(name, 1.0)
    reference = {
        "adamw": lambda: torch.optim.AdamW([theirs], lr=0.01, weight_decay=decay),
        "adam": lambda: torch.optim.Adam([theirs], lr=0.01, weight_decay=decay),
        "sgd": lambda: torch.optim.SGD([theirs], lr=0.01, momentum=0.9, nesterov=True, weight_decay=decay),
    }[name]()
    torch.testing.assert_close(walk(make_optimizer(name, [ours], 0.01, 0.1), ours), walk(reference, theirs))


def test_optimizer_when_there_is_none_of_that_name_then_names_those_there_are():
    with pytest.raises(UserError, match="magic") as caught:
        make_optimizer("magic", [], 0.1, 0.0)
    assert "sgd" in caught.value.hint


def test_recipe_when_the_optimizer_is_sgd_then_only_the_automatic_rate_is_another():
    def rate(**options):
        return fine_tune_recipe(TrainOptions(**options), NetConfig(), "mri", "quick").learning_rate

    assert rate(optimizer="sgd") == RATES["sgd"] * rate()
    assert rate(optimizer="sgd", learning_rate=0.05) == 0.05


@pytest.mark.parametrize(
    ("name", "factors"), [("linear", [0.02, 0.5, 1, 1, 0.5, 0]), ("plateau", [0.02, 0.5, 1, 1, 1, 1])]
)
def test_schedule_when_the_training_goes_on_then_warms_up_stays_and_falls_if_it_does(name, factors):
    schedule = get_schedule(name)
    assert [schedule(f, 0.1, 0.6) for f in (0.0, 0.05, 0.1, 0.59, 0.8, 1.0)] == pytest.approx(factors)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("cosine", lambda optimizer, n: lr_scheduler.CosineAnnealingLR(optimizer, n)),
        ("one-cycle", lambda optimizer, n: lr_scheduler.OneCycleLR(optimizer, 1.0, n + 1, final_div_factor=400)),
    ],
)
def test_schedule_when_compared_with_torchs_then_is_equal(name, oracle):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs, wanted = oracle(optimizer, 1000), []
    for _ in range(1000):
        wanted.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    schedule = get_schedule(name)
    # torch's cycle turns one step earlier.
    assert [schedule(step / 1000, 0.0, 0.6) for step in range(1000)] == pytest.approx(wanted, abs=6e-3)


@given(name=st.sampled_from(list(SCHEDULES)), fraction=st.floats(0, 1), warmup=st.floats(0, 0.5))
def test_schedule_when_asked_anywhere_then_stays_within_0_and_1_and_does_not_jump(name, fraction, warmup):
    schedule = get_schedule(name)
    rates = [schedule(min(1.0, fraction + step), warmup, 0.6) for step in (0.0, 1e-9)]
    assert 0 <= rates[0] <= 1
    assert abs(rates[0] - rates[1]) < 1e-3 or warmup < 1e-5


def after(values, *, scores=False):
    state = Plateau()
    for value in values:
        state = state.seen(0.0 if scores else value, value if scores else None)
    return state


@pytest.mark.parametrize(
    ("losses", "factor"),
    [
        ([1.0, 0.9, 0.8, 0.7, 0.6], 1.0),
        ([1.0] + [1.0] * PLATEAU_CHECKS, 0.5),
        ([1.0] + [0.995] * PLATEAU_CHECKS, 0.5),
        ([1.0] + [1.0] * (PLATEAU_CHECKS - 1) + [0.9], 1.0),
        ([1.0] + [1.0] * 2 * PLATEAU_CHECKS, 0.25),
    ],
    ids=["falls", "stays", "hardly falls", "falls in time", "stays for long"],
)
def test_plateau_when_the_loss_stops_falling_then_the_rate_is_halved(losses, factor):
    assert after(losses).factor == factor


def test_plateau_when_scores_rise_then_the_loss_does_not_matter():
    assert after([0.1, 0.2, 0.3, 0.4, 0.5], scores=True) == Plateau(1.0, -0.5, 0)
    assert after([0.5] * (1 + PLATEAU_CHECKS), scores=True).factor == 0.5


def test_plateau_when_a_loss_is_not_a_number_then_it_is_no_progress():
    assert after([float("nan")]) == Plateau(1.0, inf, 1)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_train_when_the_rate_is_the_automatic_one_then_every_optimizer_learns(name):
    recipe = tiny_recipe(steps=60, optimizer=name, learning_rate=2e-3 * RATES.get(name, 1.0))
    history = train(START, [SAMPLE], recipe).history
    assert history[-1].loss < 0.8 * history[0].loss


def test_train_when_the_validation_stays_then_a_plateau_makes_smaller_steps():
    recipe = tiny_recipe(steps=PLATEAU_CHECKS + 3, schedule="plateau", warmup=0.0, check_every=1, patch=(16, 16))
    flat = train(START, [SAMPLE], recipe, rate=lambda _: 0.5).model
    watched = train(START, [SAMPLE], recipe, watch=lambda _: 0.5).model
    linear = train(START, [SAMPLE], replace(recipe, schedule="linear", decay_from=1.0), watch=lambda _: 0.5).model
    assert torch.equal(watched.weights["head.weight"], linear.weights["head.weight"])  # what is watched decides nothing
    assert not torch.equal(flat.weights["head.weight"], linear.weights["head.weight"])
