"""Training: learns, gives the same for the same seed, and leaves something usable however it ends."""

from __future__ import annotations

import itertools
import subprocess
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.losses import regression
from napari_unet.core.pipeline import run as module
from napari_unet.core.pipeline.checkpoint import CHECKPOINT_FILE
from napari_unet.core.pipeline.criterion import criterion
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.sampler import Batch
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.pipeline.train import train
from napari_unet.core.store.models import initial_model, save_model
from napari_unet.core.targets import TARGETS
from tests.core import worker
from tests.core.phantoms import blobs, tiny_recipe, tiny_spec

SPEC = tiny_spec(object_size=None)
START = initial_model(SPEC)
SAMPLE = prepare(blobs(), SPEC)
QUICK = tiny_recipe(steps=6, patch=(16, 16), batch=2, augment="microscopy")
PLAIN = SegmentOptions(device="cpu", precision="fp32", rescale="off")


def same(one, other):
    return all(torch.equal(one.weights[k], other.weights[k]) for k in one.weights)


def is_finite(model):
    return all(bool(torch.isfinite(v).all()) for v in model.weights.values())


@pytest.fixture
def start_untouched():
    """Fail a test that changes the model it starts from."""
    before = {k: v.clone() for k, v in START.weights.items()}
    yield
    assert all(torch.equal(before[k], v) for k, v in START.weights.items())


# --- learning ---


def test_train_when_there_is_one_phantom_then_it_is_learned_in_seconds(taught):
    model, sample = taught
    assert score(initial_model(model.spec), [sample]) < 0.2
    assert score(model, [sample]) > 0.85


@pytest.mark.parametrize(("dims", "target"), [(3, "instances"), (2, "semantic"), (3, "semantic")])
def test_train_when_dimensions_and_target_are_others_then_the_loss_falls(dims, target):
    sample, classes = blobs(shape=(12, 24, 24)[-dims:], n=3, radius=5.0), ()
    if target == "semantic":
        sample, classes = replace(sample, labels=np.minimum(sample.labels, 1)), ("blob",)
    spec = tiny_spec(dims=dims, target=target, classes=classes, object_size=None)
    recipe = tiny_recipe(steps=30, patch=(8, 16, 16)[-dims:], batch=2)
    history = train(initial_model(spec), [prepare(sample, spec)], recipe).history
    assert history[-1].loss < 0.8 * history[0].loss


def test_train_when_labels_change_where_nothing_is_known_then_weights_are_the_same():
    sample = blobs()
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[:50] = 1
    sample = replace(sample, annotated=annotated)
    scribbled = replace(sample, labels=np.where(annotated > 0, sample.labels, np.fliplr(sample.labels) + 7))
    one, other = (train(START, [prepare(s, SPEC)], QUICK).model for s in (sample, scribbled))
    assert same(one, other)


# --- the same for the same ---


@pytest.mark.usefixtures("start_untouched")
def test_train_when_the_seed_is_the_same_then_so_are_the_weights():
    one, other, third = (train(START, [SAMPLE], replace(QUICK, seed=s)).model for s in (1, 1, 2))
    assert same(one, other)
    assert not same(one, third)
    assert not same(one, START)


def test_train_when_a_share_of_the_start_is_kept_then_all_that_it_gives_is_mixed_with_it():
    rated = []
    plain = train(START, [SAMPLE], QUICK).model
    recipe = replace(QUICK, keep=0.25, check_every=QUICK.steps)
    mixed = train(START, [SAMPLE], recipe, watch=lambda model: float(len(rated.append(model) or rated))).model
    for name, value in mixed.weights.items():
        wanted = 0.75 * plain.weights[name] + 0.25 * START.weights[name] if value.is_floating_point() else value
        torch.testing.assert_close(value, wanted, rtol=0, atol=1e-6)
    assert same(rated[0], mixed)


def interrupt(after):
    """Make a report that cancels after some steps."""

    def report(progress):
        if progress.payload.step == after:
            raise Cancelled

    return report


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("rated", [False, True])
def test_train_when_interrupted_and_gone_on_with_then_is_as_if_it_never_was(tmp_path, dims, rated):
    spec = tiny_spec(dims=dims, object_size=None)
    start, samples = initial_model(spec), [prepare(blobs(shape=(16, 32, 32)[-dims:], n=3, radius=5.0), spec)]
    recipe = replace(QUICK, steps=10, patch=(8, 16, 16)[-dims:], check_every=2)
    rate = (lambda model: float(model.weights["head.bias"].sum())) if rated else None
    whole = train(start, samples, recipe, rate=rate)
    for after in (3, 4, 7):
        with pytest.raises(Cancelled):
            train(start, samples, recipe, rate=rate, report=interrupt(after), checkpoint=tmp_path)
    again = train(start, samples, recipe, rate=rate, checkpoint=tmp_path)
    assert [row.step for row in again.history] == [8, 9, 10]
    assert same(again.model, whole.model)
    assert (again.steps, again.score) == (whole.steps, whole.score)


@pytest.mark.parametrize("change", ["data", "model", "recipe"])
def test_train_when_the_checkpoint_is_that_of_another_training_then_starts_anew(tmp_path, change):
    with pytest.raises(Cancelled):
        train(START, [SAMPLE], QUICK, report=interrupt(3), checkpoint=tmp_path)
    start = initial_model(SPEC, 5) if change == "model" else START
    samples = [prepare(blobs(7), SPEC)] if change == "data" else [SAMPLE]
    recipe = replace(QUICK, learning_rate=1e-4) if change == "recipe" else QUICK
    found = train(start, samples, recipe, checkpoint=tmp_path)
    assert len(found.history) == QUICK.steps
    assert same(found.model, train(start, samples, recipe).model)


def test_train_when_the_budget_has_grown_then_the_checkpoint_is_gone_on_with(tmp_path):
    train(START, [SAMPLE], QUICK, checkpoint=tmp_path)
    found = train(START, [SAMPLE], replace(QUICK, steps=8), checkpoint=tmp_path)
    assert [row.step for row in found.history] == [7, 8]


# --- how it ends ---


@pytest.mark.usefixtures("start_untouched")
def test_train_when_stopped_then_ends_at_the_next_step_with_a_usable_model(tmp_path):
    asked = itertools.count(1)
    found = train(START, [SAMPLE], QUICK, stop=lambda: next(asked) == 3)
    assert found.stopped
    assert found.steps == len(found.history) == 3
    assert is_finite(found.model)
    save_model(found.model, tmp_path / "stopped")
    assert segment(found.model, blobs().image, PLAIN).labels.shape == (96, 96)


def test_train_when_cancelled_then_leaves_a_checkpoint(tmp_path):
    with pytest.raises(Cancelled):
        train(START, [SAMPLE], QUICK, report=interrupt(1), checkpoint=tmp_path / "new")
    assert [p.name for p in (tmp_path / "new").iterdir()] == [CHECKPOINT_FILE]


def test_train_when_the_program_is_killed_then_a_checkpoint_of_the_last_seconds_is_there(tmp_path):
    seen = []

    def look(_):
        seen.append(list(tmp_path.glob("*.safetensors")))

    train(START, [SAMPLE], QUICK, checkpoint=tmp_path, checkpoint_seconds=0.0, report=look)
    assert [len(files) for files in seen] == [0, 1, 1, 1, 1, 1]


def wait_for(path, process, seconds=120.0):
    """Wait until a process has written a file."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"no {path.name} after {seconds} s"
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"ended with {process.wait(0.02)} before it wrote {path.name}")


@pytest.mark.parametrize("job", worker.KILLED)
def test_train_when_killed_and_gone_on_with_then_ends_at_the_same_weights(tmp_path, job):
    process = worker.start(tmp_path, job)
    try:
        wait_for(tmp_path / CHECKPOINT_FILE, process)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    chosen = worker.KILLED[job]()
    rest = worker.learn(chosen, rate=worker.weigh, checkpoint=tmp_path)
    whole = worker.learn(chosen, rate=worker.weigh)
    assert 0 < len(rest.history) < len(whole.history)
    assert [row.loss for row in rest.history] == [row.loss for row in whole.history[-len(rest.history) :]]
    assert same(rest.model, whole.model)


def test_train_when_time_is_up_then_ends_and_a_resume_has_only_the_rest(monkeypatch, tmp_path):
    clock = itertools.count()
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    recipe = replace(QUICK, steps=None, seconds=60.0)
    first = train(START, [SAMPLE], recipe)
    assert 3 < first.steps < 60
    assert first.seconds >= 60
    with pytest.raises(Cancelled):
        train(START, [SAMPLE], recipe, report=interrupt(first.steps // 2), checkpoint=tmp_path)
    rest = train(START, [SAMPLE], recipe, checkpoint=tmp_path)
    assert rest.steps == pytest.approx(first.steps, rel=0.4)
    assert len(rest.history) < 0.7 * first.steps


def test_train_when_it_runs_then_reports_each_step_and_a_growing_share():
    seen = []
    found = train(START, [SAMPLE], QUICK, report=seen.append)
    assert [p.payload for p in seen] == list(found.history)
    assert [row.step for row in found.history] == [1, 2, 3, 4, 5, 6]
    assert [p.fraction for p in seen] == pytest.approx([n / 6 for n in range(1, 7)])
    assert all(np.isfinite(row.loss) and row.seconds >= 0 for row in found.history)


def test_train_when_scores_fall_then_stops_early_and_keeps_the_best():
    scores = iter([0.3, 0.8, 0.5, 0.4, 0.2, 0.9])
    rated = []

    def rate(model):
        rated.append(model)
        return next(scores)

    found = train(START, [SAMPLE], replace(QUICK, steps=100, check_every=2, patience=3), rate=rate)
    assert found.steps == 10
    assert found.score == 0.8
    assert same(found.model, rated[1])
    assert [row.score for row in found.history if row.score is not None] == [0.3, 0.8, 0.5, 0.4, 0.2]


def test_train_when_watched_then_nothing_is_chosen_by_it():
    scores = iter([0.9, 0.1, 0.2])
    watched = train(START, [SAMPLE], replace(QUICK, check_every=2, patience=1), watch=lambda _: next(scores))
    assert [row.score for row in watched.history] == [None, 0.9, None, 0.1, None, 0.2]
    assert watched.score is None
    assert same(watched.model, train(START, [SAMPLE], QUICK).model)


# --- what is not a number ---


@pytest.fixture
def spoil(monkeypatch):
    """Make the loss of some steps not a number."""

    def at(*steps):
        counter = itertools.count(1)
        usual = regression.smooth_l1

        def loss(output, target, weight):
            value = usual(output, target, weight)
            return value * float("nan") if not steps or next(counter) in steps else value

        monkeypatch.setattr(regression, "smooth_l1", loss)

    return at


def test_train_when_a_loss_is_not_a_number_then_the_step_is_skipped(spoil):
    spoil(2, 4)
    found = train(START, [SAMPLE], QUICK)
    assert is_finite(found.model)
    assert all(np.isfinite(row.loss) for row in found.history)
    assert found.steps == 6


def test_train_when_losses_stay_not_a_number_for_a_while_then_it_is_rescued(spoil):
    spoil(*range(3, 3 + module.MOST_SKIPPED + 1))
    found = train(START, [SAMPLE], replace(QUICK, steps=14))
    assert is_finite(found.model)
    assert not same(found.model, START)


@pytest.mark.usefixtures("start_untouched")
def test_train_when_losses_never_are_numbers_then_gives_up_in_words(spoil):
    spoil()
    with pytest.raises(UserError, match="not a number") as caught:
        train(START, [SAMPLE], replace(QUICK, steps=1000))
    assert "The model is unchanged" in caught.value.hint


def test_train_when_some_patches_are_not_numbers_then_the_norms_forget_them():
    bad = replace(SAMPLE, image=SAMPLE.image * float("nan"), weight=SAMPLE.weight / 4)
    found = train(START, [SAMPLE, bad], replace(QUICK, steps=20, augment="none"))
    assert is_finite(found.model)
    assert np.isfinite(found.history[-1].loss)


def test_train_when_nothing_is_annotated_then_says_so():
    blank = prepare(replace(blobs(), annotated=np.zeros((96, 96), np.uint8)), SPEC)
    with pytest.raises(UserError, match="nothing to learn from"):
        train(START, [blank], QUICK)


# --- what learns ---


def changed(found):
    return {k for k, v in found.model.weights.items() if not torch.equal(v, START.weights[k])}


def norm_names(*kinds):
    network = START.build()
    names = [n for n, m in network.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return {f"{name}.{kind}" for name in names for kind in kinds}


def test_train_when_only_the_head_learns_then_only_head_and_norms_change():
    found = train(START, [SAMPLE], replace(QUICK, trainable="head", freeze_norm=True))
    assert changed(found) == {"head.weight", "head.bias"} | norm_names("weight", "bias")


def test_train_when_norms_are_frozen_then_all_but_their_statistics_change():
    found = train(START, [SAMPLE], replace(QUICK, freeze_norm=True))
    frozen = norm_names("running_mean", "running_var", "num_batches_tracked")
    assert changed(found) == set(START.weights) - frozen


def test_train_when_it_nears_its_end_then_norms_stop_counting():
    found = train(START, [SAMPLE], replace(QUICK, steps=10))
    (name, *_) = norm_names("num_batches_tracked")
    assert found.model.weights[name] == 8


def test_train_when_asked_for_bf16_then_weights_stay_float32_and_finite():
    found = train(START, [SAMPLE], replace(QUICK, steps=3, precision="bf16"))
    assert is_finite(found.model)
    assert found.model.weights["head.weight"].dtype == torch.float32


# --- the loss of a target ---


def test_criterion_when_the_network_is_unpadded_then_the_middle_of_the_target_counts():
    loss = criterion(TARGETS["instances"].terms(2, 0))
    target, weight = torch.zeros(1, 4, 12, 12), torch.zeros(1, 2, 12, 12)
    weight[..., :4, :] = 1
    target[..., :4, :] = 1
    logits = torch.zeros(1, 4, 4, 4, requires_grad=True)
    assert loss(logits, Batch(torch.zeros(1, 1, 12, 12), target, weight)) == 0  # the annotated rows are outside


@pytest.mark.parametrize("name", ["magic", "smooth_l1"])
def test_criterion_when_there_is_no_such_loss_of_classes_then_is_refused(name):
    with pytest.raises(UserError, match=name):
        criterion(TARGETS["instances"].terms(2, 2), name)


@pytest.mark.parametrize("target", TARGETS)
def test_criterion_when_the_usual_loss_is_named_then_is_the_same(target):
    terms = TARGETS[target].terms(2, 2)
    n_out = TARGETS[target].n_outputs(2, 2)
    batch = Batch(torch.zeros(1, 1, 6, 6), torch.ones(1, 4, 6, 6), torch.ones(1, 2, 6, 6))
    logits = torch.randn(1, n_out, 6, 6)
    assert criterion(terms)(logits, batch) == criterion(terms, terms[0].loss)(logits, batch)
