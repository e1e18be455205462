from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from napari_unet.app import hand as hand_module
from napari_unet.app.hand import Hand
from napari_unet.app.jobs import Job, Jobs, JobState
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress
from napari_unet.ui.thread_runner import ThreadRunner
from tests.ui.conftest import LIMIT_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytestqt.qtbot import QtBot


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[ThreadRunner]:
    runner = ThreadRunner(Hand())
    yield runner
    assert runner.wait(60)


def test_run_when_a_job_ends_then_its_result_arrives_in_the_main_thread(qtbot: QtBot, runner: ThreadRunner) -> None:
    job: Job[str] = Job("name the thread")
    seen: list[tuple[JobState, int]] = []
    job.ended.connect(lambda state: seen.append((state, threading.get_ident())))
    runner.run(lambda request, report, stop: threading.current_thread().name, None, job)
    qtbot.waitUntil(lambda: bool(seen), timeout=LIMIT_MS)
    assert seen == [(JobState.DONE, threading.get_ident())]
    assert job.result is not None
    assert job.result.startswith("napari-unet-job-")


def test_run_when_a_job_reports_then_payloads_arrive_in_order(qtbot: QtBot, runner: ThreadRunner) -> None:
    def count(request: int, report: Any, stop: Any) -> int:
        for i in range(request):
            report(Progress(i + 1, request, payload=i))
        return request

    job: Job[int] = Job("count")
    payloads: list[object] = []
    job.produced.connect(payloads.append)
    runner.run(count, 50, job)
    qtbot.waitUntil(lambda: not job.is_running, timeout=LIMIT_MS)
    assert payloads == list(range(50))


def test_run_when_torch_is_out_of_memory_then_the_next_job_can_start(qtbot: QtBot, runner: ThreadRunner) -> None:
    import torch

    def burst(request: object, report: Any, stop: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    jobs = Jobs(runner)
    failures: list[object] = []
    jobs.start(burst, None, Job("burst"), on_failed=failures.append)
    with pytest.raises(UserError):
        jobs.start(burst, None, Job("too early"))
    qtbot.waitUntil(lambda: not jobs.is_busy, timeout=LIMIT_MS)
    assert "memory" in failures[0].message  # type: ignore[attr-defined]
    assert failures[0].hint  # type: ignore[attr-defined]
    jobs.start(lambda request, report, stop: 1, None, Job("next"))
    qtbot.waitUntil(lambda: not jobs.is_busy, timeout=LIMIT_MS)


def test_wait_when_jobs_are_cancelled_then_they_are_settled_without_an_event_loop(runner: ThreadRunner) -> None:
    is_running = threading.Event()

    def forever(request: object, report: Any, stop: Any) -> None:
        while True:
            report(Progress(0, 1))
            is_running.set()

    job: Job[None] = Job("forever")
    runner.run(forever, None, job)
    assert is_running.wait(60)
    job.cancel()
    assert runner.wait(60)
    assert job.state is JobState.CANCELLED


def test_wait_when_a_job_does_not_answer_then_the_limit_ends_the_wait(runner: ThreadRunner) -> None:
    release = threading.Event()
    runner.run(lambda request, report, stop: release.wait(10), None, Job("deaf"))
    assert not runner.wait(0.01)
    release.set()


def test_run_when_the_hand_moves_then_a_job_in_the_background_rests_and_stop_ends_the_rest(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STILL_AFTER", "REST", "LONGEST_REST"):
        monkeypatch.setattr(hand_module, name, 1e6)
    hand = Hand()
    runner = ThreadRunner(hand)

    def is_stopped(request: object, report: Any, stop: Any) -> bool:
        report(Progress(1, 2))
        return bool(stop())

    job: Job[bool] = Job("learn", background=True)
    reported: list[Progress] = []
    job.progressed.connect(reported.append)
    hand.move()
    runner.run(is_stopped, None, job)
    qtbot.waitUntil(lambda: bool(reported), timeout=LIMIT_MS)
    job.request_stop()
    qtbot.waitUntil(lambda: not job.is_running, timeout=LIMIT_MS)
    assert runner.wait(60)
    assert job.result is True
