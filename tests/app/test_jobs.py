"""Jobs end in a defined state, whatever happens in them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from napari_unet.app import jobs as jobs_module
from napari_unet.app.jobs import InlineRunner, Job, Jobs, JobState, Outcome, Update, run_job
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress


class LateRunner:
    """Keep jobs until the test runs them, as a thread would."""

    def __init__(self) -> None:
        self.waiting = []

    def run(self, fn, request, job):
        self.waiting.append((fn, request, job))

    def finish_next(self):
        fn, request, job = self.waiting.pop(0)
        job.settle(run_job(fn, request, job, job.receive))


def double(request, report, stop):
    report(Progress(1, 2, "half"))
    return 2 * request


def failing(error):
    def fn(request, report, stop):
        raise error

    return fn


def test_start_when_the_job_succeeds_then_it_is_done_with_its_result():
    heard, results = [], []
    jobs, job = Jobs(InlineRunner()), Job("Double")
    job.progressed.connect(heard.append)
    jobs.start(double, 21, job, on_done=results.append)
    assert (job.state, job.result, results) == (JobState.DONE, 42, [42])
    assert heard == [Progress(1, 2, "half")]
    assert job.progress.fraction == 1
    assert not jobs.is_busy


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("No cells.", "Mark some."), "No cells."),
        (RuntimeError("CUDA error: device-side assert triggered"), "graphics card stopped"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (KeyError("x"), "unexpected"),
    ],
)
def test_start_when_the_job_fails_then_it_is_failed_with_words_and_free_again(error, message):
    failures = []
    jobs = Jobs(InlineRunner())
    job = jobs.start(failing(error), None, Job("Fail"), on_failed=failures.append, on_done=failures.append)
    assert job.state is JobState.FAILED
    assert message in failures[0].message
    assert failures[0].hint
    assert "Traceback" in failures[0].details
    assert not jobs.is_busy


def test_start_when_the_gpu_memory_runs_out_then_the_next_job_can_start():
    torch = pytest.importorskip("torch")
    jobs = Jobs(InlineRunner())
    job = jobs.start(failing(torch.OutOfMemoryError("CUDA out of memory")), None, Job("Segment"))
    assert job.state is JobState.FAILED
    assert "memory" in job.failure.message
    assert jobs.start(double, 1, Job("Double")).result == 2


def test_cancel_when_the_job_reports_next_then_it_is_cancelled_and_its_finally_has_run():
    cleaned, runner = [], LateRunner()

    def fn(request, report, stop):
        try:
            report(Progress(0, 1))
            return "late"
        finally:
            cleaned.append(True)

    jobs = Jobs(runner)
    job = jobs.start(fn, None, Job("Train"), on_done=cleaned.append)
    job.cancel()
    runner.finish_next()
    assert (job.state, job.result, cleaned) == (JobState.CANCELLED, None, [True])


def test_cancel_when_the_job_never_reports_again_then_its_result_is_still_dropped():
    runner = LateRunner()
    jobs = Jobs(runner)
    job = jobs.start(lambda request, report, stop: 1, None, Job("Short"))
    jobs.cancel_all()
    runner.finish_next()
    assert job.state is JobState.CANCELLED


def test_request_stop_when_the_job_asks_then_it_ends_early_and_is_done():
    runner = LateRunner()
    job = Jobs(runner).start(lambda request, report, stop: "best" if stop() else "last", None, Job("Train"))
    job.request_stop()
    runner.finish_next()
    assert (job.state, job.result) == (JobState.DONE, "best")


def test_start_when_another_job_has_the_device_then_it_is_refused_and_the_first_goes_on():
    runner = LateRunner()
    jobs = Jobs(runner)
    first = jobs.start(double, 1, Job("Training"))
    with pytest.raises(UserError, match="Training"):
        jobs.start(double, 2, Job("Segment"))
    light = jobs.start(double, 3, Job("Redecode", exclusive=False))
    assert jobs.active == (first, light)
    runner.finish_next()
    assert first.result == 2


def test_start_when_a_newer_job_of_the_topic_comes_then_the_older_is_superseded_in_any_order():
    runner, results = LateRunner(), []
    jobs = Jobs(runner)
    old, new = (
        jobs.start(double, n, Job("Redecode", "layer", exclusive=False), on_done=results.append) for n in (1, 2)
    )
    runner.waiting.reverse()
    runner.finish_next()
    runner.finish_next()
    assert (old.state, new.state, results) == (JobState.SUPERSEDED, JobState.DONE, [4])


def test_supersede_when_the_layer_is_deleted_then_the_failure_is_not_shown_either():
    runner, failures = LateRunner(), []
    jobs = Jobs(runner)
    job = jobs.start(failing(ValueError("x")), None, Job("Segment", "layer"), on_failed=failures.append)
    jobs.supersede("layer")
    runner.finish_next()
    assert (job.state, failures, jobs.active) == (JobState.SUPERSEDED, [], ())


def test_start_when_the_runner_itself_fails_then_the_device_is_free():
    class Broken:
        def run(self, fn, request, job):
            raise RuntimeError("can't start new thread")

    jobs = Jobs(Broken())
    with pytest.raises(RuntimeError, match="thread"):
        jobs.start(double, 1, Job("Segment"))
    assert not jobs.is_busy


def test_settle_when_called_twice_then_the_first_end_stays():
    ends, job = [], Job("Double")
    job.ended.connect(ends.append)
    job.settle(Outcome(JobState.DONE, 1))
    job.settle(Outcome(JobState.FAILED))
    job.receive(Update(Progress(1, 9)))
    assert ends == [JobState.DONE]
    assert job.progress.fraction == 1


def test_run_job_when_reports_are_frequent_then_updates_are_few_and_no_payload_is_lost(monkeypatch):
    clock = iter(range(100_000))
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: next(clock) / 1000)  # each look costs 1 ms
    updates = []

    def fn(request, report, stop):
        for step in range(1000):
            report(Progress(step, 1000, payload=step))

    run_job(fn, None, Job("Train"), updates.append)
    assert 2 <= len(updates) <= 20
    assert [p for update in updates for p in update.payloads] == list(range(1000))


def test_run_job_when_it_is_in_the_background_then_updates_are_fewer(monkeypatch):
    def told(job: Job[None]) -> int:
        clock, updates = count(0.0, 0.5), []
        monkeypatch.setattr(jobs_module.time, "monotonic", lambda: next(clock))
        run_job(lambda request, report, stop: [report(Progress(n, 9)) for n in range(9)], None, job, updates.append)
        return len(updates)

    assert told(Job("Fine-tune", background=True)) < told(Job("Segment")) == 9


def test_run_job_when_in_another_thread_then_its_outcome_arrives_whole():
    with ThreadPoolExecutor(1) as pool:
        job = Job("Double")
        job.settle(pool.submit(run_job, double, 4, job, lambda update: None).result())
    assert job.result == 8


def test_produced_when_payloads_arrive_then_each_is_emitted_once():
    rows, job = [], Job("Train")
    job.produced.connect(rows.append)
    job.receive(Update(Progress(1, 2), ("a", "b")))
    assert rows == ["a", "b"]


def test_seconds_left_when_a_quarter_is_done_then_three_times_as_much_is_left(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: now)
    job = Job("Train")
    assert job.seconds_left is None
    job.receive(Update(Progress(1, 4)))
    now += 10
    assert job.seconds_left == pytest.approx(30)
    job.settle(Outcome(JobState.CANCELLED))
    now += 10
    assert job.seconds_left is None
    assert job.seconds_running == pytest.approx(10)
