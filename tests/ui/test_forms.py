from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_unet.core.base.options import SegmentOptions, TrainOptions
from napari_unet.ui.forms import AUTOMATIC, OptionsForm

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


@pytest.mark.parametrize("kind", [SegmentOptions, TrainOptions])
def test_form_when_untouched_then_it_gives_the_defaults(qtbot: QtBot, kind: type) -> None:
    form = OptionsForm(kind)
    qtbot.addWidget(form)
    assert form.value() == kind()


def test_form_when_a_value_is_set_then_it_comes_back_and_is_told_once(qtbot: QtBot) -> None:
    form = OptionsForm(SegmentOptions)
    qtbot.addWidget(form)
    told: list[object] = []
    form.value_changed.connect(told.append)
    wanted = SegmentOptions(object_size=31.5, threshold=0.4, min_size=12, tile=64, device="cpu", channel=2)
    form.set_value(wanted)
    form.set_value(wanted)
    assert form.value() == wanted
    assert told == [wanted]


def test_form_when_a_number_is_below_its_smallest_then_it_is_automatic(qtbot: QtBot) -> None:
    form = OptionsForm(SegmentOptions)
    qtbot.addWidget(form)
    spin = form.widgets["min_size"].native
    assert spin.text() == AUTOMATIC
    spin.stepUp()
    assert form.value().min_size == 0
    spin.stepDown()
    assert form.value().min_size is None


def test_form_when_the_text_of_a_budget_is_half_typed_then_nothing_is_told(qtbot: QtBot) -> None:
    form = OptionsForm(TrainOptions)
    qtbot.addWidget(form)
    told: list[object] = []
    form.value_changed.connect(told.append)
    form.widgets["budget"].value = "6"
    assert not told
    form.widgets["budget"].value = "60s"
    assert told == [TrainOptions(budget="60s")]


@pytest.mark.parametrize("kind", [SegmentOptions, TrainOptions])
def test_form_when_shown_then_every_control_has_a_label_with_unit_and_a_tooltip(qtbot: QtBot, kind: type) -> None:
    form = OptionsForm(kind)
    qtbot.addWidget(form)
    for one in fields(kind):
        widget = form.widgets[one.name]
        assert widget.native.toolTip()
        assert one.metadata.get("unit", "") in widget.label


def test_form_when_fields_are_advanced_then_they_are_folded_away(qtbot: QtBot) -> None:
    form = OptionsForm(SegmentOptions)
    qtbot.addWidget(form)
    form.show()
    assert form.widgets["threshold"].native.isVisible()
    assert not form.widgets["device"].native.isVisible()
    assert form.fold is not None
    form.fold.expand()
    assert form.widgets["device"].native.isVisible()


def test_form_when_the_wheel_turns_over_it_then_no_number_changes(qtbot: QtBot) -> None:
    form = OptionsForm(SegmentOptions)
    qtbot.addWidget(form)
    form.show()
    spin = form.widgets["threshold"].native
    turn = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(spin, turn)
    assert form.value().threshold is None


def test_form_when_a_dataclass_is_new_then_every_kind_of_field_gets_a_control(qtbot: QtBot) -> None:
    @dataclass(frozen=True)
    class Options:
        fill: bool = field(default=False, metadata={"label": "Fill", "help": "Fill holes."})
        n: int = field(default=3, metadata={"label": "N", "help": "How often.", "min": 1, "max": 9, "step": 1})
        name: str = field(default="a", metadata={"label": "Name", "help": "A name."})

    Options.__annotations__ = {"fill": bool, "n": int, "name": str}
    form = OptionsForm(Options)
    qtbot.addWidget(form)
    form.set_value(Options(True, 9, "b"))
    assert form.value() == Options(True, 9, "b")
