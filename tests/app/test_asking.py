"""Questions that a job asks: answered from another thread, once, and never in the way of Cancel."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from napari_unet.app.asking import Asker, Question, in_words
from napari_unet.core.base.errors import Cancelled
from napari_unet.core.base.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 20  # s


def answering(yes: bool, seen: list[Progress]) -> Callable[[Progress], None]:
    """Give a report whose listener answers in a thread of its own, as a window does."""

    def report(progress: Progress) -> None:
        seen.append(progress)
        if isinstance(progress.payload, Question):
            threading.Timer(0.01, progress.payload.answer, (yes,)).start()

    return report


@pytest.mark.parametrize("yes", [True, False])
def test_may_use_cpu_when_asked_twice_then_the_user_is_asked_once_with_the_time(yes: bool) -> None:
    seen: list[Progress] = []
    asker = Asker(answering(yes, seen), asks=True)
    asker.report(Progress(3, 4, "tile 3 of 4"))
    assert [asker.may_use_cpu(700), asker.may_use_cpu(900)] == [yes, yes]
    questions = [one.payload for one in seen if isinstance(one.payload, Question)]
    assert len(questions) == 1
    assert "about 12 min" in questions[0].text
    assert {one.fraction for one in seen} == {0.75}  # the bar stays where it was


def test_may_use_cpu_when_nobody_listens_then_goes_on_at_once() -> None:
    seen: list[Progress] = []
    assert Asker(seen.append, asks=False).may_use_cpu(1e6)
    assert not seen


def test_may_use_cpu_when_cancelled_while_it_waits_then_ends() -> None:
    asked = threading.Event()

    def report(progress: Progress) -> None:
        if asked.is_set():
            raise Cancelled
        asked.set()

    with pytest.raises(Cancelled):
        Asker(report, asks=True).may_use_cpu(1)


@pytest.mark.parametrize(("seconds", "text"), [(0.1, "1 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")])
def test_in_words_when_a_time_is_long_then_the_unit_is(seconds: float, text: str) -> None:
    assert in_words(seconds) == text
