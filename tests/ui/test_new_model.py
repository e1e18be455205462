"""A new model: where it starts, its plan in words, and pre-training on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from napari_unet.app import commands, library, planning
from napari_unet.app.commands import Training
from napari_unet.app.planning import PlanReport
from napari_unet.core.base.progress import Progress
from napari_unet.core.store.spec import PRETRAINED
from tests.ui.conftest import LIMIT_MS, Row, add_model, squares, wait_idle

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

NAN = float("nan")


def made(name: str, *, target: str = "instances", after: float = NAN, stopped: bool = False) -> Training:
    add_model(name, target=target)
    return Training(name, library.models_folder() / name, "", True, NAN, after, stopped=stopped)


def choose(box: Any, name: str) -> None:
    box.setCurrentIndex(box.findData(name))


def test_new_model_when_all_is_chosen_then_the_training_is_asked_for_that(
    segmented: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    asked: list[Any] = []

    def train(request: Any, report: Any, stop: Any) -> Training:
        asked.append(request)
        return made("mine")

    monkeypatch.setattr(commands, "train", train)
    dock, new = segmented, segmented.train.new
    dock.session.accept(dock.results.need().key, [1])
    add_model("knows-much")
    new.refresh()
    choose(new.start, "knows-much")
    new.form.widgets["net"].value = "res-unet"
    new.more.widgets["norm"].value = "group"
    dock.train.options.widgets["augment"].value = "em"
    new.train.click()
    wait_idle(dock, qtbot)
    options = asked[0].options
    assert (options.net, options.norm, options.augment) == ("res-unet", "group", "em")
    assert asked[0].start == library.find_model("knows-much")
    assert new.start.currentData() == "knows-much"  # the choice stays when the list gets longer
    assert new.start.findData("mine") > 0
    assert not told.errors


def test_start_when_its_model_was_deleted_then_says_so(segmented: UNetWidget, told: Told) -> None:
    new = segmented.train.new
    segmented.session.accept(segmented.results.need().key, [1])
    add_model("gone")
    new.refresh()
    choose(new.start, "gone")
    library.delete_model("gone")
    new.train.click()
    assert "gone" in told.errors[0]
    assert not segmented.session.jobs.is_busy


def test_plan_when_asked_for_then_each_decision_is_a_line(
    segmented: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    asked: list[Any] = []

    def plan(request: Any, report: Any, stop: Any) -> PlanReport:
        asked.append(request)
        return PlanReport("unet", {}, (64, 64), 4, None, 0, 0.1, ("Patch: 64.", "Batch: 4."))

    monkeypatch.setattr(planning, "plan", plan)
    new = segmented.train.new
    assert new.words.isHidden()
    new.form.widgets["target"].value = "semantic"
    new.plan.click()
    assert "Accept or correct" in told.errors[0]
    segmented.session.accept(segmented.results.need().key, [1])
    new.plan.click()
    qtbot.waitUntil(lambda: not new.words.isHidden(), timeout=LIMIT_MS)
    assert new.words.text().splitlines() == ["\u2022 Patch: 64.", "\u2022 Batch: 4."]
    assert asked[0].options.target == "semantic"


def test_pretrain_when_done_then_the_next_new_model_starts_from_it_and_segmenting_goes_on_as_before(
    viewer: Viewer, model: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    asked: list[Any] = []

    def pretrain(request: Any, report: Any, stop: Any) -> Training:
        asked.append(request)
        report(Progress(1, 2, "step 1", Row(1, 0.5)))
        return made("squares-pre-trained", target=PRETRAINED, after=0.62)

    monkeypatch.setattr(commands, "pretrain", pretrain)
    viewer.add_image(squares(), name="squares")
    dock.train.new.pretrain.click()
    wait_idle(dock, qtbot)
    assert [image.name for image in asked[0].images] == ["squares"]
    assert dock.train.new.start.currentData() == "squares-pre-trained"
    assert "squares-pre-trained" in dock.train.outcome.text()
    assert "62 %" in dock.train.outcome.text()
    assert dock.session.model == model
    dock.segment.model.refresh()
    assert dock.segment.model.findData("squares-pre-trained") < 0
    assert dock.train.plot is None or dock.train.plot.n_rows == 1
    assert not told.errors


@pytest.mark.parametrize("button", ["stop", "discard"])
def test_pretrain_when_it_runs_then_it_can_be_stopped_or_discarded(
    viewer: Viewer, model: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, button: str
) -> None:
    def pretrain(request: Any, report: Any, stop: Any) -> Training:
        while not stop():
            report(Progress(1, 2))
        return made("half", target=PRETRAINED, stopped=True)

    monkeypatch.setattr(commands, "pretrain", pretrain)
    viewer.add_image(squares())
    dock.train.new.pretrain.click()
    assert not dock.train.new.train.isEnabled()
    getattr(dock.train, button).click()
    wait_idle(dock, qtbot)
    assert dock.train.new.train.isEnabled()
    assert ("stopped" in dock.train.outcome.text()) == (button == "stop")
    assert (dock.train.new.start.findData("half") > 0) == (button == "stop")


def test_models_when_one_is_only_pre_trained_then_it_cannot_be_used_to_segment(
    model: str, dock: UNetWidget, told: Told
) -> None:
    dock.session.set_model(model)
    add_model("start", target=PRETRAINED)
    dock.models.refresh()
    dock.models.select("start")
    assert not dock.models.buttons["use"].isEnabled()
    assert "to start trainings from" in dock.models.card.text()
    dock.models.list.itemActivated.emit(dock.models.list.currentItem())
    assert "cannot segment yet" in told.errors[0]
    assert dock.session.model == model


def test_pretrain_when_there_is_no_image_then_says_so(dock: UNetWidget, told: Told) -> None:
    dock.train.new.pretrain.click()
    assert "no image" in told.errors[0]
