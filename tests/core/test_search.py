"""The search: trials are kept, gone on with, given up or written down as failed; the best model is on disk."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import Budget, TrainOptions
from napari_unet.core.pipeline import search as searching
from napari_unet.core.pipeline import study as studying
from napari_unet.core.pipeline.search import hold_out, search
from napari_unet.core.pipeline.study import open_study, suggest
from napari_unet.core.store.models import load_model
from tests.core.phantoms import blobs

QUICK = TrainOptions(patch=32, batch=1, device="cpu", precision="fp32")
SAMPLES = [blobs(n, (32, 32), 3, 5.0, name=f"s{n}") for n in range(6)]
ONE = Budget(steps=1)
ANY_TIME = 1e-9
"""Seconds after which a search ends with the trial it is in."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Search among small networks only."""
    monkeypatch.setattr(studying, "BASES", (8, 16))
    monkeypatch.setattr(studying, "DEPTHS", {2: (1, 4)})


def run(folder, **changes):
    return search(SAMPLES, QUICK, folder, **({"seconds": ANY_TIME, "trial_budget": ONE} | changes))


def test_search_when_it_begins_then_tries_the_preset_and_saves_its_model(tmp_path):
    found = run(tmp_path)
    assert [(one.number, one.state) for one in found.trials] == [(0, "complete")]
    assert found.best.values == {"depth": 4, "base": 16, "block": "plain", "loss": "dice_ce", "learning_rate": 2e-3}
    saved = load_model(found.folder)
    assert saved.spec.scores == {"held-out": found.best.score}
    assert set(saved.spec.data) == {"s1", "s2", "s3", "s4"}  # not s0 and s5, which were held out
    assert found.held_out == "2 images"


def test_search_when_run_again_then_its_trials_are_kept_and_more_time_adds_others(tmp_path, monkeypatch):
    first = run(tmp_path)
    more = run(tmp_path, seconds=first.trials[0].seconds + ANY_TIME)
    assert [one.number for one in more.trials] == [0, 1]
    assert more.trials[0] == first.trials[0]
    assert more.trials[1].values != first.trials[0].values
    monkeypatch.setattr(searching, "train", None)  # nothing is trained once the time is used
    assert run(tmp_path).trials == more.trials
    assert max(one.score for one in more.trials) == more.best.score == load_model(more.folder).spec.scores["held-out"]


def test_search_when_the_user_fixed_a_loss_then_every_trial_has_it(tmp_path):
    found = search(SAMPLES, replace(QUICK, loss="ce"), tmp_path, seconds=ANY_TIME, trial_budget=ONE)
    assert found.model.spec.training["loss"] == "ce"
    assert "loss" not in found.best.values


def test_search_when_a_trial_fails_then_it_is_written_down_and_the_next_one_runs(tmp_path, monkeypatch):
    train, calls = searching.train, []

    def fail_once(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("out of memory")
        return train(*args, **kwargs)

    monkeypatch.setattr(searching, "train", fail_once)
    with pytest.raises(UserError, match="No trial ended well: out of memory"):
        run(tmp_path)
    found = run(tmp_path, seconds=1.0)
    assert (found.trials[0].state, found.trials[0].reason) == ("failed", "out of memory")
    assert found.best.number == 1


def test_search_when_every_trial_fails_then_it_gives_up(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise UserError("no", "hint")

    monkeypatch.setattr(searching, "train", fail)
    with pytest.raises(UserError, match="No trial ended well: no"):
        run(tmp_path, seconds=1e6)
    assert len(open_study(tmp_path, searching_origin(tmp_path), dims=2, seed=0).trials) == searching.MOST_FAILURES


def searching_origin(folder):
    import optuna

    name = f"sqlite:///{folder / studying.STORAGE}"
    return optuna.load_study(study_name="search", storage=name).user_attrs["origin"]


def test_search_when_the_folder_holds_another_one_then_it_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(UserError, match="search on other images"):
        search(SAMPLES[:4], QUICK, tmp_path, seconds=1.0)


def test_search_when_optuna_is_missing_then_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError) as caught:
        run(tmp_path)
    assert 'pip install "napari-unet[search]"' in caught.value.hint


def test_open_study_when_a_trial_was_killed_then_it_is_tried_again(tmp_path):
    first = open_study(tmp_path, "same", dims=2, seed=0)
    first.ask()
    killed = first.ask()
    wanted = suggest(killed, 2, {})
    again = open_study(tmp_path, "same", dims=2, seed=0)
    assert [one.state.name for one in again.trials[:2]] == ["FAIL", "FAIL"]
    asked = [suggest(again.ask(), 2, {}) for _ in range(2)]
    assert wanted in asked


def test_open_study_when_the_seed_is_the_same_then_so_are_the_proposals(tmp_path):
    def ask(name, seed):
        study = open_study(tmp_path / name, "same", dims=2, seed=seed)
        return [suggest(study.ask(), 2, {}) for _ in range(3)]

    assert ask("a", 1) == ask("b", 1)
    assert ask("c", 2)[1:] != ask("b2", 1)[1:]


class Judge:
    """A trial that is given up at its second rung."""

    def __init__(self):
        self.reported = []

    def report(self, score, rung):
        self.reported.append((score, rung))

    def should_prune(self):
        return len(self.reported) == 2


def test_ladder_when_a_trial_is_below_the_others_then_it_is_over(monkeypatch):
    monkeypatch.setattr(searching, "score", lambda model, held: 0.25)
    judge = Judge()
    ladder = searching._Ladder(judge, [], lambda: False)
    seen = []
    for fraction in (0.1, 0.3, 0.4, 0.6):
        ladder.fraction = fraction
        ladder.watch(None)
        seen.append((len(judge.reported), ladder.is_over()))
    assert seen == [(0, False), (1, False), (1, False), (2, True)]
    assert judge.reported == [(0.25, 0), (0.25, 1)]


def test_search_when_a_trial_is_given_up_then_it_does_not_win(tmp_path, monkeypatch):
    first = run(tmp_path)
    monkeypatch.setattr(searching, "CHECK_EVERY", 1)
    monkeypatch.setattr("optuna.Trial.should_prune", lambda self: True)
    more = run(tmp_path, seconds=first.trials[0].seconds + ANY_TIME, trial_budget=Budget(steps=4))
    assert [one.state for one in more.trials] == ["complete", "pruned"]
    assert more.best.number == 0


def test_hold_out_when_there_is_one_image_then_holds_out_a_part_of_it():
    teachers, held, words = hold_out([blobs(shape=(64, 64), n=8, radius=5.0)], semantic=False)
    assert len(teachers) == len(held) == 1
    assert not ((teachers[0].annotated > 0) & (held[0].annotated > 0)).any()
    assert "folds" in words


def test_hold_out_when_there_is_too_little_then_says_so():
    with pytest.raises(UserError, match="too little annotated"):
        hold_out([blobs(shape=(32, 32), n=1)], semantic=False)
