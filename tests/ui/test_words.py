from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_unet.ui.forms import folding
from napari_unet.ui.words import Words
from tests.ui.conftest import LIMIT_MS

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


@pytest.mark.parametrize("width", [300, 500])
def test_words_when_they_are_many_inside_a_fold_then_no_line_is_cut_off(qtbot: QtBot, width: int) -> None:
    area, inside, words = QScrollArea(), QWidget(), Words("What is said.")
    qtbot.addWidget(area)
    fold = folding("Fold", words)
    fold.expand()
    QVBoxLayout(inside).addWidget(fold)
    area.setWidgetResizable(True)
    area.setWidget(inside)
    area.resize(width, 200)
    area.show()
    words.say("\n".join(f"Decision {n}: " + "a reason in many words, " * 5 for n in range(9)))
    qtbot.waitUntil(lambda: words.width() < width, timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: words.height() >= words.heightForWidth(words.width()), timeout=LIMIT_MS)


def test_words_when_they_get_more_room_then_no_gap_is_left(qtbot: QtBot) -> None:
    words = Words("What is said.")
    qtbot.addWidget(words)
    words.say("Many words that need several lines. " * 5)
    words.resize(500, 50)
    low = words.minimumHeight()
    words.resize(200, 50)
    assert words.minimumHeight() > low
    words.resize(500, 50)
    assert words.minimumHeight() == low
