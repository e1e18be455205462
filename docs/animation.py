"""Make the moving picture of correcting (review, split, magic), and magic before and after, from the real window.

Run it under a display of at least 1400 x 900, real or virtual (`make screenshots`). Only a generated sample is shown;
the bundled model segments it, asked to split so little that touching nuclei stay together.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from screenshots import CLOSE, IMAGES, SAMPLE, Studio, is_right

if TYPE_CHECKING:
    from PIL.Image import Image
    from qtpy.QtCore import QPoint
    from qtpy.QtWidgets import QWidget

WIDTH, BAR = 900, 34  # px of the moving picture, and of the line that says what is done
COLOURS = 255
MOST_BYTES = 1_500_000
SPLIT = 0.6  # what a pass has to fall by; far more than usual
ARROW = ((0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12))

Array = NDArray[Any]
Voxel = Sequence[float]


def main() -> int:
    """Film."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=IMAGES)
    chosen = arguments.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_UNET_HOME"] = home
        os.environ["NAPARI_CONFIG"] = str(Path(home, "settings.yaml"))
        Film(chosen.out).shoot()
    return 0


class Film(Studio):
    """A window, a mouse, and the frames so far."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.frames: list[Image] = []
        self.times: list[int] = []
        self.before_after: list[Image] = []
        self.mouse: QPoint | None = None

    def shoot(self) -> None:
        """Film the scenes, one after the other."""
        self.viewer.open_sample("napari-unet", SAMPLE)
        self.unet.segment.options.widgets["split_threshold"].value = SPLIT
        self.press_segment()
        self.unet.tabs.setCurrentIndex(1)
        self.viewer.reset_view()
        self.wait(2)
        merged = self.find_merged()
        self.shoot_review()
        self.shoot_split(*merged[0])
        self.shoot_magic(*merged[1])
        self.shoot_others(merged[1])
        self.save_film()
        self.viewer.close()
        self.wait(0.5)

    # --- scenes ---

    def shoot_review(self) -> None:
        """Go through the table: accept what is right, leave what is not."""
        correct, labels = self.unet.correct, self.unet.results.need().labels.data
        truth = next(layer for layer in self.viewer.layers if "truth" in layer.name).data
        self.say("Review: the least certain first.", 1400)
        correct.buttons["next"].click()
        self.near(None)
        self.say("Not right, for later: N goes to the next.", 1100)
        right = [one for one in np.unique(labels[labels > 0]).tolist() if is_right(labels == one, truth)]
        for label in right[len(right) // 2 :][:2]:
            correct.table.select([label])
            self.near(None)
            self.say("Right: A accepts, and goes on.", 1100)
            correct.buttons["accept"].click()
        self.near(None)
        self.say("Review: the bar counts what is reviewed.", 1100)

    def shoot_split(self, cells: tuple[Voxel, ...], label: int) -> None:
        """Draw a line through two nuclei in one object."""
        correct, (one, other) = self.unet.correct, (np.array(cells[0]), np.array(cells[1]))
        correct.table.select([label])
        self.near((one + other) / 2)
        self.say("Two nuclei in one object. Split: press T, draw a line, press S.", 1600)
        correct.buttons["cut"].click()
        middle, across = (one + other) / 2, np.array([other[1] - one[1], one[0] - other[0]])
        ends = middle - 0.7 * across, middle + 0.7 * across
        for share in (0.4, 0.7, 1.0):
            shapes = self.viewer.layers.selection.active
            shapes.data = []
            shapes.add_paths(np.array([ends[0], ends[0] + share * (ends[1] - ends[0])]))
            self.point(ends[0] + share * (ends[1] - ends[0]))
            self.say("Two nuclei in one object. Split: press T, draw a line, press S.", 350)
        correct.buttons["split"].click()
        self.viewer.layers.selection.active = self.unet.results.need().labels
        self.mouse = None
        self.say("Split: each is an object now. Ctrl+Z takes it back.", 1600)

    def shoot_magic(self, cells: tuple[Voxel, ...], label: int) -> None:
        """Hold Q and click in two nuclei."""
        self.unet.correct.table.select([])
        self.near(np.mean(cells, axis=0))
        words = "Magic: hold Q and click once in each nucleus; let go."
        self.say(words, 1300)
        before = self.canvas_picture()
        with_clicks: list[Image] = []

        def click() -> None:
            for cell in cells:
                self.stroke([cell])
                self.say(words, 700)
            with_clicks.append(self.canvas_picture())

        self.hold(click)
        self.mouse = None
        self.say("Magic: they part where the network saw their boundary.", 1800)
        self.before_after = [before, with_clicks[0], self.canvas_picture()]

    def shoot_others(self, merged: tuple[tuple[Voxel, ...], int]) -> None:
        """Delete by a minus click, find what is missing by a plus click."""
        one, words = merged[0][0], "Magic: a click with the right button: no object is here."

        def minus() -> None:
            self.stroke([one], right=True)
            self.say(words, 900)

        self.hold(minus)
        self.mouse = None
        self.say(words, 900)
        words = "Magic: a click where a nucleus is missing."

        def plus() -> None:
            self.stroke([one])
            self.say(words, 900)

        self.hold(plus)
        self.mouse = None
        self.say("Magic: found again, by what the network saw there.", 1800)

    def find_merged(self) -> list[tuple[tuple[Voxel, ...], int]]:
        """Find objects that are two nuclei: the middles of both, and the label; equal ones first."""
        labels = self.unet.results.need().labels.data
        truth = next(layer for layer in self.viewer.layers if "truth" in layer.name).data
        found = []
        for label in np.unique(labels[labels > 0]).tolist():
            ids, counts = np.unique(truth[labels == label], return_counts=True)
            cells = [one for one, n in zip(ids, counts, strict=True) if one and n > 0.8 * (truth == one).sum()]
            if len(cells) == 2:
                middles = tuple(np.argwhere(truth == one).mean(axis=0) for one in cells)
                found.append((min((truth == one).sum() for one in cells), (middles, label)))
        if len(found) < 2:
            sys.exit("animation: no merged nuclei to show")
        return [site for _, site in sorted(found, key=lambda pair: -pair[0])]

    # --- hands ---

    def near(self, voxel: Any) -> None:
        """Look closely, at a voxel or where the dock went."""
        labels = self.unet.results.need().labels
        camera = self.viewer.scene.camera if hasattr(self.viewer, "scene") else self.viewer.camera
        camera.zoom = CLOSE / float(labels.scale[-1])
        if voxel is not None:
            camera.center = tuple(labels.data_to_world(voxel))
        self.wait(0.4)

    @property
    def canvas(self) -> QWidget:
        """Give what napari draws on."""
        return self.viewer.window._qt_viewer.canvas.native

    def point(self, voxel: Voxel) -> QPoint:
        """Move the mouse to a voxel."""
        from qtpy.QtCore import QPoint

        labels = self.unet.results.need().labels
        camera = self.viewer.scene.camera if hasattr(self.viewer, "scene") else self.viewer.camera
        y, x = (np.array(labels.data_to_world(voxel)) - camera.center[-2:]) * camera.zoom
        at = QPoint(round(self.canvas.width() / 2 + x), round(self.canvas.height() / 2 + y))
        self.mouse = self.canvas.mapTo(self.viewer.window._qt_window, at)
        return at

    def stroke(self, voxels: Sequence[Voxel], *, right: bool = False) -> None:
        """Press, drag and release."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        button = Qt.MouseButton.RightButton if right else Qt.MouseButton.LeftButton
        QTest.mousePress(self.canvas, button, Qt.KeyboardModifier.NoModifier, self.point(voxels[0]))
        for voxel in voxels[1:]:
            QTest.mouseMove(self.canvas, self.point(voxel))
            self.wait(0.02)
        QTest.mouseRelease(self.canvas, button, Qt.KeyboardModifier.NoModifier, self.point(voxels[-1]))

    def hold(self, do: Callable[[], None]) -> None:
        """Hold Q meanwhile."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.keyPress(self.canvas, Qt.Key.Key_Q)
        do()
        QTest.keyRelease(self.canvas, Qt.Key.Key_Q)

    # --- the film ---

    def say(self, words: str, milliseconds: int) -> None:
        """Take a frame, with words below it and the mouse where it is."""
        from PIL import Image as pictures
        from PIL import ImageDraw, ImageFont

        self.wait(0.35)
        frame = as_picture(self.viewer.window._qt_window)
        if self.mouse is not None:
            tip = np.array([self.mouse.x(), self.mouse.y()])
            outline = [tuple(tip + 1.6 * np.array(corner)) for corner in ARROW]
            ImageDraw.Draw(frame).polygon(outline, fill="white", outline="black")
        frame = frame.resize((WIDTH, round(frame.height * WIDTH / frame.width)), pictures.Resampling.LANCZOS)
        whole = pictures.new("RGB", (WIDTH, frame.height + BAR), "#1b1f24")
        whole.paste(frame, (0, 0))
        ImageDraw.Draw(whole).text((10, frame.height + 8), words, fill="white", font=ImageFont.load_default(16))
        self.frames.append(whole)
        self.times.append(milliseconds)

    def canvas_picture(self) -> Image:
        """Take the canvas as it is."""
        self.wait(0.4)
        picture = as_picture(self.canvas)
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        return picture.crop((left, top, left + side, top + side)).resize((400, 400))

    def save_film(self) -> None:
        """Save the moving picture, and the still one of before and after."""
        from PIL import Image as pictures

        path, first = self.out / "correct.gif", self.frames[0]
        strip = pictures.new("RGB", (first.width, first.height * len(self.frames)))
        for place, frame in enumerate(self.frames):
            strip.paste(frame, (0, place * first.height))
        palette = strip.quantize(COLOURS)  # one for all, so that nothing flickers
        frames = [frame.quantize(palette=palette, dither=pictures.Dither.NONE) for frame in self.frames]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=self.times, loop=0, optimize=True)
        n_bytes = path.stat().st_size
        print(path, f"{len(frames)} frames, {n_bytes / 1e6:.2f} MB")
        if n_bytes > MOST_BYTES:
            sys.exit(f"animation: {n_bytes} bytes are more than {MOST_BYTES}")
        still = pictures.new("RGB", (3 * 400 + 20, 400), "white")
        for place, picture in enumerate(self.before_after):
            still.paste(picture, (place * 410, 0))
        still.save(self.out / "magic.png", optimize=True)
        print(self.out / "magic.png", f"{still.width} x {still.height}")


def as_picture(widget: QWidget) -> Image:
    """Grab a widget."""
    from PIL import Image as pictures
    from qtpy.QtGui import QImage

    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    bits = image.constBits()
    if hasattr(bits, "setsize"):  # PyQt hands out a pointer without a length
        bits.setsize(image.sizeInBytes())
    rows: Array = np.frombuffer(bytes(bits), np.uint8).reshape(image.height(), image.bytesPerLine())
    return pictures.fromarray(rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy())


if __name__ == "__main__":
    sys.exit(main())
