"""Every correction tool in a real viewer: how long its key holds the window up, and how long until it is drawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure import say
from benchmarks.record import Figure, Result, Settings
from benchmarks.watch import home_of_its_own, spin
from napari_unet.core.edits import EDITS

if TYPE_CHECKING:
    from benchmarks.tools_stage import ToolStage

MEDIAN_MS, P95_MS, REDRAW = 50.0, 150.0, 1.2
MAGIC_MS = 100.0
SHAPES = {"4096 x 4096": (4096, 4096), "64 x 1024 x 1024": (64, 1024, 1024)}
QUICK_SHAPES = {"512 x 512": (512, 512), "48 x 256 x 256": (48, 256, 256)}
N_OBJECTS = 2000
ROUNDS, REFRESHES = 7, 8
PAUSE_S = 0.1  # between two keys
WHOLE = ("renumber", "remove_small", "clear_border")
"""They change all objects, and let go of much memory: napari's own refresh takes longer too, and is taken there."""
BESIDE = tuple(name for name, tool in EDITS.items() if tool.is_whole)
MOVING = ("accept", "next", "copy_on")
"""They show another slice of a stack: napari draws all layers anew, as for its slider."""
DRAW_LAYER = "draw, from the layer"
"""With an outline on a layer of napari's own; Draw itself uses the stroke.

The layer is emptied after it, and then drawn with shaders that are compiled anew: that is no redraw of the labels.
"""


@dataclass
class Times:
    """What was measured of one tool.

    Parameters
    ----------
    own : list of float, ms
        From the key to the written labels, without napari's drawing of its slice.
    cpu : list of float, ms
        The same in CPU time of the main thread: what a machine without other work takes.
    drawn : list of float, ms
        How long the window stood still until it had drawn it: from the key, and without the time in which something was
        worked out beside it.
    after : list of float, ms
        Longest time in which the window stood still while something was worked out beside it, and when the table and
        the counts followed.
    drawn_cpu : list of float, ms
        `drawn` in CPU time of the main thread.
    shown : list of float, ms
        From the key until it was drawn, with all that was worked out beside the window.
    """

    own: list[float]
    cpu: list[float]
    drawn: list[float]
    drawn_cpu: list[float]
    after: list[float]
    shown: list[float]

    @property
    def redraw(self) -> list[float]:
        """Give what the window took to draw it, besides our own part."""
        return [drawn - own for drawn, own in zip(self.drawn, self.own, strict=True)]


Own = list[tuple[float, float]]
"""How long napari took by itself, in ms: on the clock, and in CPU time of the main thread."""


@dataclass(frozen=True)
class Napari:
    """What napari takes by itself, each in turn with the tools.

    Parameters
    ----------
    refresh : Own
        To draw the layer anew.
    step : Own
        To show another slice; 0 for a plane.
    after : dict of str to Own
        To draw the layer anew at the end of the work of a tool, by the tool.
    """

    refresh: Own = field(default_factory=Own)
    step: Own = field(default_factory=Own)
    after: dict[str, Own] = field(default_factory=dict)

    def base(self, tool: str) -> Own:
        """Give what napari takes for the same as a tool, beside its refresh."""
        return self.step if tool in MOVING and any(ms for ms, _ in self.step) else self.after.get(tool, self.refresh)


def run(settings: Settings) -> Result:
    """Use every tool on a plane and on a stack."""
    figures, samples = list[Figure](), dict[str, object]()
    with home_of_its_own():
        from benchmarks.tools_stage import ToolStage  # it opens a window

        for name, shape in (QUICK_SHAPES if settings.quick else SHAPES).items():
            stage = ToolStage(shape, N_OBJECTS // (50 if settings.quick else 1))
            try:
                napari, found = _measure(stage, 2 if settings.quick else ROUNDS)
            finally:
                stage.viewer.close()
            figures += _figures(name, napari, found)
            samples[name] = {"napari by itself, ms": asdict(napari)}
            samples[name] |= {tool: asdict(one) for tool, one in found.items()}
    return Result(tuple(figures), samples)


def _measure(stage: ToolStage, rounds: int) -> tuple[Napari, dict[str, Times]]:
    """Use the tools one after the other; napari's own refresh is taken in turn with them."""
    napari, found = Napari(), dict[str, Times]()
    for tool in (*EDITS, DRAW_LAYER):
        if not stage.can(tool):
            continue
        napari.refresh.append(stage.refresh())
        napari.step.append(stage.step_slider())
        for number in range(rounds):
            stage.prepare(tool, number)
            if tool in WHOLE:
                napari.after.setdefault(tool, Own()).append(stage.refresh_after(tool))
                spin(PAUSE_S)
            _take(stage, found, tool, lambda tool=tool: stage.use(tool))  # type: ignore[misc]  # bound now
            spin(PAUSE_S)
            _take(stage, found, "undo", stage.undo)
            spin(PAUSE_S)
        found[tool].after.append(1e3 * stage.look())
        say(f"{tool}: {np.median(found[tool].own):.0f} ms, {np.median(found[tool].cpu):.0f} ms of CPU time")
    for number in range(rounds):
        stage.prepare("accept", number)
        for name, call in (("accept", stage.accept), ("next", stage.go_on)):
            _take(stage, found, name, call)
            spin(PAUSE_S)
        napari.step.append(stage.step_slider())
    napari.refresh.extend(stage.refresh() for _ in range(REFRESHES))
    return napari, found


def _take(stage: ToolStage, found: dict[str, Times], name: str, call: Callable[[], None]) -> None:
    """Do one thing, and let the window draw it."""
    stage.in_napari = stage.cpu_in_napari = 0.0
    wall, cpu = time.perf_counter(), time.thread_time()
    call()
    own, spent = time.perf_counter() - wall, time.thread_time() - cpu
    times = found.setdefault(name, Times([], [], [], [], [], []))
    if stage.tab.corrector.whole.is_busy:
        held, longest = stage.wait()
        drawn, drawn_cpu = own + held[0], spent + held[1]
        own, spent = own + stage.end[0], spent + stage.end[1]
        times.after.append(1e3 * longest)
        in_napari, cpu_in_napari = stage.in_napari, stage.cpu_in_napari
    else:
        in_napari, cpu_in_napari = stage.in_napari, stage.cpu_in_napari  # before what it does when the window draws
        stage.draw()
        drawn, drawn_cpu = time.perf_counter() - wall, time.thread_time() - cpu
    times.shown.append(1e3 * (time.perf_counter() - wall))
    times.own.append(1e3 * (own - in_napari))
    times.cpu.append(1e3 * (spent - cpu_in_napari))
    times.drawn.append(1e3 * drawn)
    times.drawn_cpu.append(1e3 * drawn_cpu)


def _figures(name: str, napari: Napari, found: dict[str, Times]) -> list[Figure]:
    (refresh, refresh_cpu), step = _medians(napari.refresh), _medians(napari.step)[0]
    figures = [
        Figure(f"{name}: napari's own refresh of the layer", refresh, "ms"),
        Figure(f"{name}: napari's own refresh of the layer, CPU time", refresh_cpu, "ms"),
    ]
    if step:
        figures.append(Figure(f"{name}: napari's own step of the slider", step, "ms"))
    for tool, own in napari.after.items():
        figures.append(Figure(f"{name}: napari's own refresh after the work of {tool}", _medians(own)[0], "ms"))
    for tool, times in found.items():
        base = _medians(napari.base(tool))[0]
        drawn, redraw = float(np.median(times.drawn)), float(np.median(times.redraw))
        figures += [
            Figure(
                f"{name}, {tool}: median", float(np.median(times.own)), "ms", MAGIC_MS if tool == "magic" else MEDIAN_MS
            ),
            Figure(f"{name}, {tool}: p95", float(np.percentile(times.own, 95)), "ms", P95_MS),
            Figure(f"{name}, {tool}: CPU time, median", float(np.median(times.cpu)), "ms"),
            Figure(f"{name}, {tool}: redraw / napari's refresh", redraw / refresh, ""),
            Figure(f"{name}, {tool}: until drawn / napari's refresh", drawn / refresh, "", REDRAW),
            Figure(f"{name}, {tool}: the same in CPU time", float(np.median(times.drawn_cpu)) / refresh_cpu, ""),
        ]
        if base != refresh:
            figures.append(Figure(f"{name}, {tool}: redraw / napari's own of the same", redraw / base, ""))
            figures.append(Figure(f"{name}, {tool}: until drawn / napari's own of the same", drawn / base, ""))
        if tool in BESIDE:
            figures.append(
                Figure(f"{name}, {tool}: from the key until it is shown", float(np.median(times.shown)), "ms")
            )
    longest = max(ms for times in found.values() for ms in times.after)
    return [*figures, Figure(f"{name}: longest stall after a step, of the table and the counts", longest, "ms")]


def _medians(own: Own) -> tuple[float, float]:
    clock, cpu = np.median(own, axis=0).tolist()
    return clock, cpu
