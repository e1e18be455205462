"""A real napari window with "Learn while I correct" on: whether the brush follows the hand, and the training gets on.

The window is watched in turn without and with it while a brush paints all the time, then without painting, then while
it paints 30 % of the time. The same job in a process without a window says how fast the training can be. At last the
switch is turned on and off many times: no thread and no memory may stay behind.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]  # published without types
from qtpy.QtCore import QEventLoop, QTimer

from benchmarks.latency import NUCLEI, RATIO_TARGET, SIZE, Stage, lateness, summary
from benchmarks.live_alone import steps_alone
from benchmarks.measure import in_child, say
from benchmarks.record import Figure, Result, Settings
from benchmarks.watch import PERIOD, Watch, for_seconds, home_of_its_own, now_and_then, watch
from napari_unet.app.teaching import take_snapshot
from napari_unet.core.pipeline import live as pipeline

if TYPE_CHECKING:
    from napari_unet.app.job import Job
    from napari_unet.app.live_inbox import Look
    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.base.progress import Progress

FRAMES_TARGET, STALL_TARGET = 0.8, 50.0
ALONE_TARGET, PAINTED_TARGET = 0.9, 0.3
MEMORY_TARGET = 16.0
"""MiB that all cycles together may leave behind."""

SECONDS, QUICK_SECONDS = 20.0, 5.0
LONGER = 3
"""Times that: where steps are counted. A model is shown every few seconds, and one more or less would decide."""

ROUNDS = 2
CYCLES, QUICK_CYCLES = 100, 4
SMALL = (320, 50)
"""px and nuclei of the image of the cycles."""

SETTLED = 0.2
"""Share of the cycles after which memory and threads are looked at first: what is loaded once is there by then."""

ENDLESS = "100000steps"
"""Until it waits for more corrections."""

PATIENCE_S = 120.0
LOOK_S = 0.005


def run(settings: Settings) -> Result:
    """Watch the window, then the same job alone, then turn the switch on and off."""
    folder = settings.model_folder()
    with home_of_its_own():
        stage = LiveStage(str(folder))
        try:
            figures, samples = _measure(stage, folder, settings)
        finally:
            stage.viewer.close()
        # Small, so that a cycle takes a second or two.
        stage = LiveStage(str(folder), *SMALL)
        try:
            figures += _cycles(stage, QUICK_CYCLES if settings.quick else CYCLES)
        finally:
            stage.viewer.close()
    return Result(tuple(figures), samples)


def _measure(stage: LiveStage, folder: Path, settings: Settings) -> tuple[list[Figure], dict[str, Any]]:
    seconds = QUICK_SECONDS if settings.quick else SECONDS
    stage.set_budget(ENDLESS)
    idle, live, speeds, stops = [], [], [], []
    for number in range(1 if settings.quick else ROUNDS):
        stage.restore()
        idle.append(stage.watch(seconds, stage.brush))
        stage.restore()
        stage.begin()
        live.append(stage.watch(seconds, stage.brush))
        speeds.append(stage.speed(live[-1]))
        stops.append(stage.stop())
        _tell(f"round {number + 1}, painting, idle", idle[-1])
        _tell(f"round {number + 1}, painting, learning with {speeds[-1]:.2f} steps/s", live[-1])
    stage.restore()
    stage.begin()
    unpainted = stage.watch(LONGER * seconds, None)
    free = stage.speed(unpainted)
    sometimes = stage.watch(max(LONGER * seconds, PERIOD), now_and_then(stage.brush))
    part = stage.speed(sometimes)
    taught, look = stage.taught()
    stops.append(stage.stop())
    _tell(f"not painting, learning with {free:.2f} steps/s", unpainted)
    _tell(f"painting now and then, learning with {part:.2f} steps/s", sometimes)
    alone = in_child(steps_alone, folder, taught, look, LONGER * seconds, ENDLESS).result
    say(f"alone: {alone:.2f} steps/s; stopped: {stops}")
    late = median(b.percentile(99) / a.percentile(99) for a, b in zip(idle, live, strict=True))
    frames = median(b.frame_rate / a.frame_rate for a, b in zip(idle, live, strict=True))
    figures = [
        Figure("painting: p99 of lateness while learning / idle", late, target=RATIO_TARGET),
        Figure("painting: frames while learning / idle", frames, "", FRAMES_TARGET, "higher"),
        Figure("painting: longest stall while learning", max(w.longest for w in live), "ms", STALL_TARGET),
        Figure("painting: longest stall, idle", max(w.longest for w in idle), "ms"),
        *lateness("painting, idle", idle),
        *lateness("painting, learning", live),
        Figure("painting: frames, idle", median(w.frame_rate for w in idle), "per s"),
        Figure("painting: frames while learning", median(w.frame_rate for w in live), "per s"),
        Figure("painting all the time: steps", median(speeds), "per s"),
        Figure("not painting: steps, with a window / without", free / alone, "", ALONE_TARGET, "higher"),
        Figure("painting 30 %: steps, with a window / without", part / alone, "", PAINTED_TARGET, "higher"),
        Figure("without a window: steps", alone, "per s"),
        Figure("not painting: longest stall while learning", unpainted.longest, "ms"),
        Figure("Stop: steps that are still taken", max(one.steps for one in stops), "", 1),
        Figure("Stop: until the learning has ended", max(one.seconds for one in stops), "s"),
    ]
    windows = {"idle": idle, "learning": live, "not painting": [unpainted], "now and then": [sometimes]}
    return figures, {name: [summary(w) for w in some] for name, some in windows.items()}


def _cycles(stage: LiveStage, number: int) -> list[Figure]:
    """Turn the switch on, let it learn a step, and give it up, many times."""
    stage.restore()
    process, seen = psutil.Process(), list[tuple[int, int, float]]()
    key = stage.dock.results.need().key
    started = time.monotonic()
    for cycle in range(1, number + 1):
        stage.begin(steps=1)
        stage.give_up()
        stage.dock.session.history.forget(key)  # what can be undone is kept on purpose
        if cycle >= SETTLED * number:
            gc.collect()
            seen.append((threading.active_count(), process.num_threads(), process.memory_info().rss / 2**20))
        if cycle % 10 == 0:
            say(f"{cycle} cycles in {time.monotonic() - started:.0f} s: {seen[-1] if seen else ''}")
    half = max(1, len(seen) // 2)
    # The allocator keeps what it has: single looks go up and down by more than what a leak would add in one cycle.
    grown = median(one[2] for one in seen[-half:]) - median(one[2] for one in seen[:half])
    return [
        Figure(f"{number} cycles: threads of Python left behind", seen[-1][0] - seen[0][0], "", 0),
        Figure(f"{number} cycles: threads of the system left behind", seen[-1][1] - seen[0][1], "", 0),
        Figure(f"{number} cycles: memory left behind, later half", grown, "MiB", MEMORY_TARGET),
    ]


def _tell(what: str, seen: Watch) -> None:
    p50, p99 = seen.percentile(50), seen.percentile(99)
    say(f"{what}: p50 {p50:.1f}, p99 {p99:.1f}, longest stall {seen.longest:.0f} ms, {seen.frame_rate:.0f} frames/s")


@dataclass(frozen=True)
class Stopped:
    """Steps that were taken after Stop, and seconds until the learning had ended, with its last checkpoint."""

    steps: int
    seconds: float


class LiveStage(Stage):
    """The viewer of `latency`, with the switch."""

    _job: Job[Any]

    def __init__(self, model: str, size: int = SIZE, nuclei: int = NUCLEI) -> None:
        super().__init__(model, size, nuclei)
        self._ends: list[Stopped] = []
        self._stopped_at: float | None = None
        usual = pipeline.train

        def watched(*args: Any, report: Callable[[Progress], None], **kwargs: Any) -> Any:
            late = 0

            def count(progress: Progress) -> None:
                nonlocal late
                late += self._stopped_at is not None
                self._rows += 1  # here, for the window hears of it seconds later
                report(progress)

            try:
                return usual(*args, report=count, **kwargs)
            finally:
                if self._stopped_at is not None:
                    self._ends.append(Stopped(late, time.monotonic() - self._stopped_at))

        pipeline.train = watched  # type: ignore[assignment]

    def begin(self, steps: int = 3) -> None:
        """Turn it on, and wait until it has taken some steps."""
        self._rows = 0
        self.dock.train.live.toggle.click()
        job = self.dock.session.jobs.running
        if job is None:
            raise RuntimeError("it did not start")
        self._job = job
        self._until(lambda: self._rows >= steps or not job.is_running)
        if not job.is_running:
            raise RuntimeError(f"it ended: {job.failure}")

    def watch(self, seconds: float, brush: Callable[[], None] | None) -> Watch:
        """Watch the window, and count its frames and the steps of the training."""
        frames = self.viewer.window._qt_viewer.canvas._scene_canvas.events.draw
        n_frames = 0

        def drawn(event: object) -> None:
            nonlocal n_frames
            n_frames += 1

        frames.connect(drawn)
        self._rows = 0
        try:
            seen = watch(for_seconds(seconds), brush)
        finally:
            frames.disconnect(drawn)
        seen.frames = n_frames
        return seen

    def speed(self, seen: Watch) -> float:
        """Give the steps a second of what was watched."""
        return self._rows / seen.seconds

    def taught(self) -> tuple[Snapshot, Look | None]:
        """Give what it learns from, and what is looked at."""
        key = self.dock.results.need().key
        known = self.dock.session.result(key)
        return take_snapshot(known.image, self._layer.data, known.corrections, origin=key), self.dock.train.live._look()

    def stop(self) -> Stopped:
        """Press Stop, and see when the learning ends; then give up the comparison that would follow."""
        seen, self._ends = len(self._ends), self._ends
        self._stopped_at = time.monotonic()
        self._job.request_stop()
        self._until(lambda: len(self._ends) > seen or not self._job.is_running)
        found = self._ends[-1]
        self._stopped_at = None
        self.give_up()
        return found

    def give_up(self) -> None:
        """Discard what runs."""
        self._job.cancel()
        self._until(lambda: not self.dock.session.jobs.is_busy)

    def _until(self, is_so: Callable[[], bool]) -> None:
        """Let the window live until something is so."""
        loop, look, ends = QEventLoop(), QTimer(), time.monotonic() + PATIENCE_S
        look.timeout.connect(lambda: loop.quit() if is_so() or time.monotonic() > ends else None)
        look.start(int(1e3 * LOOK_S))
        loop.exec()
        look.stop()
        if not is_so():
            raise RuntimeError(f"nothing happened for {PATIENCE_S:.0f} s")
