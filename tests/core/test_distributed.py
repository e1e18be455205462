"""Training in several processes: two real ones on the CPU make what one makes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from napari_unet.core.base.device import Device
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.world import World, world_around
from napari_unet.core.pipeline import distributed
from napari_unet.core.pipeline.distributed import from_first, gather, joined, share_of, together, world
from tests.core import worker

SECONDS = 300


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Run all trainings of `worker` in two processes at once, and give what each of them found."""
    folder = tmp_path_factory.mktemp("pair")
    names = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    both = [worker.start(folder, "all", RANK=str(rank), LOCAL_RANK=str(rank), **names) for rank in range(2)]
    try:
        assert [one.wait(SECONDS) for one in both] == [0, 0]
    finally:
        for one in both:
            one.kill()
            one.wait()
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(2)]


@pytest.mark.parametrize("name", worker.SAME)
def test_train_when_two_processes_share_batches_then_the_curve_is_that_of_one(pair, name):
    one = worker.report(name) if name != "odd batch" else worker.learn(worker.task("group", batch=4))
    wanted = one["loss"] if isinstance(one, dict) else [row.loss for row in one.history]
    np.testing.assert_allclose(pair[0][name]["loss"], wanted, rtol=1e-5)


def test_train_when_norms_count_in_two_processes_then_the_score_is_nearly_that_of_one(pair):
    one = worker.report("batch")["score"]
    assert one > 0.8
    assert pair[0]["batch"]["score"] == pytest.approx(one, abs=0.02)


@pytest.mark.parametrize("name", [*worker.SAME, *worker.ALIKE])
def test_train_when_it_ends_then_both_processes_have_the_same_model(pair, name):
    assert pair[0][name]["weights"] == pair[1][name]["weights"]


def test_train_when_the_first_process_stops_then_both_end_and_only_it_has_validated(pair):
    assert pair[0]["answers"] == [3, True, 1.0, 3]
    assert pair[1]["answers"] == [3, True, 1.0, 0]


def test_together_when_one_process_fails_then_both_hear_of_it(pair):
    assert pair[0]["failures"] == pair[1]["failures"] == ["process 0", "process 0", "process 1"]


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, World()),
        ({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node0"}, World(1, 4, 1)),
        ({"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "node0"}, World(3, 4, 0)),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "node0"}, World()),
        ({"RANK": "1", "WORLD_SIZE": "4"}, World()),
        ({"RANK": "first", "WORLD_SIZE": "4", "MASTER_ADDR": "node0"}, World()),
    ],
    ids=["none", "torchrun", "no local rank", "alone", "another launcher", "no number"],
)
def test_world_when_the_environment_is_read_then_is_what_torchrun_set(environment, found):
    assert world_around(environment) == found


def test_alone_when_nothing_is_joined_then_nothing_is_exchanged():
    logits = torch.rand(3, 1, 4, 4)
    with joined(World()):
        assert world() == World()
        assert gather(logits) is logits
        assert share_of(5) == slice(0, 5)
        assert from_first(lambda: 1) + together(lambda: 2) == 3


def test_share_when_there_are_several_then_they_cover_the_batch_in_order(monkeypatch):
    parts = []
    for rank in range(3):
        monkeypatch.setattr(distributed, "world", lambda rank=rank: World(rank, 3))
        parts += range(12)[share_of(12)]
    assert parts == list(range(12))


@pytest.mark.parametrize(
    ("first", "n_gpus", "words"), [("cpu", 1, "another one on cuda"), ("cuda", 1, "than the 1 GPUs")]
)
def test_take_device_when_the_machines_do_not_fit_then_says_so(monkeypatch, first, n_gpus, words):
    monkeypatch.setattr(distributed, "choose_device", lambda _: Device("cuda", ""))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    with pytest.raises(UserError, match=words):
        distributed._take_device("auto", first, 1)
