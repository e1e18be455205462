"""Watch the event loop of a window: how late its timers come, and how long a brush stroke takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEventLoop, Qt, QTimer

from benchmarks.measure import environment
from benchmarks.record import Unavailable
from napari_unet.launch import has_display

if TYPE_CHECKING:
    from napari.layers import Labels

TICK_MS, PAINT_MS = 10, 16
STEPS, RADIUS = 60, 20.0
"""Of the brush for one cell, and px from its middle."""

SETTLE_MS = 500
"""What follows the end of a job belongs to it."""


@dataclass
class Watch:
    """What was seen in one window of time.

    Parameters
    ----------
    late : list of float, ms
        How much later than `TICK_MS` each tick came after the one before.
    strokes : list of float, ms
        How long each call of ``layer.paint`` took.
    seconds : float
        Length of the window.
    frames : int
        How often the canvas was drawn, where that was counted.
    """

    late: list[float] = field(default_factory=list)
    strokes: list[float] = field(default_factory=list)
    seconds: float = 0.0
    frames: int = 0

    def percentile(self, share: float) -> float:
        """Give a percentile of the lateness, in ms."""
        return float(np.percentile(self.late, share))

    @property
    def frame_rate(self) -> float:
        """Give the frames a second."""
        return self.frames / self.seconds

    @property
    def longest(self) -> float:
        """Give the longest time without a tick, in ms."""
        return max(self.late) + TICK_MS


def watch(begin: Callable[[QEventLoop], None], brush: Callable[[], None] | None) -> Watch:
    """Run the event loop and watch it.

    Parameters
    ----------
    begin : callable
        Called when the watch runs, with the loop that it has to end later.
    brush : callable or None
        Paints one stroke, every `PAINT_MS`.
    """
    seen, loop = Watch(), QEventLoop()
    ticks: list[float] = []
    tick = _timer(TICK_MS, lambda: ticks.append(time.perf_counter()))
    paint = None if brush is None else _timer(PAINT_MS, lambda: seen.strokes.append(1e3 * _seconds(brush)))
    QTimer.singleShot(0, lambda: begin(loop))
    loop.exec()
    tick.stop()
    if paint is not None:
        paint.stop()
    seen.late = [float(ms) for ms in np.maximum(0, 1e3 * np.diff(ticks) - TICK_MS)]
    seen.seconds = ticks[-1] - ticks[0]
    return seen


def _timer(interval_ms: int, call: Callable[[], object]) -> QTimer:
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(call)
    timer.start(interval_ms)
    return timer


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@contextmanager
def home_of_its_own() -> Iterator[None]:
    """Keep the window's settings and models apart from the user's.

    Raises
    ------
    Unavailable
        Without a display.
    """
    if not has_display():
        raise Unavailable("there is no display (xvfb-run gives one)")
    home = tempfile.TemporaryDirectory()
    with home, environment({"NAPARI_CONFIG": f"{home.name}/settings.yaml", "NAPARI_UNET_HOME": home.name}):
        yield


def for_seconds(seconds: float) -> Callable[[QEventLoop], None]:
    """End the loop after a time."""
    return lambda loop: QTimer.singleShot(int(1e3 * seconds), loop.quit)


def spin(seconds: float) -> None:
    """Let the window do what it has to do."""
    loop = QEventLoop()
    for_seconds(seconds)(loop)
    loop.exec()


def make_brush(layer: Labels) -> Callable[[], None]:
    """Give a brush that draws one round cell after the other, here and there, a step each call."""
    rng, step, first = np.random.default_rng(0), 0, int(layer.data.max()) + 1
    centre: NDArray[np.float64] = np.array(layer.data.shape) / 2

    def paint() -> None:
        nonlocal step, centre
        if step % STEPS == 0:
            centre = rng.uniform(0.1, 0.9, 2) * layer.data.shape
        turn = 2 * np.pi * step / STEPS
        layer.paint(tuple(centre + RADIUS * np.array((np.sin(turn), np.cos(turn)))), first + step // STEPS)
        step += 1

    return paint


PERIOD, SHARE = 10.0, 0.3
"""s, and what of it a person paints who also thinks."""


def now_and_then(brush: Callable[[], None]) -> Callable[[], None]:
    """Give a brush that paints `SHARE` of the time."""

    def paint() -> None:
        if time.monotonic() % PERIOD < SHARE * PERIOD:
            brush()

    return paint
