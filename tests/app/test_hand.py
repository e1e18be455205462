"""A job in the background rests while the user's hand moves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_unet.app import hand as hand_module
from napari_unet.app.hand import LONGEST_REST, LOOK, REST, STILL_AFTER, Hand
from napari_unet.app.job import Job
from napari_unet.core.base.progress import Progress

PROGRESS = Progress(1, 2, "step 1")


class Clock:
    """Time that passes only where somebody works or sleeps."""

    def __init__(self) -> None:
        self.now, self.slept, self.meanwhile = 100.0, 0.0, lambda: None

    def work(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds
        self.meanwhile()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hand_module, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=clock.sleep))
    return clock


def work_once(hand: Hand, clock: Clock, job: Job[float], seconds: float = 0.5) -> float:
    """Give the seconds that a job rests after a unit of work."""

    def step(request: None, report, stop) -> float:
        clock.work(seconds)
        report(PROGRESS)
        return clock.slept

    return hand.let_rest(step, job)(None, lambda progress: None, lambda: False)


def test_rest_when_the_hand_was_never_seen_or_is_still_then_there_is_none(clock):
    hand, job = Hand(), Job("Train")
    assert work_once(hand, clock, job) == 0
    hand.move()
    clock.work(STILL_AFTER)
    assert work_once(hand, clock, job) == 0


@pytest.mark.parametrize(("worked", "rest"), [(0.3, REST * 0.3), (10.0, LONGEST_REST)])
def test_rest_when_the_hand_does_not_stop_then_it_is_as_long_as_the_work_says(clock, worked, rest):
    hand = Hand()
    clock.meanwhile = hand.move

    def step(request, report, stop):
        for _ in range(2):
            clock.work(worked)
            hand.move()
            report(PROGRESS)

    hand.let_rest(step, Job("Train"))(None, lambda progress: None, lambda: False)
    assert clock.slept == pytest.approx(2 * rest)


def test_rest_when_the_hand_stops_then_the_job_goes_on_at_once(clock):
    hand = Hand()

    def step(request, report, stop):
        clock.work(10)
        hand.move()
        report(PROGRESS)

    hand.let_rest(step, Job("Train"))(None, lambda progress: None, lambda: False)
    assert STILL_AFTER <= clock.slept < STILL_AFTER + 2 * LOOK


@pytest.mark.parametrize("call", [Job.cancel, Job.request_stop])
def test_rest_when_the_user_ends_the_job_then_it_hears_at_once(clock, call):
    hand, job = Hand(), Job("Train")
    hand.move()
    clock.meanwhile = lambda: (hand.move(), call(job))
    assert work_once(hand, clock, job, seconds=0.1) == pytest.approx(LOOK)


def test_rest_when_a_job_reports_then_the_report_comes_before_it_and_the_result_through(clock):
    hand, heard = Hand(), []
    hand.move()

    def step(request, report, stop):
        report(PROGRESS)
        return request, stop()

    assert hand.let_rest(step, Job("Train"))("what", lambda p: heard.append((p, clock.slept)), lambda: True) == (
        "what",
        True,
    )
    assert heard == [(PROGRESS, 0.0)]
