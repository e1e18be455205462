"""What dock and command line ask for, done by the real pipeline with a tiny network, or by a fake where it learns."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.app import commands, library
from napari_unet.app.annotations import accept, start
from napari_unet.app.commands import FineTuneRequest, PretrainRequest, RedecodeRequest, SegmentRequest, TrainRequest
from napari_unet.app.jobs import InlineRunner, Job, Jobs, JobState
from napari_unet.app.teaching import take_snapshot
from napari_unet.core.base.errors import Cancelled, Interrupted, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import SegmentOptions, TrainOptions
from napari_unet.core.base.progress import silent
from napari_unet.core.pipeline.compare import Comparison
from napari_unet.core.store.training_set import Sample, load_samples
from tests.app.models import save_tiny

if TYPE_CHECKING:
    from napari_unet.core.store.models import Model

FAST = SegmentOptions(device="cpu", precision="fp32", rescale="off", min_size=0)
STEPS = TrainOptions(budget="2steps", device="cpu", precision="fp32", patch=32, batch=1)


def never() -> bool:
    return False


@pytest.fixture
def model(models_home):
    return save_tiny(models_home / "models")


def picture(axes: str = "YX", n: int = 48) -> Image:
    rng = np.random.default_rng(3)
    shape = tuple({"T": 2, "Z": 4}.get(axis, n) for axis in axes)
    return Image(rng.random(shape).astype(np.float32), axes, name="picture")


def squares(n: int = 48) -> np.ndarray:
    labels = np.zeros((n, n), np.int32)
    for number, (row, column) in enumerate([(4, 4), (4, 28), (28, 4), (28, 28)], start=1):
        labels[row : row + 12, column : column + 12] = number
    return labels


def snapshot():
    image = Image((squares() > 0) + np.random.default_rng(0).random((48, 48)), "YX", name="squares")
    return take_snapshot(image, squares(), accept(start(squares()), [1, 2, 3, 4]))


@pytest.mark.parametrize(
    ("axes", "box", "time", "shape"),
    [
        ("YX", None, None, (48, 48)),
        ("YX", (slice(0, 32), slice(16, 48)), None, (32, 32)),
        ("TYX", None, None, (2, 48, 48)),
        ("TYX", None, 1, (1, 48, 48)),
        ("TYX", (slice(0, 32), slice(16, 48)), None, (2, 32, 32)),
        ("ZYX", (slice(1, 2), slice(0, 48), slice(0, 48)), None, (1, 48, 48)),
    ],
)
def test_segment_when_a_scope_is_chosen_then_labels_fit_their_box(model, axes, box, time, shape):
    image = picture(axes)
    result = commands.segment(SegmentRequest(image, model, FAST, box, time), silent, never)
    assert result.labels.shape == shape
    assert result.labels.shape == np.zeros(image.label_shape)[result.box or ...].shape
    assert (result.model, result.is_semantic) == ("tiny", False)
    again = commands.redecode(RedecodeRequest(result.prediction, model, FAST), silent, never)
    np.testing.assert_array_equal(again.labels, result.labels)
    assert again.box == result.box
    assert again.prediction.n_bytes == result.prediction.n_bytes > 0
    np.testing.assert_array_equal(again.prediction.confidence, result.prediction.confidence)
    assert again.prediction.made_by == result.prediction.made_by
    assert len(again.prediction.made_by["weights_sha256"]) == 64


def test_segment_when_the_model_has_classes_then_they_come_along(models_home):
    folder = save_tiny(models_home / "models", "tissue", target="semantic")
    result = commands.segment(SegmentRequest(picture(), folder, FAST), silent, never)
    assert result.classes == ("tissue", "bone")
    assert result.is_semantic


def test_segment_when_cancelled_then_it_ends_at_the_next_report(model):
    def report(progress):
        raise Cancelled

    with pytest.raises(Cancelled):
        commands.segment(SegmentRequest(picture(), model, FAST), report, never)


@pytest.mark.parametrize(
    "values", [np.full((9, 9), np.nan), np.ones((9, 9)), np.ones((0, 9)), np.ones((9, 9), complex)]
)
def test_segment_when_the_image_cannot_be_used_then_the_job_fails_with_words(model, values):
    jobs = Jobs(InlineRunner())
    job = jobs.start(commands.segment, SegmentRequest(Image(values, "YX"), model, FAST), Job("Segment"))
    assert job.state is JobState.FAILED
    assert job.failure.hint
    assert not jobs.is_busy


def test_load_cached_when_nothing_changed_then_it_is_read_once(model):
    first = commands.load_cached(model)
    assert commands.load_cached(model) is first
    os.utime(model / "model.json", (1, 1))
    assert commands.load_cached(model) is not first


def test_load_cached_when_the_weights_were_tampered_with_then_it_is_refused(model):
    path = model / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="changed or cut short"):
        commands.load_cached(model)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        commands.load_cached(model)


def test_fine_tune_when_it_ends_then_the_training_set_and_the_model_are_in_the_library(model, models_home):
    request = FineTuneRequest(model, (snapshot(),), options=STEPS, keep_worse=True)
    training = commands.fine_tune(request, silent, never)
    assert training.name == "tiny-ft-1"
    assert training.parent == "tiny"
    assert commands.load_cached(library.find_model("tiny-ft-1")).spec.parent == "tiny"
    assert [sample.name for sample in load_samples(models_home / "training_sets" / "tiny-ft-1")] == ["squares"]
    assert not (models_home / "training_sets" / "tiny-ft-1" / "checkpoint").exists()
    assert commands.fine_tune(request, silent, never).name == "tiny-ft-2"
    again = FineTuneRequest(training.folder, (of_another_image(),), options=STEPS, keep_worse=True)
    third = commands.fine_tune(again, silent, never)
    assert third.parent == "tiny-ft-1"
    assert "of which the old model had learnt a part" in third.held_out


class Found:
    """What the pipeline's fine-tuning returns, with chosen scores."""

    def __init__(self, model, accepted):
        self.model = self.candidate = model
        self.accepted, self.before, self.after = accepted, 0.5, 0.7 if accepted else 0.3
        self.n_held_out, self.held_out, self.history, self.stopped = 7, "regions", (), False
        self.comparison = Comparison(self.before, self.after, -0.1, 0.3, 7)
        self.reason = "" if accepted else "The score fell"


@dataclass(frozen=True, eq=False)
class Call:
    """What the pipeline was given."""

    base: Model
    samples: tuple[Sample, ...]
    rival: Model
    fresh: tuple[Sample, ...] | None


@pytest.fixture
def faked(monkeypatch):
    """Fake the learning; give the calls."""
    from napari_unet.core.pipeline import fine_tune

    calls = []

    def run(model, samples, options, report, stop, checkpoint, **given):
        calls.append(Call(model, samples, **given))
        return Found(model, accepted=options.seed == 0)

    monkeypatch.setattr(fine_tune, "fine_tune", run)
    return calls


def test_fine_tune_when_the_score_falls_then_no_model_is_saved_but_both_numbers_are_told(model, faked):
    training = commands.fine_tune(FineTuneRequest(model, (snapshot(),), options=TrainOptions(seed=1)), silent, never)
    assert (training.accepted, training.folder, training.before, training.after) == (False, None, 0.5, 0.3)
    assert training.reason == "The score fell"
    assert [entry.name for entry in library.list_models() if not entry.bundled] == ["tiny"]


def test_fine_tune_when_a_folder_is_given_then_the_model_is_there_and_the_library_is_left_alone(model, faked, tmp_path):
    samples = Sample(picture(), squares(), name="disk"), Sample(picture(n=50), squares(50), name="disk")
    request = FineTuneRequest(model, (snapshot(),), samples, out_folder=tmp_path / "mine")
    assert commands.fine_tune(request, silent, never).folder == tmp_path / "mine"
    assert [one.name for one in faked[0].samples] == ["disk", "disk-2", "squares"]
    assert not library.training_sets_folder().exists()
    with pytest.raises(UserError, match="exists already"):
        commands.fine_tune(request, silent, never)
    assert len(faked) == 1


def test_fine_tune_when_its_folder_cannot_be_made_then_nothing_is_learnt_in_vain(model, faked, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    request = FineTuneRequest(model, (snapshot(),), out_folder=tmp_path / "file" / "mine")
    with pytest.raises(UserError, match="Nothing can be written"):
        commands.fine_tune(request, silent, never)
    assert not faked


def test_fine_tune_when_the_name_is_taken_meanwhile_then_nothing_is_lost(model, faked, models_home):
    def report(progress):
        taken = models_home / "models" / "tiny-ft-1"
        if not taken.exists():
            save_tiny(models_home / "models", "tiny-ft-1")

    training = commands.fine_tune(FineTuneRequest(model, (snapshot(),)), report, never)
    assert training.name == "tiny-ft-2" == training.folder.name
    assert library.training_sets_folder().joinpath("tiny-ft-2").is_dir()


def test_fine_tune_when_it_crashes_then_what_it_learns_from_is_on_disk(model, monkeypatch, models_home):
    from napari_unet.core.pipeline import fine_tune

    def crash(*args, **given):
        raise MemoryError

    monkeypatch.setattr(fine_tune, "fine_tune", crash)
    job = Jobs(InlineRunner()).start(commands.fine_tune, FineTuneRequest(model, (snapshot(),)), Job("Fine-tune"))
    assert job.state is JobState.FAILED
    kept = load_samples(models_home / "training_sets" / "tiny-ft-1")
    np.testing.assert_array_equal(kept[0].labels, squares())


def of_another_image(origin: str = "second"):
    first = snapshot()
    return replace(first, image=replace(first.image, data=first.image.data[::-1].copy()), origin=origin)


def test_fine_tune_when_there_are_versions_then_it_starts_from_the_base_on_all_labels_so_far(model, faked, models_home):
    first = commands.fine_tune(FineTuneRequest(model, (snapshot(),)), silent, never)
    second = commands.fine_tune(FineTuneRequest(first.folder, (of_another_image(),)), silent, never)
    assert [call.base.spec.name for call in faked] == ["tiny", "tiny"]
    assert [call.rival.spec.name for call in faked] == ["tiny", "tiny-ft-1"]
    assert [one.name for one in faked[1].samples] == ["squares", "squares-2"]
    assert faked[0].fresh is None
    assert [one.name for one in faked[1].fresh] == ["squares-2"]
    spec = commands.load_cached(second.folder).spec
    assert (spec.parent, spec.training["lineage"]) == ("tiny-ft-1", ["tiny", "tiny-ft-1"])
    assert spec.training["interval"] == [-0.1, 0.3]
    assert len(load_samples(models_home / "training_sets" / "tiny-ft-2")) == 2


def test_fine_tune_when_the_base_is_gone_then_it_starts_from_the_oldest_that_is_there(model, faked):
    folder = model
    for _ in range(2):
        folder = commands.fine_tune(FineTuneRequest(folder, (snapshot(),)), silent, never).folder
    library.delete_model("tiny")
    commands.fine_tune(FineTuneRequest(folder, (snapshot(),)), silent, never)
    assert faked[-1].base.spec.name == "tiny-ft-1"


@pytest.mark.parametrize("error", [Cancelled(), UserError("The loss is not a number.", "Lower the rate.")])
def test_fine_tune_when_it_is_discarded_or_refused_then_no_sample_is_left_behind(model, monkeypatch, error):
    from napari_unet.core.pipeline import fine_tune

    def give_up(*args, **given):
        raise error

    monkeypatch.setattr(fine_tune, "fine_tune", give_up)
    with pytest.raises(type(error)):
        commands.fine_tune(FineTuneRequest(model, (snapshot(),)), silent, never)
    assert list(library.training_sets_folder().iterdir()) == []


@pytest.mark.parametrize(("error", "n_left"), [(Cancelled(), 0), (Interrupted(), 1)])
def test_training_when_the_window_closes_then_its_samples_stay_and_when_it_is_discarded_they_go(
    model, monkeypatch, error, n_left
):
    from napari_unet.core.pipeline import fine_tune, scratch

    def give_up(*args, **given):
        raise error

    monkeypatch.setattr(fine_tune, "fine_tune", give_up)
    monkeypatch.setattr(scratch, "train_new", give_up)
    with pytest.raises(Cancelled):
        commands.fine_tune(FineTuneRequest(model, (snapshot(),)), silent, never)
    with pytest.raises(Cancelled):
        commands.train(TrainRequest((snapshot(),), title="mine"), silent, never)
    assert len(list(library.training_sets_folder().iterdir())) == 2 * n_left


def test_fine_tune_when_the_score_fell_then_its_labels_teach_the_next_time(model, faked):
    worse = TrainOptions(seed=1)
    commands.fine_tune(FineTuneRequest(model, (snapshot(),), options=worse), silent, never)
    commands.fine_tune(FineTuneRequest(model, (of_another_image(),)), silent, never)
    assert [one.name for one in faked[1].samples] == ["squares", "squares-2"]


def test_fine_tune_when_a_sample_on_disk_is_damaged_then_the_others_teach_and_it_is_told(model, faked, models_home):
    first = commands.fine_tune(FineTuneRequest(model, (snapshot(),)), silent, never)
    (models_home / "training_sets" / first.name / "images" / "squares.tif").write_bytes(b"II*")
    found = commands.fine_tune(FineTuneRequest(first.folder, (of_another_image(),)), silent, never)
    assert len(faked[1].samples) == 1
    assert "'squares'" in found.notes[0]


def test_fine_tune_when_there_were_many_rounds_then_the_last_five_versions_are_left(model, faked):
    folder = model
    for _ in range(7):
        folder = commands.fine_tune(FineTuneRequest(folder, (snapshot(),)), silent, never).folder
    left = [entry.name for entry in library.list_models() if not entry.bundled]
    assert left == ["tiny", *(f"tiny-ft-{n}" for n in range(3, 8))]
    assert faked[-1].base.spec.name == "tiny"


def test_fine_tune_when_the_model_lies_outside_the_library_then_no_namesakes_labels_are_taken(model, faked, tmp_path):
    commands.fine_tune(FineTuneRequest(model, (snapshot(),)), silent, never)
    elsewhere = save_tiny(tmp_path, "tiny-ft-1")
    commands.fine_tune(FineTuneRequest(elsewhere, (of_another_image(),), out_folder=tmp_path / "new"), silent, never)
    assert len(faked[1].samples) == 1


def test_fine_tune_when_cells_were_held_out_then_they_are_told_with_the_labels_they_belong_to(model):
    stack = picture("TYX")
    labels = np.stack([squares(), squares()])
    marked = replace(take_snapshot(stack, labels, accept(start(labels), [1, 2, 3, 4])), origin="layer 7")
    request = FineTuneRequest(model, (marked,), options=STEPS, keep_worse=True)
    found = commands.fine_tune(request, silent, never)
    assert {(one.key, one.time) for one in found.parts} == {("layer 7", 0), ("layer 7", 1)}
    assert (found.n_units > 0, found.unit) == (True, "cells")


def test_fine_tune_when_no_labels_are_open_then_those_from_before_teach(model, faked):
    first = commands.fine_tune(FineTuneRequest(model, (snapshot(),)), silent, never)
    commands.fine_tune(FineTuneRequest(first.folder), silent, never)
    assert [one.name for one in faked[1].samples] == ["squares"]


def test_fine_tune_when_nothing_teaches_then_it_says_so(model):
    empty = replace(snapshot(), corrections=start(squares()))
    with pytest.raises(UserError, match="nothing to learn from"):
        commands.fine_tune(FineTuneRequest(model, (empty,)), silent, never)


def test_train_when_from_scratch_then_the_model_has_the_title_and_a_name_made_of_it(monkeypatch):
    from napari_unet.core.pipeline import scratch
    from napari_unet.core.store.models import initial_model
    from tests.app.models import tiny_spec

    class Result:
        score, history, stopped = None, (), True

    spec = tiny_spec(net_config={**tiny_spec().net_config, "out_channels": 4})
    monkeypatch.setattr(scratch, "train_new", lambda *args, **kwargs: (initial_model(spec), Result()))
    training = commands.train(TrainRequest((snapshot(),), title="My cells!"), silent, never)
    assert (training.name, training.accepted, training.stopped) == ("My-cells", True, True)
    assert math.isnan(training.after)
    assert library.list_models()[-1].spec.title == "My cells!"


def test_pretrain_when_done_then_the_model_starts_trainings_but_segments_nothing(tmp_path):
    found = commands.pretrain(PretrainRequest((picture(),), STEPS, "My stack"), silent, never)
    assert (found.name, found.parent, found.accepted) == ("My-stack", "", True)
    entry = library.list_models()[-1]
    assert (entry.name, entry.spec.title, entry.can_segment) == ("My-stack", "My stack", False)
    with pytest.raises(UserError, match="cannot segment yet"):
        commands.segment(SegmentRequest(picture(), found.folder, FAST), silent, never)
    with pytest.raises(UserError, match="cannot segment yet"):
        commands.fine_tune(FineTuneRequest(found.folder, (snapshot(),)), silent, never)
    request = TrainRequest((snapshot(),), options=STEPS, out_folder=tmp_path / "new", start=found.folder)
    started = commands.train(request, silent, never)
    assert started.parent == ""  # there is no older model that it could be compared with
    assert commands.load_cached(started.folder).spec.parent == "My-stack"


def test_pretrain_when_the_folder_exists_then_it_is_refused_before_anything_is_learnt(tmp_path):
    with pytest.raises(UserError, match="exists already"):
        commands.pretrain(PretrainRequest((picture(),), STEPS, out_folder=tmp_path), silent, never)
