"""Fine-tuning: corrections change the next prediction, and no worse model replaces a better one."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import SegmentOptions, TrainOptions
from napari_unet.core.losses import regression
from napari_unet.core.pipeline import fine_tune as module
from napari_unet.core.pipeline.checkpoint import CHECKPOINT_FILE
from napari_unet.core.pipeline.fine_tune import fine_tune
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.pipeline.train import Row, TrainResult
from napari_unet.core.store.models import Model, initial_model, save_model
from napari_unet.core.store.training_set import Sample
from tests.core.phantoms import blobs, tiny_spec

QUICK = TrainOptions(budget="2steps", patch=16, batch=1, device="cpu", precision="fp32")
PLAIN = SegmentOptions(device="cpu", precision="fp32", rescale="off")
SAMPLES = [blobs(seed, shape=(48, 48), n=2, name=f"s{seed}") for seed in range(4)]


@pytest.fixture
def trainer(monkeypatch):
    """Replace the training by one whose result is known, and record what it was given."""

    def install(result, *, stop_in=None):
        calls = []

        def fake(model, prepared, recipe, **given):
            calls.append((len(prepared), recipe, given))
            stopped = len(calls) == stop_in
            return TrainResult(Model(model.spec, result.weights), (Row(1, 0.5, None, 0.1),), stopped, None, 1, 0.1)

        monkeypatch.setattr(module, "train", fake)
        monkeypatch.setattr(module, "recall", lambda *args, **kwargs: [])
        monkeypatch.setattr(module, "tune", lambda model, *_: model)
        return calls

    return install


def broken(model):
    """Make a model that finds nothing."""
    weights = {k: v.clone() for k, v in model.weights.items()}
    weights["head.bias"] -= 100
    return Model(model.spec, weights)


# --- the gate ---


def test_gate_when_the_new_model_is_worse_then_the_old_one_stays(taught, trainer):
    model, sample = taught
    trainer(broken(model))
    found = fine_tune(model, [sample], QUICK)
    assert not found.accepted
    assert found.model is model
    assert found.after < 0.1 < 0.8 < found.before


def test_gate_when_the_new_model_is_better_then_it_replaces_the_old_one(taught, trainer):
    model, sample = taught
    trainer(model)
    found = fine_tune(broken(model), [sample], QUICK)
    assert found.accepted
    assert found.model is found.candidate
    assert found.before < 0.1 < 0.8 < found.after


def test_gate_when_both_are_equally_good_then_the_new_one_is_taken(taught, trainer):
    model, sample = taught
    trainer(model)
    found = fine_tune(model, [sample], QUICK)
    assert found.accepted
    assert found.before == found.after


def test_gate_when_there_is_too_little_to_judge_then_the_user_judges(taught, trainer):
    model, _ = taught
    trainer(model)
    found = fine_tune(model, [blobs(n=1)], QUICK)
    assert math.isnan(found.before)
    assert math.isnan(found.after)
    assert found.n_held_out == 0
    assert found.accepted
    assert found.candidate.spec.scores == {}


def test_gate_when_there_are_several_images_then_models_are_judged_on_what_they_did_not_see(taught, trainer):
    model, _ = taught
    calls = trainer(model)
    found = fine_tune(model, SAMPLES, QUICK)
    assert [n for n, *_ in calls] == [2, 2, 4]  # two folds, then all
    assert found.held_out == "images"
    assert found.n_held_out == 8


# --- what is written down, and what is spent ---


def test_fine_tune_when_done_then_the_model_says_where_it_comes_from(taught, trainer, tmp_path):
    model, sample = taught
    trainer(model)
    found = fine_tune(model, [sample], replace(QUICK, seed=7))
    spec = found.candidate.spec
    assert spec.parent == "tiny"
    assert spec.seed == 7
    assert spec.data == {"blobs": sample.digest()}
    assert spec.scores == {"held-out, parent": found.before, "held-out, this model": found.after}
    assert spec.training["cells"] == 10
    assert "Fine-tuned from 'tiny'" in spec.description
    save_model(found.candidate, tmp_path / "tuned")


def test_fine_tune_when_a_time_is_given_then_all_trainings_share_it(taught, trainer):
    model, sample = taught
    calls = trainer(model)
    fine_tune(model, [sample], replace(QUICK, budget="30s"))
    assert [recipe.seconds for _, recipe, _ in calls] == [10, 10, 10]


def test_fine_tune_when_it_may_be_gone_on_with_then_only_the_last_training_has_a_checkpoint(taught, trainer, tmp_path):
    model, sample = taught
    calls = trainer(model)
    fine_tune(model, [sample], QUICK, checkpoint=tmp_path)
    assert [given["checkpoint"] for *_, given in calls] == [None, None, tmp_path]


def test_fine_tune_when_a_fold_learns_then_it_is_watched_on_what_it_does_not_see(taught, trainer):
    model, sample = taught
    calls = trainer(model)
    fine_tune(model, [sample], QUICK)
    watches = [given["watch"] for *_, given in calls]
    assert [watch is None for watch in watches] == [False, False, True]
    assert watches[0](model) > 0.8


# --- for real ---


@pytest.fixture
def dim_and_bright(taught):
    """Give an image with bright cells and dim ones, all of which the model takes for cells."""
    model, _ = taught
    sample = blobs(9, shape=(96, 160), n=18)
    dim = sample.labels % 2 == 0
    image = replace(sample.image, data=np.where(dim, 0.35, 1.0).astype(np.float32) * sample.image.data)
    return model, replace(sample, image=image), dim & (sample.labels > 0)


def test_fine_tune_when_dim_cells_are_deleted_then_the_next_prediction_has_fewer(dim_and_bright):
    model, sample, dim = dim_and_bright
    corrected = replace(sample, labels=np.where(dim, 0, sample.labels))
    before = segment(model, sample.image, PLAIN).labels
    options = replace(QUICK, budget="60steps", patch=64, batch=4, learning_rate=1e-2)
    found = fine_tune(model, [corrected], options)
    after = segment(found.candidate, sample.image, PLAIN).labels
    bright = corrected.labels > 0
    assert found.accepted
    assert found.after > found.before
    assert np.count_nonzero(after[dim]) < 0.3 * np.count_nonzero(before[dim])
    assert np.count_nonzero(after[bright]) > 0.8 * np.count_nonzero(before[bright])


def test_fine_tune_when_weights_are_asked_for_then_every_training_gets_them(taught, trainer, monkeypatch):
    model, _ = taught
    trainer(model)
    asked, usual = [], module.prepare_all

    def prepare_all(samples, spec, *, weighting, **more):
        asked.append(weighting)
        return usual(samples, spec, weighting=weighting, **more)

    monkeypatch.setattr(module, "prepare_all", prepare_all)
    fine_tune(model, SAMPLES[:2], replace(QUICK, weighting="border"))
    assert set(asked) == {"border"}


def test_fine_tune_when_run_then_progress_only_grows_and_rows_come_through():
    seen = []
    fine_tune(initial_model(tiny_spec(object_size=None)), SAMPLES[:2], QUICK, report=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.95
    assert sum(isinstance(p.payload, Row) for p in seen) == 6


@pytest.mark.parametrize("target", ["instances", "semantic"])
def test_fine_tune_when_one_sample_has_no_annotation_then_the_others_teach(target):
    classes = ("a", "b") if target == "semantic" else ()
    model = initial_model(tiny_spec(target=target, classes=classes, object_size=None))
    blank = replace(SAMPLES[0], annotated=np.zeros((48, 48), np.uint8))
    found = fine_tune(model, [blank, SAMPLES[1], SAMPLES[2]], QUICK)
    assert all(torch.isfinite(v).all() for v in found.candidate.weights.values())


def test_fine_tune_when_a_stack_is_corrected_then_it_works_in_3d():
    sample = blobs(shape=(12, 32, 32), n=3, radius=5.0, voxel_size=(2.0, 1.0, 1.0))
    found = fine_tune(initial_model(tiny_spec(dims=3, object_size=None)), [sample], replace(QUICK, patch=16))
    assert found.candidate.spec.parent == "tiny"


# --- how it ends ---


@pytest.fixture
def untouched(taught):
    """Fail a test that changes the model it starts from."""
    model, sample = taught
    before = {k: v.clone() for k, v in model.weights.items()}
    yield model, sample
    assert all(torch.equal(before[k], v) for k, v in model.weights.items())


@pytest.mark.parametrize(("stop_in", "n_trainings"), [(1, 1), (2, 2), (3, 3)])
def test_fine_tune_when_stopped_then_keeps_what_was_learned_and_still_judges(taught, trainer, stop_in, n_trainings):
    model, sample = taught
    calls = trainer(model, stop_in=stop_in)
    found = fine_tune(model, [sample], QUICK)
    assert found.stopped
    assert len(calls) == n_trainings
    assert 0 <= found.before <= 1
    assert 0 <= found.after <= 1


def test_fine_tune_when_stopped_at_once_then_the_model_is_usable(untouched):
    model, sample = untouched
    found = fine_tune(model, [sample], replace(QUICK, budget="50steps"), stop=lambda: True)
    assert found.stopped
    assert found.history[-1].step == 1
    assert segment(found.candidate, sample.image, PLAIN).labels.any()


@pytest.mark.parametrize("after", [1, 5])
def test_fine_tune_when_cancelled_then_nothing_changes_and_the_last_training_leaves_a_checkpoint(
    untouched, tmp_path, after
):
    model, sample = untouched
    rows = itertools.count(1)

    def cancel(progress):
        if isinstance(progress.payload, Row) and next(rows) == after:
            raise Cancelled

    with pytest.raises(Cancelled):
        fine_tune(model, [sample], QUICK, report=cancel, checkpoint=tmp_path / "new")
    assert (tmp_path / "new" / CHECKPOINT_FILE).exists() == (after == 5)


def test_fine_tune_when_the_loss_is_never_a_number_then_says_so(untouched, monkeypatch):
    model, sample = untouched
    usual = regression.smooth_l1
    monkeypatch.setattr(regression, "smooth_l1", lambda *args: usual(*args) * float("nan"))
    with pytest.raises(UserError, match="not a number"):
        fine_tune(model, [sample], replace(QUICK, budget="100steps"))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([], "nothing to learn from"),
        ([replace(SAMPLES[0], annotated=np.zeros((48, 48), np.uint8))], "nothing to learn from"),
        ([Sample(Image(np.random.default_rng(0).random((2, 9, 9)), "CYX"), np.ones((9, 9), int))], "2 channels"),
    ],
    ids=["no sample", "no annotation", "channels"],
)
def test_fine_tune_when_the_corrections_do_not_fit_then_says_why(samples, words):
    with pytest.raises(UserError, match=words) as caught:
        fine_tune(initial_model(tiny_spec()), samples, QUICK)
    assert caught.value.hint


def test_fine_tune_when_a_model_for_stacks_gets_planes_then_says_so():
    with pytest.raises(UserError, match="is for 3D stacks"):
        fine_tune(initial_model(tiny_spec(dims=3)), SAMPLES, QUICK)


def test_fine_tune_when_a_model_for_planes_gets_stacks_then_it_learns_from_their_annotated_planes(trainer):
    model, sample = initial_model(tiny_spec()), blobs(shape=(8, 32, 32), n=3, radius=3.0)
    annotated = np.zeros(sample.labels.shape, np.uint8)
    annotated[2:5] = 1
    calls = trainer(model)
    fine_tune(model, [replace(sample, annotated=annotated)], QUICK)
    assert calls[-1][0] == 3


def test_fine_tune_when_a_class_is_unknown_then_says_how_many_there_are():
    model = initial_model(tiny_spec(target="semantic", classes=("a",)))
    with pytest.raises(UserError, match=r"go up to 2.* knows 1"):
        fine_tune(model, [SAMPLES[0]], QUICK)
