from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from napari_unet.app.commands import Training
from napari_unet.ui.loss_plot import LossPlot, with_breaks
from napari_unet.ui.outcome import describe_outcome
from tests.ui.conftest import LIMIT_MS, Row

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


def test_plot_when_no_score_was_measured_then_only_the_loss_is_shown(qtbot: QtBot) -> None:
    plot = LossPlot("light")
    qtbot.addWidget(plot)
    plot.show()
    plot.add_row(Row(1, 0.5))
    assert not plot._score.isVisible()
    plot.add_row(Row(2, 0.4, 0.7))
    qtbot.waitUntil(plot._score.isVisible, timeout=LIMIT_MS)
    plot.set_theme("dark")
    plot.clear_rows()
    assert plot.n_rows == 0
    assert not plot._score.isVisible()


def test_plot_when_losses_are_shown_then_only_the_lowest_and_the_highest_are_named(qtbot: QtBot) -> None:
    plot = LossPlot("light")
    qtbot.addWidget(plot)
    plot.show()
    for step, loss in enumerate((0.25, 0.3333333, 0.2, float("nan"))):
        plot.add_row(Row(step, loss))
    axis = plot._loss._axes[0]
    qtbot.waitUntil(lambda: axis._tickLevels is not None, timeout=LIMIT_MS)
    assert sorted(text for _, text in axis._tickLevels[0]) == ["0.2", "0.333"]


def test_breaks_when_the_steps_start_again_then_the_line_is_cut() -> None:
    broken = with_breaks([(1, 0.5), (2, 0.4), (1, 0.6), (2, 0.3)])
    assert [isnan(x) for x, _ in broken] == [False, False, True, False, False]


def test_outcome_when_the_score_fell_then_both_numbers_and_the_kept_model_are_named() -> None:
    said = describe_outcome(Training("new", None, "old", False, 0.8, 0.7, 9, "regions", stopped=True), "old")
    assert "0.800" in said
    assert "0.700" in said
    assert "'old' is kept" in said
    assert "stopped" in said


def test_outcome_when_nothing_was_held_out_then_it_says_so() -> None:
    assert "judge" in describe_outcome(Training("new", None, "old", True, float("nan"), float("nan")), "new")
