"""A window with many objects, each of which gives some correction tool something to do."""

from __future__ import annotations

import time
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication

from benchmarks.tools import DRAW_LAYER
from benchmarks.watch import spin
from napari_unet.app.requests import KeptOutput, SegmentResult
from napari_unet.core.pipeline.prediction import Prediction
from napari_unet.core.targets import TARGETS
from napari_unet.launch import freeze_imports
from napari_unet.ui import view
from napari_unet.ui.drawings import DRAWING
from napari_unet.ui.magic import Drawn

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Labels

    from napari_unet.ui.main_widget import UNetWidget

PLAIN, HOLED, PIECES, GAP, MISSED = range(5)
"""What an object is, by its number modulo 5: whole, with a hole, in two pieces, with an empty slice, not found."""

NEEDS = {
    "fill_holes": HOLED,
    "keep_largest": PIECES,
    "separate": PIECES,
    "interpolate": GAP,
    "magic": MISSED,
    "draw": MISSED,
    DRAW_LAYER: MISSED,
}
STACKS_ONLY = ("interpolate", "copy_on")
EVERY = 2  # voxels of a stack's plane for one of the maps, as of a network that saw it smaller
SETTLE_S = 0.4  # longer than the pause after which the dock looks at what has changed
UNCHOSEN = ("magic", "draw", DRAW_LAYER, "renumber", "remove_small", "clear_border")
"""They need no object."""


class ToolStage:
    """A viewer with labels that were predicted.

    Parameters
    ----------
    shape : (Y, X) or (Z, Y, X)
        Of the labels.
    n_objects : int
        On a grid, with jitter; each is two balls that overlap.
    """

    def __init__(self, shape: tuple[int, ...], n_objects: int) -> None:
        import napari
        import torch  # noqa: F401 - before the window, as the launcher does

        freeze_imports()
        self.in_napari = self.cpu_in_napari = 0.0
        self.end = 0.0, 0.0
        self.places, truth = make_objects(shape, n_objects)
        self.viewer: Viewer = napari.Viewer()
        self.viewer.add_image(np.zeros(shape, np.uint8), name="image", axis_labels=("z", "y", "x")[-len(shape) :])
        self.dock: UNetWidget = self.viewer.window.add_plugin_dock_widget("napari-unet", "U-Net")[1]
        workspace = self.dock.workspace
        predicted = spoil(truth, self.places)
        result = SegmentResult(predicted, kept_output(truth), None, "")
        axes = workspace.reading.axes
        assert workspace.layer is not None
        assert axes is not None
        self.link = self.dock.results.show(workspace.layer, workspace.image(), axes, result)
        self.layer: Labels = self.link.labels
        self.tab = self.dock.correct
        self.dock.tabs.setCurrentIndex(1)
        self.tab.refresh()
        self.viewer.layers.selection.active = self.layer
        self._count_napari()
        spin(2)

    def _count_napari(self) -> None:
        """Take the time that the layer itself draws in: that is no part of ours."""
        self._depth = 0
        for name in ("refresh", "_partial_labels_refresh"):
            setattr(self.layer, name, self._timed(getattr(self.layer, name)))
        for layer in self.viewer.layers:  # what napari does when the slider is moved
            layer._slice_dims = self._timed(layer._slice_dims)
        whole = self.tab.corrector.whole
        whole._write = self._timed_end(whole._write)  # type: ignore[method-assign]

    def _timed(self, method: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started, cpu = time.perf_counter(), time.thread_time()
            self._depth += 1
            try:
                return method(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:  # one may call the other
                    self.in_napari += time.perf_counter() - started
                    self.cpu_in_napari += time.thread_time() - cpu

        return timed

    def _timed_end(self, write: Any) -> Any:
        """Take the time in which something that was worked out beside the window is written."""

        def timed(*args: Any) -> None:
            started, cpu = time.perf_counter(), time.thread_time()
            write(*args)
            self.end = time.perf_counter() - started, time.thread_time() - cpu

        return timed

    # ------------------------------------------------------------ what is done

    def can(self, tool: str) -> bool:
        """Tell whether a tool makes sense for the labels."""
        return self.layer.ndim == 3 or tool not in STACKS_ONLY

    def prepare(self, tool: str, number: int) -> None:
        """Choose or draw what the tool works on."""
        kind = NEEDS.get(tool, PLAIN)
        if (tool == "draw") != self.tab.drawing.is_on:
            self.tab.drawing.toggle()
        self.viewer.layers.selection.active = self.layer
        ids = np.arange(len(self.places))
        found = ids[(ids % 5 == kind) & (ids > 0)]
        one = int(found[(7 * number) % len(found)])
        middle = self.places[one]
        view.go_to(self.viewer, self.layer, tuple(middle))
        if tool == "magic":
            self.tab.corrector.pen.clear()
            self.tab.corrector.pen._strokes.append(Drawn(True, [middle.astype(float)], [(0.0, 0.0)]))
        elif tool == "draw":
            points = self._outline(middle)
            self._stroke = Drawn(True, list(points), [(float(x), float(y)) for y, x in points[:, -2:]])
        elif tool == DRAW_LAYER:
            self.tab.corrector.draw_outline()
            view.named(self.viewer, DRAWING).add_polygons(self._outline(middle))  # type: ignore[union-attr]  # made above
        elif tool == "remove_small":
            self.tab.tools.forms["remove_small"].widgets["size"].value = self._median_size()
        chosen = [] if tool in UNCHOSEN else [one]
        if tool == "merge":
            chosen.append(one + 1)
        self.tab.table.select(chosen)
        if tool == "copy_on":
            self._go_to_last_slice(one, middle)
        spin(0.1)

    def _outline(self, middle: NDArray[np.int64]) -> NDArray[np.float64]:
        turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        points = np.tile(middle.astype(float), (len(turns), 1))
        radius = 0.8 * self._radius
        points[:, -2:] += radius * np.stack([np.sin(turns), np.cos(turns)], axis=1)
        return points

    def _median_size(self) -> float:
        return float(np.median(self.tab.table.objects.all_rows.sizes))

    def _go_to_last_slice(self, one: int, middle: NDArray[np.int64]) -> None:
        here = tuple(slice(max(0, m - 2 * self._radius), m + 2 * self._radius) for m in middle)
        last = int(np.flatnonzero((np.asarray(self.layer.data[here]) == one).any((1, 2))).max()) + here[0].start
        view.go_to(self.viewer, self.layer, (last, *middle[1:]))

    @property
    def _radius(self) -> int:
        return radius_of(self.layer.data.shape, len(self.places) - 1)

    def use(self, tool: str) -> None:
        """Press the key of a tool; of Magic, let it go; of Draw, let the button go."""
        if tool == "magic":
            self.tab._use("magic")
        elif tool == "draw":
            self.tab.corrector.outline_pen.on_stroke(self._stroke)
        elif tool == DRAW_LAYER:
            self.tab.use("draw")
        else:
            self.tab.use(tool)
        if not (self.dock.session.history.can_undo or self.tab.corrector.whole.is_busy):
            raise RuntimeError(f"{tool} did nothing to {self.tab.table.selected()}")

    def refresh_after(self, tool: str) -> tuple[float, float]:
        """Let a tool work, and napari refresh the layer where it would write; gives the time in ms as `refresh`."""
        whole = self.tab.corrector.whole
        write = whole._write
        whole._write = self._timed_end(lambda *_: self.layer.refresh())  # type: ignore[method-assign]
        try:
            self.use(tool)
            held = self.wait()[0]
        finally:
            whole._write = write  # type: ignore[method-assign]
        return 1e3 * held[0], 1e3 * held[1]

    def wait(self) -> tuple[tuple[float, float], float]:
        """Let a tool end that works beside the window.

        Returns
        -------
        (float, float), float, s
            How long the window stood still at the end, until it was drawn, on the clock and in CPU time of the main
            thread; and the longest time before.
        """
        longest = 0.0
        while self.tab.corrector.whole.is_busy:
            held = self._held()
            if not self.tab.corrector.whole.is_busy:
                more = self._held()
                return (held[0] + more[0], held[1] + more[1]), longest
            longest = max(longest, held[0])
            time.sleep(0.002)
        return (0.0, 0.0), longest

    def _held(self) -> tuple[float, float]:
        """Let the window draw; gives how long it took, on the clock and in CPU time, in s."""
        started, cpu = time.perf_counter(), time.thread_time()
        self.draw()
        return time.perf_counter() - started, time.thread_time() - cpu

    def undo(self) -> None:
        """Press Ctrl+Z."""
        self.tab.buttons["undo"].click()

    def accept(self) -> None:
        """Press A."""
        self.tab.buttons["accept"].click()

    def go_on(self) -> None:
        """Press N."""
        self.tab.buttons["next"].click()

    def draw(self) -> None:
        """Let the window draw."""
        QApplication.processEvents()

    def refresh(self) -> tuple[float, float]:
        """Let napari refresh the whole layer and draw it; gives the time in ms, on the clock and in CPU time.

        Then the dock counts all objects anew, as after a script that wrote into the labels: that is waited for.
        """
        started, cpu = time.perf_counter(), time.thread_time()
        self.layer.refresh()
        self.draw()
        taken = 1e3 * (time.perf_counter() - started), 1e3 * (time.thread_time() - cpu)
        self.look()
        return taken

    def step_slider(self) -> tuple[float, float]:
        """Let napari show another slice of a stack and draw it; gives the time in ms as `refresh`, 0 for a plane."""
        if self.layer.ndim < 3:
            return 0.0, 0.0
        at = int(self.viewer.dims.current_step[0])
        started, cpu = time.perf_counter(), time.thread_time()
        self.viewer.dims.set_current_step(0, (at + self.layer.data.shape[0] // 2) % self.layer.data.shape[0])
        self.draw()
        return 1e3 * (time.perf_counter() - started), 1e3 * (time.thread_time() - cpu)

    def look(self) -> float:
        """Let the dock look at all that changed; gives how long the window stood still meanwhile, in s."""
        self.dock.results.pause_for(0.0)  # while one works it waits for a pause of the hand, up to seconds
        self.dock.results.touch()
        longest, end = 0.0, time.perf_counter() + SETTLE_S
        while time.perf_counter() < end:
            started = time.perf_counter()
            QApplication.processEvents()
            longest = max(longest, time.perf_counter() - started)
            if self.tab.review.counting.known(self.link) is None:
                end = time.perf_counter() + SETTLE_S
            time.sleep(0.002)
        return longest


# ---------------------------------------------------------------- labels


def radius_of(shape: tuple[int, ...], n_objects: int) -> int:
    """Give the radius of the balls, in px: the objects fill about a quarter of their cells of the grid."""
    return max(3, int(0.22 * min(_cell(shape, n_objects))))


def _cell(shape: tuple[int, ...], n_objects: int) -> tuple[int, ...]:
    counts = _counts(shape, n_objects)
    return tuple(size // n for size, n in zip(shape, counts, strict=True))


def _counts(shape: tuple[int, ...], n_objects: int) -> tuple[int, ...]:
    deep = 2 if len(shape) == 3 else 1
    side = ceil((n_objects / deep) ** 0.5)
    return (deep, side, side) if len(shape) == 3 else (side, side)


def make_objects(shape: tuple[int, ...], n_objects: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Draw objects of two balls each, on a grid with jitter; gives their middles by number (0: none) and the labels."""
    rng, radius, cell = np.random.default_rng(0), radius_of(shape, n_objects), _cell(shape, n_objects)
    labels = np.zeros(shape, np.int32)
    places = [np.zeros(len(shape), np.int64)]
    aside = np.zeros(len(shape), np.int64)
    aside[-1] = radius
    for at in np.ndindex(_counts(shape, n_objects)):
        if len(places) > n_objects:
            break
        middle = ((np.array(at) + 0.5) * cell + rng.integers(-2, 3, len(shape))).astype(np.int64)
        for side in (-1, 1):
            _ball(labels, middle + side * (aside * 3 // 4), radius, len(places))
        places.append(middle)
    return np.array(places), labels


def _ball(labels: NDArray[np.int32], middle: NDArray[np.int64], radius: int, value: int) -> None:
    box = tuple(slice(max(0, m - radius), m + radius + 1) for m in middle)
    grids = np.ogrid[tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, labels.shape, strict=True))]
    inside = sum((grid - m) ** 2 for grid, m in zip(grids, middle, strict=True)) <= radius**2
    labels[box][inside] = value


def spoil(truth: NDArray[np.int32], places: NDArray[np.int64]) -> NDArray[np.int32]:
    """Make mistakes: holes, pieces, empty slices and missed objects, by the number of the object."""
    labels, radius = truth.copy(), radius_of(truth.shape, len(places) - 1)
    for one, middle in enumerate(places[1:], start=1):
        box = tuple(slice(max(0, m - 2 * radius - 2), m + 2 * radius + 3) for m in middle)
        part = labels[box]
        kind = one % 5
        if kind == HOLED:
            offset = [0] * truth.ndim
            offset[-1] = radius * 3 // 4
            _ball(labels, middle + offset, max(1, radius // 4), 0)
        elif kind == PIECES:
            column = int(middle[-1]) - box[-1].start
            thin = part[..., column : column + 2]
            thin[thin == one] = 0
        elif kind == GAP and truth.ndim == 3:
            slice_ = part[int(middle[0]) - box[0].start]
            slice_[slice_ == one] = 0
        elif kind == MISSED:
            part[part == one] = 0
    labels.reshape(-1)[0] = 0
    edge = tuple(slice(0, 3) for _ in truth.shape)
    labels[edge] = len(places)  # the border cuts this one
    return labels


def kept_output(truth: NDArray[np.int32]) -> KeptOutput:
    """Give the maps of a perfect network; of a stack at half of its width and height."""
    seen = truth if truth.ndim == 2 else np.ascontiguousarray(truth[:, ::EVERY, ::EVERY])
    sampling = (1.0,) * truth.ndim if truth.ndim == 2 else (1.0, float(EVERY), float(EVERY))
    maps = TARGETS["instances"].encode(seen, None, sampling).target[:2].astype(np.float16)
    n = int(truth.max(initial=0)) + 2
    return KeptOutput(Prediction((maps,), truth.shape, sampling), confidence=np.linspace(0, 1, n).astype(np.float32))
