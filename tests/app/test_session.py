"""The dock's verbs, without a dock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from psygnal.testing import assert_emitted_once, assert_emitted_once_with

from napari_unet.app import commands, library, lineage
from napari_unet.app.jobs import InlineRunner, JobState, run_job
from napari_unet.app.requests import KeptOutput, SegmentResult, Training
from napari_unet.app.session import Session
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import SegmentOptions, TrainOptions
from tests.app.models import write_spec


@pytest.fixture(autouse=True)
def own(models_home, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "bundled_folder", lambda: tmp_path / "pretrained")
    write_spec(tmp_path / "pretrained", "nuclei-2d")
    return models_home / "models"


def cells() -> np.ndarray:
    labels = np.zeros((20, 20), np.int32)
    labels[2:6, 2:6], labels[10:16, 10:16] = 1, 2
    return labels


def result_of(labels: np.ndarray, box=None, **changes) -> SegmentResult:
    sure = np.linspace(0.5, 0.9, int(labels.max()) + 1).astype(np.float32)
    return SegmentResult(labels, KeptOutput(None, box, False, sure), box, "nuclei-2d", **changes)


IMAGE = Image(np.random.default_rng(0).random((20, 20)), "YX", name="picture")


@pytest.fixture
def session():
    made = Session(InlineRunner())
    made.set_model("nuclei-2d")
    result = result_of(cells())
    made.open_result("layer", IMAGE, cells(), prediction=result.prediction, model=result.model)
    return made


class LateRunner:
    """Keep jobs until the test runs them."""

    def __init__(self):
        self.waiting = []

    def run(self, fn, request, job):
        self.waiting.append((fn, request, job))

    def finish_next(self):
        fn, request, job = self.waiting.pop(0)
        job.settle(run_job(fn, request, job, job.receive))


def test_set_model_when_it_changes_then_it_is_told_once(session, own):
    write_spec(own, "mine")
    with assert_emitted_once_with(session.model_changed, "mine"):
        session.set_model("mine")
        session.set_model("mine")
    with pytest.raises(UserError, match="no model"):
        session.set_model("absent")
    assert session.model == "mine"


@pytest.mark.parametrize(
    ("verb", "value", "state"),
    [("accept", [1], "accepted"), ("mark_unsure", [1], "unsure")],
)
def test_verbs_when_undone_then_the_state_is_as_before(session, verb, value, state):
    with assert_emitted_once_with(session.result_changed, "layer"):
        getattr(session, verb)("layer", value)
    assert session.states("layer", cells()) == {1: state, 2: "predicted"}
    session.history.undo()
    assert session.states("layer", cells()) == {1: "predicted", 2: "predicted"}
    session.history.redo()
    assert session.states("layer", cells())[1] == state


def test_verbs_when_taken_back_by_their_opposite_then_nothing_teaches(session):
    box = (slice(0, 9), slice(0, 9))
    session.accept("layer", [1])
    session.unaccept("layer", [1])
    session.mark_unsure("layer", [2])
    session.mark_sure("layer", [2])
    session.mark_done("layer", box)
    session.unmark_done("layer", 0)
    with pytest.raises(UserError, match="nothing to learn"):
        session.trainer.teachers({"layer": cells()})
    session.mark_background("layer", box)
    assert session.trainer.teachers({"layer": cells()})[0].corrections.background.sum() == 81


def test_merge_result_when_an_object_was_accepted_then_it_stays_and_one_undo_takes_all_back(session):
    session.accept("layer", [2])
    layer, written = cells(), []
    found = np.roll(cells(), 1, axis=0)
    with session.history.group("Segment", "layer"):
        new = session.merge_result("layer", layer, result_of(found))
        written.append(new)
    assert (new == 2).sum() == 36
    assert session.states("layer", new) == {2: "accepted", 3: "predicted"}
    assert session.confidences("layer") == pytest.approx({3: 0.7})
    session.history.undo()
    assert session.states("layer", layer) == {1: "predicted", 2: "accepted"}
    assert session.confidences("layer") == pytest.approx({1: 0.7, 2: 0.9})


def test_merge_result_when_there_is_a_box_then_confidence_outside_is_kept(session):
    box = (slice(0, 8), slice(0, 8))
    new = session.merge_result("layer", cells(), result_of(cells()[box], box))
    assert set(session.confidences("layer")) >= set(np.unique(new)) - {0}
    assert session.result("layer").prediction.box == box


def test_merge_result_when_classes_meet_objects_then_it_is_refused(session):
    with pytest.raises(UserError, match="classes"):
        session.merge_result("layer", cells(), result_of(cells(), classes=("a", "b")))


def test_result_when_the_layer_is_not_known_then_it_says_so(session):
    with pytest.raises(UserError, match="do not belong"):
        session.accept("other", [1])
    assert not session.has("other")


def test_close_result_when_the_layer_is_removed_then_its_steps_and_jobs_are_dropped(session, monkeypatch):
    runner, shown = LateRunner(), []
    late = Session(runner)
    late.open_result("layer", IMAGE, cells(), prediction=result_of(cells()).prediction, model="nuclei-2d")
    late.accept("layer", [1])
    monkeypatch.setattr(commands, "redecode", lambda request, report, stop: result_of(cells()))
    job = late.redecode("layer", SegmentOptions(), shown.append)
    late.close_result("layer")
    runner.finish_next()
    assert (job.state, shown, late.history.can_undo) == (JobState.SUPERSEDED, [], False)


def test_redecode_when_the_image_was_segmented_meanwhile_then_the_older_output_is_not_shown(monkeypatch):
    runner, shown = LateRunner(), []
    late = Session(runner)
    late.open_result("layer", IMAGE, cells(), prediction=result_of(cells()).prediction, model="nuclei-2d")
    monkeypatch.setattr(commands, "redecode", lambda request, report, stop: result_of(cells()))
    late.redecode("layer", SegmentOptions(), shown.append)
    newer = result_of(cells())
    late.merge_result("layer", cells(), replace(newer, prediction=replace(newer.prediction, output=object())))
    runner.finish_next()
    assert not shown


def test_voxel_size_when_said_later_then_it_stays_whatever_is_undone(session):
    session.merge_result("layer", cells(), result_of(cells()))
    with assert_emitted_once_with(session.result_changed, "layer"):
        session.set_voxel_size("layer", (0.5, 0.2))
    session.history.undo()
    assert session.result("layer").image.voxel_size == (0.5, 0.2)
    assert not session.history.can_undo


def test_redecode_when_drawn_by_hand_then_there_is_nothing_to_decode(session):
    session.open_result("drawn", IMAGE, np.zeros((20, 20), np.int32))
    assert session.redecode("drawn", SegmentOptions(), print) is None


def test_segment_when_no_model_is_chosen_then_it_says_so():
    with pytest.raises(UserError, match="No model"):
        Session(InlineRunner()).segment(IMAGE, print, options=SegmentOptions())


def test_segment_when_done_then_the_model_is_remembered_for_the_image(session, own, monkeypatch):
    monkeypatch.setattr(commands, "segment", lambda request, report, stop: request)
    write_spec(own, "mine")
    session.set_model("mine")
    asked = []
    session.segment(IMAGE, asked.append, options=SegmentOptions(), time=0)
    session.set_model("nuclei-2d")
    assert asked[0].model == own / "mine"
    assert session.default_model(IMAGE) == "mine"
    assert session.default_model(Image(np.zeros((3, 3)), "YX", name="other")) == "nuclei-2d"


def training_of(name: str, folder, *, accepted: bool) -> Training:
    return Training(name, folder, "nuclei-2d", accepted, 0.5, 0.7 if accepted else 0.3)


def test_fine_tune_when_accepted_then_the_new_model_is_used_and_one_click_takes_it_back(session, own, monkeypatch):
    def fake(request, report, stop):
        assert request.snapshots[0].labels is not layer
        return training_of("nuclei-2d-ft-1", write_spec(own, "nuclei-2d-ft-1"), accepted=True)

    layer = cells()
    monkeypatch.setattr(commands, "fine_tune", fake)
    session.accept("layer", [1, 2])
    with assert_emitted_once(session.trainer.ended):
        session.trainer.fine_tune({"layer": layer}, TrainOptions())
    assert (session.model, session.previous_model) == ("nuclei-2d-ft-1", "nuclei-2d")
    session.take_back_model()
    assert (session.model, session.previous_model) == ("nuclei-2d", None)
    assert session.trainer.last.after == 0.7
    with pytest.raises(UserError, match="No training"):
        session.take_back_model()


def test_take_back_when_there_were_several_rounds_then_it_goes_back_one_by_one_also_after_a_restart(own):
    training = {"learned": "all", "lineage": ["nuclei-2d"]}
    write_spec(own, "nuclei-2d-ft-1", parent="nuclei-2d", training=training)
    training = {"learned": "all", "lineage": ["nuclei-2d", "nuclei-2d-ft-1"]}
    write_spec(own, "nuclei-2d-ft-2", parent="nuclei-2d-ft-1", training=training)
    session = Session(InlineRunner())  # nothing is known of the trainings but what is on the disk
    session.choose_model("nuclei-2d-ft-2")
    assert library.last_used(IMAGE) == "nuclei-2d-ft-2"
    session.take_back_model()
    assert (session.model, session.previous_model) == ("nuclei-2d-ft-1", "nuclei-2d")
    session.take_back_model()
    assert (session.model, session.previous_model) == ("nuclei-2d", None)
    assert library.last_used(IMAGE) == "nuclei-2d"


def test_fine_tune_when_not_accepted_then_the_old_model_stays(session, monkeypatch):
    monkeypatch.setattr(commands, "fine_tune", lambda request, report, stop: training_of("worse", None, accepted=False))
    session.accept("layer", [1])
    session.trainer.fine_tune({"layer": cells()}, TrainOptions())
    assert (session.model, session.previous_model) == ("nuclei-2d", None)
    assert session.trainer.last.accepted is False


def test_fine_tune_when_nothing_teaches_then_it_does_not_start(session):
    with pytest.raises(UserError, match="nothing to learn from"):
        session.trainer.fine_tune({"layer": cells()}, TrainOptions())
    assert not session.jobs.is_busy


def test_train_when_it_reports_then_rows_arrive_and_the_new_model_is_used(session, own, monkeypatch):
    from napari_unet.core.base.progress import Progress

    def fake(request, report, stop):
        report(Progress(1, 2, payload="row"))
        return training_of(request.title, write_spec(own, request.title), accepted=True)

    rows = []
    monkeypatch.setattr(commands, "train", fake)
    session.mark_done("layer", (slice(None), slice(None)))
    job = session.trainer.train({"layer": cells()}, TrainOptions(), "mine", on_payload=rows.append)
    assert (rows, session.model, job.is_background) == (["row"], "mine", True)


def test_review_when_painting_goes_on_then_the_newest_look_counts():
    late, seen = Session(LateRunner()), []
    late.open_result("layer", IMAGE, cells())
    late.accept("layer", [1, 2])
    layer = cells()
    old = late.trainer.review({"layer": layer}, seen.append)
    layer[:] = 0
    late.trainer.review({"layer": layer}, seen.append)
    late.jobs._runner.finish_next()
    late.jobs._runner.finish_next()
    assert old.state is JobState.SUPERSEDED
    assert [review.summary.n_accepted for review in seen] == [0]
    assert not late.jobs.is_busy


def test_review_when_asked_then_its_job_makes_the_copy():
    late, seen = Session(LateRunner()), []
    late.open_result("layer", IMAGE, cells())
    late.accept("layer", [1, 2])
    layer = cells()
    late.trainer.review({"layer": layer}, seen.append)
    layer[layer == 2] = 0
    late.jobs._runner.finish_next()
    assert [review.summary.n_accepted for review in seen] == [1]


def test_merge_result_when_the_volume_is_large_then_its_undo_step_says_what_it_keeps(session):
    session.accept("layer", [1])
    assert session.history._done[-1].n_bytes == 0
    first, second = (replace(result_of(cells()), prediction=KeptOutput(object(), n_bytes=3200)) for _ in range(2))
    session.merge_result("layer", cells(), first)
    session.merge_result("layer", cells(), second)
    assert session.history._done[-1].n_bytes == 3200 + cells().nbytes


def test_review_when_asked_then_all_open_layers_count(session):
    session.open_result("second", IMAGE, cells())
    labels = {"layer": cells(), "second": cells()}
    seen = []
    session.trainer.review(labels, seen.append)
    assert seen[-1].problems[0].blocks
    session.accept("layer", [1, 2])
    session.accept("second", [1, 2])
    session.trainer.review(labels, seen.append)
    assert seen[-1].summary.text == "4 accepted cells in 2 images"
    assert ["background" in problem.text for problem in seen[-1].problems] == [True]


def test_fine_tune_when_only_samples_on_disk_teach_then_it_starts_all_the_same(session, monkeypatch):
    asked = []

    def fake(request, report, stop):
        asked.append(request)
        return training_of("worse", None, accepted=False)

    monkeypatch.setattr(commands, "fine_tune", fake)
    monkeypatch.setattr(lineage, "has_samples", lambda folder: folder.name == "nuclei-2d")
    session.trainer.fine_tune({"layer": cells()}, TrainOptions())
    assert len(asked[0].snapshots) == 1
