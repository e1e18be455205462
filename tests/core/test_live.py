"""Learning while the user corrects: what is new counts at the next step, and only a model that is no worse is kept."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.pipeline import live as module
from napari_unet.core.pipeline import train as training
from napari_unet.core.pipeline.late import LateJudge, in_places, late_objects, late_part
from napari_unet.core.pipeline.live import live
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.split import count_objects
from napari_unet.core.pipeline.train import train
from napari_unet.core.store.models import Model, initial_model
from napari_unet.core.store.training_set import Sample
from tests.core.phantoms import blobs, tiny_recipe, tiny_spec

SPEC = tiny_spec(object_size=None)
START = initial_model(SPEC)
QUICK = TrainOptions(budget="2steps", patch=16, batch=1, device="cpu", precision="fp32")
WHOLE = blobs(shape=(64, 64), n=6)
IDS = [int(one) for one in np.unique(WHOLE.labels) if one]


def only(*ids, sample=WHOLE):
    """Annotate some objects of a sample."""
    return replace(sample, annotated=np.isin(sample.labels, ids).astype(np.uint8))


def broken(model):
    weights = {k: v.clone() for k, v in model.weights.items()}
    weights["head.bias"] -= 100
    return Model(model.spec, weights)


class User:
    """Hand in corrections, each after so many looks, then stop."""

    def __init__(self, *batches, looks=3):
        self.batches, self.looks, self.n = list(batches), looks, 0
        self.is_stopped = False

    def watch(self, seconds):
        self.n += 1
        if self.n % self.looks == 1 and self.batches:
            return self.batches.pop(0)
        self.is_stopped = not self.batches and self.n % self.looks == 0
        return None

    def stop(self):
        return self.is_stopped


@pytest.fixture
def steps(monkeypatch):
    """Replace the training by one step after another that changes nothing; gives the prepared samples of each."""
    seen = []

    def fake(model, prepared, recipe, *, report, stop, checkpoint, refresh, publish):
        while not stop():
            seen.append(prepared)
            report(module.Progress(len(seen), 10, payload=len(seen)))
            publish(model)
            prepared = refresh() or prepared
        return training.TrainResult(model, (), True, None, len(seen), 0.0)

    monkeypatch.setattr(module, "train", fake)
    monkeypatch.setattr(module, "refit", lambda *_, **__: None)
    monkeypatch.setattr(module, "recall", lambda *_, **__: [])
    monkeypatch.setattr(module, "tune", lambda model, *_: model)
    return seen


# --- the two hooks of a training ---


def test_train_when_samples_are_refreshed_then_the_next_step_learns_from_them():
    sample, dark = prepare(WHOLE, SPEC), prepare(replace(WHOLE, labels=np.zeros_like(WHOLE.labels)), SPEC)
    fresh = iter([None, [dark]])
    drawn = []
    usual = training.Run.step

    def step(run):
        drawn.append(run.sampler.samples[0] is dark)
        return usual(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Run, "step", step)
        train(START, [sample], tiny_recipe(4, patch=(16, 16), batch=1), refresh=lambda: next(fresh, None))
    assert drawn == [False, False, True, True]


def test_train_when_refreshed_with_the_same_samples_then_weights_are_as_without():
    sample = prepare(WHOLE, SPEC)
    recipe = tiny_recipe(4, patch=(16, 16), batch=2, augment="microscopy")
    one = train(START, [sample], recipe).model
    other = train(START, [sample], recipe, refresh=lambda: [sample], publish=lambda model: None).model
    assert all(torch.equal(one.weights[k], other.weights[k]) for k in one.weights)


def test_train_when_published_then_after_the_first_steps_and_with_the_running_mean(monkeypatch):
    shown = []
    monkeypatch.setattr(training, "FIRST_PUBLISHED", 2)
    recipe = tiny_recipe(4, patch=(16, 16), batch=1)
    found = train(START, [prepare(WHOLE, SPEC)], recipe, publish=shown.append, publish_seconds=0.0)
    assert len(shown) == 3
    assert all(torch.equal(shown[-1].weights[k], found.model.weights[k]) for k in found.model.weights)
    shown.clear()
    train(START, [prepare(WHOLE, SPEC)], recipe, publish=shown.append, publish_seconds=1e9)
    assert len(shown) == 1


def test_train_when_publishing_takes_long_then_most_of_the_time_is_left_to_the_steps(monkeypatch):
    now, steps, shown = [0.0], [], []
    monkeypatch.setattr(training, "FIRST_PUBLISHED", 2)
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def step(progress):
        steps.append(progress)
        now[0] += 1.0

    def publish(model):
        shown.append(len(steps))
        now[0] += 2.0

    recipe = tiny_recipe(15, patch=(16, 16), batch=1)
    train(START, [prepare(WHOLE, SPEC)], recipe, report=step, publish=publish, publish_seconds=1.0)
    assert shown == [2, 8, 14]


def test_train_when_stopped_then_nothing_is_asked_or_published_any_more():
    calls = []
    stops = itertools.chain([False, True])
    train(
        START,
        [prepare(WHOLE, SPEC)],
        tiny_recipe(9, patch=(16, 16), batch=1),
        stop=lambda: next(stops),
        refresh=lambda: calls.append("refresh"),
        publish=lambda model: calls.append("publish"),
    )
    assert calls == ["refresh"]


# --- what comes late ---


def test_late_when_an_object_is_new_then_it_alone_is_left():
    late = late_part(only(*IDS[:3]), only(*IDS[:2]))
    assert late_objects(WHOLE, late).tolist() == IDS[2:3]
    assert np.array_equal(late.annotated > 0, WHOLE.labels == IDS[2])


def test_late_when_a_known_object_is_corrected_again_then_nothing_is():
    before = only(*IDS[:2])
    grown = before.labels.copy()
    grown[np.roll(grown == IDS[0], 2, axis=0) & (grown == 0)] = IDS[0]
    now = replace(before, labels=grown, annotated=np.isin(grown, IDS[:2]).astype(np.uint8))
    assert late_part(now, before) is None


def test_late_when_background_was_erased_then_it_is_late_and_no_object():
    now = only(IDS[0])
    now.annotated[0, 0] = 1
    late = late_part(now, only(IDS[0]))
    assert np.argwhere(late.annotated).tolist() == [[0, 0]]
    assert not len(late_objects(WHOLE, late))


def test_late_when_the_image_is_new_then_all_of_it_is():
    assert late_part(WHOLE, None) is WHOLE
    assert late_part(only(), None) is None


def test_late_when_labels_are_classes_then_voxels_known_before_are_left_out():
    one, both = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)
    one[:4] = 1
    sample = Sample(Image(np.zeros((8, 8), np.float32), "YX"), np.ones((8, 8), np.uint8), both)
    assert np.array_equal(late_part(sample, replace(sample, annotated=one), semantic=True).annotated, both - one)


def test_judge_when_corrections_come_one_by_one_then_all_are_scored_together(taught):
    model, sample = taught
    ids = [int(one) for one in np.unique(sample.labels) if one]
    judge = LateJudge(model)
    for one in ids:
        judge.see([only(one, sample=sample)], broken(model))
    found = judge.verdict()
    assert judge.n_objects == len(ids)
    assert found.after < 0.1 < 0.8 < found.before


def scattered(places, size=512):
    """Annotate a disc at each place of a large image."""
    grid, labels = np.indices((size, size)), np.zeros((size, size), np.int32)
    for number, place in enumerate(places, start=1):
        labels[((grid - np.reshape(place, (2, 1, 1))) ** 2).sum(0) <= 25] = number
    image = Image(np.zeros((size, size), np.float32), "YX", name="wide")
    return Sample(image, labels, (labels > 0).astype(np.uint8), "wide")


def test_late_when_it_lies_here_and_there_then_only_these_places_are_looked_at():
    sample = scattered([(20, 20), (40, 40), (490, 490), (20, 480)])
    parts = in_places(sample)
    assert sorted(count_objects(part) for part in parts) == [1, 1, 2]
    assert np.array_equal(sum(part.annotated for part in parts), sample.annotated)


def test_late_when_it_lies_together_then_it_is_looked_at_as_a_whole():
    sample = scattered([(200, 200), (200, 300), (300, 250)])
    assert in_places(sample) == [sample]


# --- from the first correction to the verdict ---


def test_live_when_corrections_come_then_the_next_step_learns_from_them_and_draws_them_more_often(steps):
    user = User([only(*IDS[:2])], [only(*IDS[:3])])
    live(START, user.watch, QUICK, stop=user.stop)
    first, last = steps[0][0], steps[-1][0]
    assert (len(first.centres), len(last.centres)) == (2, 4)
    assert (last.centres[2] == last.centres[3]).all()


def test_live_when_it_learns_then_models_are_published_with_what_they_know(steps, monkeypatch):
    monkeypatch.setattr(module, "refit", lambda model, *_, **__: broken(model))
    shown = []
    user = User([only(*IDS[:2])], [only(*IDS[:3])])
    live(START, user.watch, QUICK, stop=user.stop, publish=shown.append)
    assert [one.number for one in shown] == list(range(1, len(shown) + 1))
    assert (shown[0].n_cells, shown[-1].n_cells) == (2, 3)
    assert float(shown[0].model.weights["head.bias"].max()) < -50


def test_live_when_taking_in_corrections_takes_long_then_the_next_ones_are_taken_in_together(steps, monkeypatch):
    now, taken = [0.0], []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    usual = module._Learning._take

    def take(learning, news):
        taken.append((now[0], count_objects(news[0])))
        now[0] += 2.0
        return usual(learning, news)

    def tick(progress):
        now[0] += 1.0 if isinstance(progress.payload, int) else 0.0

    monkeypatch.setattr(module._Learning, "_take", take)
    user = User(*([only(*IDS[:n])] for n in range(1, 6)), looks=4)
    found = live(START, user.watch, replace(QUICK, budget="99steps"), stop=user.stop, report=tick)
    assert [n for _, n in taken] == [1, 2, 3, 5]
    assert taken[2][0] - taken[1][0] == 2.0 + module.NEWS_SHARE * 2.0  # the last ones come in at the end
    assert found.n_late == 4


def test_live_when_it_learns_then_it_rehearses_what_the_model_knew(steps, monkeypatch):
    memory = prepare(blobs(7), SPEC)
    monkeypatch.setattr(module, "recall", lambda model, **_: [memory])
    user = User([only(*IDS[:2])], [only(*IDS[:3])])
    live(START, user.watch, QUICK, stop=user.stop)
    assert [found[-1].image is memory.image for found in steps] == [False] + [True] * (len(steps) - 1)
    assert steps[-1][-1].weight == pytest.approx(steps[-1][0].weight / 3)


def test_live_when_all_is_learnt_then_it_waits_for_more(steps):
    words = []
    user = User([only(*IDS[:2])], [only(*IDS[:3])], looks=8)
    live(START, user.watch, QUICK, stop=user.stop, report=lambda p: words.append(p.message))
    assert len(steps) < 8
    assert any("waiting for more" in one for one in words)


def test_live_when_stopped_before_the_first_correction_then_nothing_is_kept(steps):
    with pytest.raises(Cancelled):
        live(START, lambda seconds: None, QUICK, stop=itertools.chain([False], itertools.repeat(True)).__next__)
    assert not steps


def test_live_when_a_later_correction_does_not_fit_then_what_was_learned_goes_on(steps):
    spec = tiny_spec(target="semantic", classes=("a",), object_size=None)
    fits = replace(WHOLE, labels=np.minimum(WHOLE.labels, 1))
    words = []
    user = User([fits], [WHOLE])
    live(initial_model(spec), user.watch, QUICK, stop=user.stop, report=lambda p: words.append(p.message))
    assert any("knows 1 classes" in one for one in words)
    with pytest.raises(UserError, match="knows 1 classes"):
        live(initial_model(spec), User([WHOLE]).watch, QUICK)


@pytest.mark.parametrize(("enough", "is_worse"), [(1, False), (1, True), (99, False)])
def test_live_when_it_ends_then_it_is_better_if_enough_came_late_and_found_it_so(
    steps, taught, monkeypatch, enough, is_worse
):
    model, sample = taught
    monkeypatch.setattr(module, "ENOUGH", enough)
    if is_worse:
        monkeypatch.setattr(module, "refit", lambda model, *_, **__: broken(model))
    ids = [int(one) for one in np.unique(sample.labels) if one]
    user = User([only(*ids[:5], sample=sample)], [only(*ids, sample=sample)])
    found = live(model, user.watch, QUICK, stop=user.stop)
    assert found.is_better is (enough == 1 and not is_worse)
    assert found.n_late == len(ids) - 5
    assert (found.comparison.after < 0.1 < found.comparison.before) is is_worse
    assert found.candidate.spec.parent == model.spec.name


def test_live_when_nothing_is_replaced_then_it_really_learns_and_leaves_a_checkpoint(tmp_path):
    spec = tiny_spec(object_size=None)
    sample = blobs(n=8)
    ids = [int(one) for one in np.unique(sample.labels) if one]
    user = User([only(*ids[:4], sample=sample)], [only(*ids, sample=sample)], looks=6)
    rows = []
    found = live(
        initial_model(spec),
        user.watch,
        replace(QUICK, budget="3steps", patch=32),
        stop=user.stop,
        report=lambda p: rows.append(p.payload),
        checkpoint=tmp_path,
    )
    assert [row.step for row in found.history] == list(range(1, len(found.history) + 1))
    assert (tmp_path / "checkpoint.safetensors").is_file()
