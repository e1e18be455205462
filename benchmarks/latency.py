"""A real napari window while a model is fine-tuned: whether the brush still follows the hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEventLoop, QTimer

from benchmarks.measure import say
from benchmarks.record import Figure, Result, Settings
from benchmarks.simulate import choose_region, correct
from benchmarks.watch import SETTLE_MS, Watch, for_seconds, home_of_its_own, make_brush, now_and_then, spin, watch
from napari_unet.core.synthetic.nuclei import nuclei_2d
from napari_unet.launch import freeze_imports

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Labels

    from napari_unet.ui.main_widget import UNetWidget

RATIO_TARGET, STALL_TARGET = 1.3, 100.0
SIZE, NUCLEI = 2048, 1900
BRUSH = 20
ROUNDS = 3
SECONDS, QUICK_SECONDS = 60.0, 5.0
"""Of a window without training, and the budget of a training: with the usual one, in steps, it would last a quarter of
an hour beside a hand that never stops."""

TRAIN_TAB = 2


def run(settings: Settings) -> Result:
    """Watch the window in turn without a training and with one, from the click to the end of the job."""
    folder = settings.model_folder()
    with home_of_its_own():
        stage = Stage(str(folder))
        try:
            return _measure(stage, settings)
        finally:
            stage.viewer.close()


def _measure(stage: Stage, settings: Settings) -> Result:
    seconds = QUICK_SECONDS if settings.quick else SECONDS
    stage.set_budget(f"{seconds:g}s")
    idle, training, speeds = [], [], []
    for number in range(1 if settings.quick else ROUNDS):
        stage.restore()
        idle.append(watch(for_seconds(seconds), stage.brush))
        stage.restore()
        training.append(watch(stage.train, stage.brush))
        speeds.append(stage.speed(training[-1]))
        _tell(number, "idle", idle[-1])
        _tell(number, f"training, {speeds[-1]:.2f} steps/s", training[-1])
    stage.restore()
    sometimes = watch(stage.train, now_and_then(stage.brush))
    often = stage.speed(sometimes)
    _tell(0, f"training, painting now and then, {often:.2f} steps/s", sometimes)
    stage.restore()
    unpainted = watch(stage.train, None)
    _tell(0, "training, not painting", unpainted)
    ratio = median(b.percentile(99) / a.percentile(99) for a, b in zip(idle, training, strict=True))
    figures = [
        Figure("painting: p99 of lateness while training / idle", ratio, target=RATIO_TARGET),
        Figure("painting: longest stall while training", max(w.longest for w in training), "ms", STALL_TARGET),
        Figure("painting: longest stall, idle", max(w.longest for w in idle), "ms"),
        *lateness("painting, idle", idle),
        *lateness("painting, training", training),
        Figure("painting: steps of training", median(speeds), "per s"),
        *lateness("painting 30 %, training", [sometimes]),
        Figure("painting 30 %: steps of training", often, "per s"),
        *lateness("not painting, training", [unpainted]),
        Figure("not painting: longest stall while training", unpainted.longest, "ms"),
        Figure("not painting: steps of training", stage.speed(unpainted), "per s"),
    ]
    windows = {"idle": idle, "training": training, "now and then": [sometimes], "not painting": [unpainted]}
    return Result(tuple(figures), {name: [summary(w) for w in part] for name, part in windows.items()})


def lateness(name: str, windows: list[Watch]) -> list[Figure]:
    """Give the figures of how late the window was."""
    late = [Figure(f"{name}: p{p} of lateness", median(w.percentile(p) for w in windows), "ms") for p in (50, 99)]
    strokes = [one for w in windows for one in w.strokes]
    if not strokes:
        return late
    return [*late, Figure(f"{name}: p99 of one stroke", float(np.percentile(strokes, 99)), "ms")]


def summary(window: Watch) -> dict[str, float]:
    """Give what is kept of one window of time."""
    late = {f"p{p}, ms": window.percentile(p) for p in (50, 95, 99, 99.9)}
    return {**late, "longest, ms": window.longest, "seconds": window.seconds, "strokes": len(window.strokes)}


def _tell(number: int, what: str, seen: Watch) -> None:
    p50, p99 = seen.percentile(50), seen.percentile(99)
    say(f"round {number + 1}, {what}: p50 {p50:.1f}, p99 {p99:.1f}, longest stall {seen.longest:.0f} ms")


class Stage:
    """A viewer with the dock, a segmented image and a corrected region.

    Parameters
    ----------
    model : str
        Folder of the model.
    size, nuclei : int
        Of the image, in px, and in it.
    """

    def __init__(self, model: str, size: int = SIZE, nuclei: int = NUCLEI) -> None:
        import napari
        import torch  # noqa: F401 - before the window, as the launcher does

        freeze_imports()
        sample = nuclei_2d(shape=(size, size), n=nuclei)
        self.viewer: Viewer = napari.Viewer()
        self.viewer.add_image(sample.image.data, name="nuclei", scale=sample.image.voxel_size, units="µm")
        self.dock: UNetWidget = self.viewer.window.add_plugin_dock_widget("napari-unet", "U-Net")[1]
        self.dock.session.set_model(model)
        while self.dock.device.is_loading:  # nobody is as fast; what comes later is measured
            spin(0.1)
        self._rows = 0
        self.dock.segment.button.click()
        self._wait()
        link = self.dock.results.need()
        self._layer: Labels = link.labels
        predicted = np.array(self._layer.data)
        correction = correct(predicted, sample.labels, choose_region(sample.labels, np.random.default_rng(0)))
        self._corrected = correction.labels
        self.restore()
        self.dock.session.mark_unsure(link.key, correction.unsure)
        self.dock.session.mark_done(link.key, correction.box)
        self.dock.tabs.setCurrentIndex(TRAIN_TAB)
        self._layer.mode = "paint"
        self._layer.brush_size = BRUSH
        self.brush = make_brush(self._layer)
        say(f"{correction.n_cells} cells corrected of {len(np.unique(predicted)) - 1}")

    def _wait(self) -> None:
        while self.dock.session.jobs.is_busy:
            spin(0.1)
        spin(1)

    def restore(self) -> None:
        """Take back what was painted, so that every training learns from the same."""
        from napari_unet.ui.layers import write_labels

        write_labels(self._layer, self._corrected)
        spin(1)

    def set_budget(self, budget: str) -> None:
        """Choose how long a training takes."""
        form = self.dock.train.options
        form.set_value(replace(form.value(), budget=budget))

    def train(self, loop: QEventLoop) -> None:
        """Click on Fine-tune, and end the loop soon after the job's end."""
        self._rows = 0
        self.dock.train.button.click()
        job = self.dock.session.jobs.running
        if job is None:
            loop.quit()
            raise RuntimeError("the training did not start")
        job.produced.connect(self._count)
        job.ended.connect(_quit_soon(loop))

    def _count(self, row: Any) -> None:
        self._rows += 1

    def speed(self, seen: Watch) -> float:
        """Give the steps a second of the training that was watched."""
        return self._rows / (seen.seconds - SETTLE_MS / 1e3)


def _quit_soon(loop: QEventLoop) -> Callable[[], None]:
    return lambda: QTimer.singleShot(SETTLE_MS, loop.quit)
