"""A training whose window was closed goes on another day; one that ended, or was discarded, does not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_unet.app import commands, library, unfinished
from napari_unet.app.annotations import accept, start
from napari_unet.app.requests import FineTuneRequest, TrainRequest
from napari_unet.app.teaching import take_snapshot
from napari_unet.app.unfinished import NOTE, Unfinished, begun, find, forget
from napari_unet.core.base.errors import Cancelled, Interrupted, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import silent
from tests.app.models import save_tiny

OPTIONS = TrainOptions(budget="6steps", patch=16, batch=1, device="cpu", precision="fp32")


def snapshot():
    labels = np.zeros((40, 40), np.int32)
    labels[4:14, 4:14], labels[20:30, 22:32] = 1, 2
    noise = np.random.default_rng(0).normal(0, 0.1, labels.shape)
    image = Image(((labels > 0) + noise).astype(np.float32), "YX", (0.3, 0.3), name="picture")
    return take_snapshot(image, labels, accept(start(labels), [1, 2]), origin="layer")


def breaking_off(progress):
    """End the last training, after those that learn without a held-out half, at its step 4."""
    if progress.payload is not None and progress.fraction > 0.66 and progress.payload.step == 4:
        raise Interrupted


@pytest.fixture
def tiny(models_home):
    return save_tiny(models_home / "models")


def test_fine_tune_when_the_window_was_closed_then_it_goes_on_from_its_checkpoint(tiny):
    request = FineTuneRequest(tiny, (snapshot(),), options=OPTIONS)
    with pytest.raises(Interrupted):
        commands.fine_tune(request, breaking_off, lambda: False)
    (found,) = find()
    assert (found.kind, found.options) == ("fine-tune", OPTIONS)
    assert found.has_steps
    again = FineTuneRequest(library.find_model(found.model), options=found.options, resume=found.folder)
    training = commands.fine_tune(again, silent, lambda: False)
    assert [row.step for row in training.history] == [5, 6]
    assert not find()
    if training.folder is not None:
        assert training.folder.name == found.folder.name


def test_train_when_the_window_was_closed_then_it_goes_on_from_its_checkpoint(tiny):
    request = TrainRequest((snapshot(),), options=replace(OPTIONS, net="fast"), title="My cells")

    def report(progress):
        if progress.payload is not None and progress.payload.step == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        commands.train(request, report, lambda: False)
    (found,) = find()
    assert (found.kind, found.title) == ("new", "My cells")
    again = TrainRequest(options=found.options, title=found.title, resume=found.folder)
    training = commands.train(again, silent, lambda: False)
    assert [row.step for row in training.history] == [5, 6]
    assert training.name == "My-cells"
    assert not find()


@pytest.mark.parametrize("error", [Cancelled, UserError("It cannot.")])
def test_fine_tune_when_discarded_or_refused_then_there_is_nothing_to_go_on_with(tiny, error):
    def report(progress):
        if progress.payload is not None:
            raise error

    with pytest.raises((Cancelled, UserError)):
        commands.fine_tune(FineTuneRequest(tiny, (snapshot(),), options=OPTIONS), report, lambda: False)
    assert not find()


def test_fine_tune_when_it_runs_in_another_window_then_that_one_loses_nothing(tiny):
    request = FineTuneRequest(tiny, (snapshot(),), options=OPTIONS)
    with pytest.raises(Interrupted):
        commands.fine_tune(request, breaking_off, lambda: False)
    (found,) = find()
    with begun(found), pytest.raises(UserError, match="Another window"):
        commands.fine_tune(replace(request, resume=found.folder), silent, lambda: False)
    assert find() == [found]


def some(folder):
    return Unfinished(folder, "fine-tune", "tiny", options=OPTIONS)


def test_find_when_it_runs_in_a_window_then_it_is_not_offered(models_home):
    one = some(library.training_sets_folder() / "tiny-ft-1")
    with begun(one):
        assert not find()
        with pytest.raises(UserError, match="Another window"), begun(one):
            pass
    assert find() == [one]
    unfinished.finished(one.folder)
    assert not find()


def test_find_when_several_were_interrupted_then_each_can_be_forgotten(models_home):
    for name in ("a", "b"):
        with begun(some(library.training_sets_folder() / name)):
            pass
    assert {one.folder.name for one in find()} == {"a", "b"}
    forget(find()[0])
    assert len(find()) == 1


@pytest.mark.parametrize(
    ("change", "n"),
    [({"kind": "other"}, 0), ({"options": {"budget": 3}}, 0), ({"options": {"later": 1}}, 1), (None, 0)],
)
def test_find_when_a_note_is_damaged_or_newer_then_what_cannot_be_read_is_left_out(models_home, change, n):
    one = some(library.training_sets_folder() / "a")
    with begun(one):
        pass
    path = one.folder / NOTE
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text("{" if change is None else json.dumps(values | change), encoding="utf-8")
    assert len(find()) == n
