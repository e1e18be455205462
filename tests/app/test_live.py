"""A live training: what reaches it, what it may write, and how it ends."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.app import commands, library, live, live_inbox
from napari_unet.app.annotations import accept, changes, decided_voxels, done_mask, start, unique_ids
from napari_unet.app.history import CallStep
from napari_unet.app.job import JobState
from napari_unet.app.live import LiveRequest, Shown, learn_live, middle
from napari_unet.app.live_inbox import Inbox, Look
from napari_unet.app.live_session import NAME, Canvas, LiveLearning
from napari_unet.app.live_updates import compare, settle
from napari_unet.app.requests import Training
from napari_unet.app.session import Session
from napari_unet.app.teaching import Snapshot, take_snapshot
from napari_unet.core.base.errors import Cancelled, Interrupted, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import silent
from napari_unet.core.pipeline import live as pipeline
from napari_unet.core.pipeline.compare import Comparison
from napari_unet.core.pipeline.live import LiveResult, Published
from tests.app.models import save_tiny
from tests.app.strategies import boxes, corrected, predictions

IMAGE = Image(np.random.default_rng(0).random((20, 20)).astype(np.float32), "YX", name="picture")
WHOLE = (slice(0, 20), slice(0, 20))


def cells() -> np.ndarray:
    labels = np.zeros((20, 20), np.int32)
    labels[2:6, 2:6], labels[10:16, 10:16] = 1, 2
    return labels


def snapshot(labels=None, corrections=None, image=IMAGE) -> Snapshot:
    labels = cells() if labels is None else labels
    return take_snapshot(image, labels, start(labels) if corrections is None else corrections)


# --- the inbox ---


def test_inbox_when_labels_are_handed_in_then_they_are_taken_once():
    inbox, one = Inbox(), snapshot()
    assert inbox.take(0.0) is None
    inbox.put({"a": snapshot()})
    inbox.put({"a": one})
    assert inbox.take(0.0) == {"a": one}
    assert inbox.take(0.0) is None
    assert inbox.latest("a") is one
    inbox.drop("a")
    assert inbox.take(0.0) == {}
    assert inbox.latest("a") is None


def test_inbox_when_labels_are_large_then_room_for_the_next_copy_is_given_once(monkeypatch):
    monkeypatch.setattr(live_inbox, "LARGE_BYTES", 20 * 20 * 4)
    inbox = Inbox()
    inbox.put(
        {"small": snapshot(), "large": snapshot(cells().astype(np.int64)), "gone": snapshot(cells().astype(np.int64))}
    )
    inbox.make_room()
    inbox.drop("gone")
    room = inbox.room("large")
    assert (room.shape, room.dtype) == ((20, 20), np.int64)
    assert [inbox.room(key) for key in ("small", "large", "gone")] == [None, None, None]


@pytest.mark.parametrize("news", ["labels", "view"])
def test_inbox_when_something_comes_then_the_waiting_ends(news):
    inbox = Inbox()
    put = (lambda: inbox.put({"a": snapshot()})) if news == "labels" else (lambda: inbox.look_at(Look("a", WHOLE)))
    other = threading.Thread(target=put)
    other.start()
    found = inbox.take(600.0) if news == "labels" else inbox.take(0.0)
    other.join()
    assert (found is not None) is (news == "labels")


# --- what an update may write ---


def all_touched(c, labels):
    """Give the voxels that a person has decided, by the rules of the annotations."""
    chosen = set() if c.semantic else c.accepted | changes(c, labels).edited
    objects = np.isin(labels, list(chosen - {0}))
    return objects | decided_voxels(c, labels) | done_mask(c)


@st.composite
def updates(draw, semantic: bool = False):
    """Labels at a moment, a prediction of a box, and the labels and corrections some strokes later."""
    c, labels = draw(corrected(semantic))
    box = draw(boxes(labels.shape))
    prediction = draw(predictions(labels[box].shape))
    now = labels.copy()
    for _ in range(draw(st.integers(0, 2))):
        now[draw(boxes(labels.shape))] = draw(st.integers(0, 12))
    later = c if semantic else accept(c, draw(st.sets(st.integers(1, 4), max_size=1)))
    return c, labels, box, prediction, later, now


def apply(made):
    c, labels, box, prediction, later, now = made
    picture = Image(np.zeros(labels.shape, np.float32), "ZYX"[-labels.ndim :])
    update = compare(Snapshot(picture, labels.copy(), c, "it"), prediction, box)
    written = settle(update, later, now)
    after = now.copy()
    if written is not None:
        after[written.where] = written.values
        later = replace(later, predicted=written.predicted)
    return after, later


@pytest.mark.parametrize("semantic", [False, True])
def test_update_when_written_then_what_a_person_touched_never_changes(semantic):
    @given(updates(semantic))
    @settings(deadline=None, max_examples=200)
    def check(made):
        _, _, box, _, c, now = made
        after, later = apply(made)
        hands_off = all_touched(c, now)
        np.testing.assert_array_equal(after[hands_off], now[hands_off])
        outside = np.ones(now.shape, bool)
        outside[box] = False
        np.testing.assert_array_equal(after[outside], now[outside])
        # Later trainings learn from the same as without it; strokes of background count where a prediction lay on them.
        free = np.ones(now.shape, bool) if c.background is None else ~c.background
        np.testing.assert_array_equal(all_touched(later, after) & free, hands_off & free)

    check()


@given(updates())
@settings(deadline=None, max_examples=200)
def test_update_when_an_object_is_new_then_its_number_was_nobodys(made):
    _, labels, _, _, c, now = made
    after, later = apply(made)
    assert not (unique_ids(after) - unique_ids(now)) & (c.accepted | c.unsure | c.edited | unique_ids(labels))
    assert changes(later, after).edited == changes(c, now).edited


def test_update_when_an_object_is_like_the_old_one_then_it_keeps_its_number():
    grown = np.roll(cells(), 1, axis=1)[:, ::1]
    numbers = np.where(grown > 0, 3 - grown, 0)
    update = compare(snapshot(), numbers, WHOLE)
    written = settle(update, update.snapshot.corrections, cells())
    after = cells()
    after[written.where] = written.values
    np.testing.assert_array_equal(after, grown)
    assert len(written.values) == 2 * (4 + 6)


def test_update_when_the_user_has_drawn_an_object_meanwhile_then_numbers_stay_apart():
    more = cells()
    more[17:19, 2:5] = 3
    update = compare(snapshot(), more, WHOLE)
    now = cells()
    now[0, 10:14] = 3
    written = settle(update, update.snapshot.corrections, now)
    assert set(written.values.tolist()) == {4}


def test_update_when_an_object_is_accepted_meanwhile_then_it_stays_whole():
    right = np.roll(cells(), 1, axis=1)
    update = compare(snapshot(), right, WHOLE)
    written = settle(update, accept(update.snapshot.corrections, [1]), cells())
    after = cells()
    after[written.where] = written.values
    np.testing.assert_array_equal(after == 1, cells() == 1)
    np.testing.assert_array_equal(after == 2, right == 2)


@pytest.mark.parametrize("change", ["predicted", "done", "background"])
def test_update_when_the_ground_has_changed_then_it_is_dropped(change):
    update = compare(snapshot(), np.roll(cells(), 2, axis=1), WHOLE)
    c = update.snapshot.corrections
    changed = {
        "predicted": cells(),
        "done": ((slice(0, 2), slice(0, 2)),),
        "background": np.zeros((20, 20), bool),
    }[change]
    assert settle(update, replace(c, **{change: changed}), cells()) is None


def test_update_when_the_type_has_no_room_then_it_says_so():
    labels = cells().astype(np.uint8)
    labels[0, 0] = 255
    more = cells()
    more[0, 0], more[17:19, 2:5] = 3, 4
    with pytest.raises(UserError, match="uint8"):
        compare(snapshot(labels), more, WHOLE)


# --- the window's side ---


class Painted:
    """A labels layer without a window."""

    def __init__(self) -> None:
        self.labels = cells()
        self.is_free = True

    def write(self, key, where, values) -> None:
        self.labels[where] = values


class Waiting:
    """Keep the job for the test."""

    def run(self, fn, request, job) -> None:
        self.job = job


@pytest.fixture
def layer():
    return Painted()


@pytest.fixture
def session(models_home, layer):
    save_tiny(models_home / "models")
    made = Session(Waiting())
    made.set_model("tiny")
    made.open_result("layer", IMAGE, layer.labels)
    return made


@pytest.fixture
def learning(session, layer):
    canvas = Canvas(lambda key: layer.labels if session.has(key) else None, layer.write, lambda key: layer.is_free)
    made = LiveLearning(session, canvas)
    made.start(TrainOptions(), lambda payload: None)
    made.hand_in(["layer"])
    return made


def show(session, learning, prediction, number=1):
    """Let the job show a prediction, compared with what was handed in last."""
    update = compare(learning.inbox.latest("layer"), prediction, WHOLE)
    session.jobs.running.produced.emit(Shown(number, 2, "layer", update))


def moved(by):
    """Predict the second object a little further to the right."""
    return np.where(cells() == 1, 1, np.roll(np.where(cells() == 2, 2, 0), by, axis=1))


def test_hand_in_when_nothing_has_changed_then_nothing_is_copied(learning, layer, session):
    first = learning.inbox.latest("layer")
    learning.hand_in(["layer", "gone"])
    assert learning.inbox.latest("layer") is first
    layer.labels[0, 0] = 7
    learning.hand_in(["layer"])
    assert learning.inbox.latest("layer").labels[0, 0] == 7
    session.accept("layer", [1])
    learning.hand_in(["layer"])
    assert learning.inbox.latest("layer").corrections.accepted == {1}


def test_hand_in_when_room_is_ready_then_it_takes_the_copy(learning, layer, monkeypatch):
    monkeypatch.setattr(live_inbox, "LARGE_BYTES", 0)
    rooms = []
    monkeypatch.setattr(live_inbox, "room_like", lambda labels: rooms.append(np.zeros_like(labels)) or rooms[-1])
    before = learning.inbox.latest("layer").labels
    assert live._Source(learning.inbox).take(0.0) is None  # nothing is corrected yet
    layer.labels[0, 0] = 7
    learning.hand_in(["layer"])
    assert learning.inbox.latest("layer").labels is rooms[0]
    np.testing.assert_array_equal(rooms[0], layer.labels)
    assert before[0, 0] == 0


def test_shown_when_models_follow_each_other_then_all_is_one_undo_step(learning, layer, session):
    session.accept("layer", [1])
    for by in (1, 2, 3):
        learning.hand_in(["layer"])
        show(session, learning, moved(by))
    np.testing.assert_array_equal(layer.labels == 2, moved(3) == 2)
    np.testing.assert_array_equal(layer.labels == 1, cells() == 1)
    assert session.history.undo() == NAME
    np.testing.assert_array_equal(layer.labels, cells())
    assert session.states("layer", layer.labels) == {1: "accepted", 2: "predicted"}
    assert session.history.undo() == "Accept"
    session.history.redo()
    assert session.history.redo() == NAME
    np.testing.assert_array_equal(layer.labels == 2, moved(3) == 2)
    assert session.states("layer", layer.labels) == {1: "accepted", 2: "predicted"}


def test_shown_when_the_user_makes_steps_between_then_undo_takes_them_back_in_order(learning, layer, session):
    show(session, learning, moved(1))
    session.accept("layer", [1])
    layer.labels[18, 2:5] = 9

    def paint(value):
        layer.labels[18, 2:5] = value

    session.history.push(CallStep("Paint", lambda: paint(0), lambda: paint(9), owner="layer"))
    learning.hand_in(["layer"])
    show(session, learning, moved(2))
    assert (layer.labels[18, 2:5] == 9).all()
    assert [session.history.undo() for _ in range(3)] == ["Paint", "Accept", NAME]
    np.testing.assert_array_equal(layer.labels, cells())
    assert set(session.states("layer", layer.labels).values()) == {"predicted"}


def test_shown_when_a_stroke_is_under_way_then_it_waits_for_its_end(learning, layer, session):
    layer.is_free, right = False, np.roll(cells(), 1, axis=1)
    show(session, learning, right)
    np.testing.assert_array_equal(layer.labels, cells())
    layer.labels[12, 8:18] = 2  # the stroke
    layer.is_free = True
    assert learning.is_waiting
    assert learning.write()
    assert (layer.labels[12, 8:18] == 2).all()
    np.testing.assert_array_equal(layer.labels == 1, right == 1)
    assert not learning.is_waiting


def test_shown_when_something_can_be_redone_then_it_waits(learning, layer, session):
    show(session, learning, moved(1))
    session.history.undo()
    learning.hand_in(["layer"])
    show(session, learning, moved(1))
    np.testing.assert_array_equal(layer.labels, cells())
    session.accept("layer", [1])
    learning.hand_in(["layer"])
    show(session, learning, moved(1))
    np.testing.assert_array_equal(layer.labels, moved(1))


def test_shown_when_the_layer_was_removed_then_nothing_happens(learning, layer, session):
    update = Shown(1, 2, "layer", compare(learning.inbox.latest("layer"), moved(1), WHOLE))
    session.close_result("layer")
    learning.forget("layer")
    session.jobs.running.produced.emit(update)
    assert not learning.is_waiting
    assert learning.inbox.take(0.0) == {}


# --- the job ---


@pytest.fixture
def found(monkeypatch):
    """Replace the core's learning; the test says what it does."""

    def install(act):
        monkeypatch.setattr(pipeline, "live", act)

    return install


def correction():
    return snapshot(corrections=accept(start(cells()), [1, 2]))


def test_source_when_nothing_new_teaches_then_samples_are_the_same_objects():
    inbox = Inbox()
    source = live._Source(inbox)
    one = correction()
    inbox.put({"a": one, "b": one})
    first = source.take(0.0)
    assert [sample.name for sample in first] == ["picture", "picture-2"]
    other = one.labels.copy()
    other[0, 0] = 9  # a prediction
    inbox.put({"a": replace(one, labels=other, corrections=replace(one.corrections, predicted=other))})
    assert source.take(0.0) is None
    inbox.put({"b": replace(one, corrections=accept(start(cells()), [1]))})
    again = source.take(0.0)
    assert again[0] is first[0]
    assert again[1] is not first[1]


def result_of(model, *, is_better=True):
    return LiveResult(model, is_better, 12, Comparison(0.5, 0.6), ())


def test_learn_live_when_it_is_better_then_the_model_is_saved_with_what_taught_it(models_home, found, session):
    inbox, told = Inbox(), []
    inbox.put({"layer": correction()})
    inbox.look_at(Look("layer", WHOLE))

    def act(model, watch, options, report, stop, publish, checkpoint):
        samples = watch(0.0)
        assert len(samples) == 1
        inbox.look_at(Look("layer", (slice(0, 10), slice(0, 10))))
        publish(Published(model, 1, 2))
        for corner in (2, 4):  # the second one shows more
            inbox.look_at(Look("layer", (slice(2, 8), slice(corner, corner + 8))))
            watch(0.0)
        # What a crash would leave to go on with.
        assert (checkpoint.parent / "labels" / "picture.tif").is_file()
        return result_of(model)

    found(act)
    request = LiveRequest(models_home / "models" / "tiny", inbox)
    training = learn_live(request, lambda p: told.append(p.payload), lambda: False)
    shown = [one for one in told if isinstance(one, Shown)]
    assert [(one.number, one.n_cells, one.key, one.problem) for one in shown] == [(1, 2, "layer", "")] * 2
    assert all(one.update is not None for one in shown)
    assert (training.accepted, training.before, training.after, training.n_held_out) == (True, 0.5, 0.6, 12)
    assert commands.load_cached(training.folder).spec.name == training.name == "tiny-ft-1"
    sets = library.training_sets_folder()
    assert [path.name for path in sets.iterdir()] == ["tiny-ft-1"]
    assert (sets / "tiny-ft-1" / "labels" / "picture.tif").is_file()


def test_learn_live_when_late_corrections_do_not_decide_then_the_ordinary_gate_does(
    models_home, found, session, monkeypatch
):
    inbox, asked = Inbox(), []
    inbox.put({"layer": correction()})

    def act(model, watch, *given):
        watch(0.0)
        return result_of(model, is_better=False)

    def fine_tune(request, report, stop):
        asked.append(request)
        assert not stop()
        return Training("tiny", None, "tiny", False, 0.6, 0.5)

    found(act)
    monkeypatch.setattr(commands, "fine_tune", fine_tune)
    training = learn_live(LiveRequest(models_home / "models" / "tiny", inbox), silent, lambda: True)
    assert not training.accepted
    assert training.stopped
    assert asked[0].snapshots == (inbox.latest("layer"),)
    assert not list(library.training_sets_folder().iterdir())


@pytest.mark.parametrize(("error", "stays"), [(Cancelled, False), (Interrupted, True)])
def test_learn_live_when_given_up_then_only_a_closed_window_leaves_something(models_home, found, session, error, stays):
    inbox = Inbox()
    inbox.put({"layer": correction()})

    def act(model, watch, options, report, stop, publish, checkpoint):
        watch(0.0)
        publish(Published(model, 1, 2))
        watch(0.0)
        raise error

    found(act)
    with pytest.raises(error):
        learn_live(LiveRequest(models_home / "models" / "tiny", inbox), silent, bool)
    assert [path.name for path in library.training_sets_folder().iterdir()] == ["tiny-live"] * stays


def test_learn_live_when_the_picture_cannot_be_segmented_then_the_learning_goes_on(models_home, found, session):
    inbox, told = Inbox(), []
    stack = Image(np.zeros((0, 20), np.float32), "YX")
    inbox.put({"layer": Snapshot(stack, np.zeros((0, 20), np.int32), start(np.zeros((0, 20), np.int32)), "empty")})
    inbox.look_at(Look("layer", WHOLE))

    def act(model, watch, options, report, stop, publish, checkpoint):
        publish(Published(model, 1, 2))
        raise Cancelled

    found(act)
    with pytest.raises(Cancelled):
        learn_live(LiveRequest(models_home / "models" / "tiny", inbox), lambda p: told.append(p.payload), bool)
    assert told[-1].problem
    assert not list((models_home / "models").glob("tiny-*"))


def test_learn_live_when_stopped_while_segmenting_then_nothing_more_is_shown(models_home, found, session):
    inbox, told = Inbox(), []
    inbox.put({"layer": correction()})
    inbox.look_at(Look("layer", WHOLE))

    def act(model, watch, options, report, stop, publish, checkpoint):
        publish(Published(model, 1, 2))
        raise Cancelled

    found(act)
    with pytest.raises(Cancelled):
        learn_live(LiveRequest(models_home / "models" / "tiny", inbox), lambda p: told.append(p.payload), lambda: True)
    assert not [one for one in told if isinstance(one, Shown)]


def test_learn_live_when_cancelled_or_broken_then_the_session_says_so(session, learning):
    from napari_unet.app.jobs import run_job

    job = session.jobs.running
    job.cancel()
    outcome = run_job(learn_live, LiveRequest(library.find_model("tiny"), learning.inbox), job, job.receive)
    job.settle(outcome)
    assert job.state is JobState.CANCELLED
    assert session.model == "tiny"
    assert not session.jobs.is_busy


def test_middle_when_the_view_is_large_then_its_middle_is_left():
    box = (slice(3, 4), slice(10, 20), slice(0, 101))
    assert middle(box, 50) == (slice(3, 4), slice(10, 20), slice(25, 75))
