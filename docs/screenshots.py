"""Make the pictures of the documentation again: the four tabs in both themes, and the first round step by step.

Run it under a display of at least 1400 x 900, real or virtual (`make screenshots`). Only generated samples are shown.
The round is real: the bundled model segments, a region is corrected, the model is fine-tuned. Your own models are left
alone: everything happens in a temporary library.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_unet.ui.main_widget import UNetWidget

IMAGES = Path(__file__).parent / "images"
WINDOW = (1360, 850)  # px
DOCK = 400  # px
TABS = ("segment", "correct", "train", "models")
SAMPLE = "nuclei_2d"
REGION = (slice(150, 350), slice(150, 350))  # voxels; corrected and marked as done
TRAINING, AGAIN, LIVE = "60steps", "30steps", "500steps"
MOVED = (5, -4)  # voxels; all labels, for the warning
AUGMENTATION = "fluorescence"
CLOSE = 6.0  # px of the screen for one of the image
PATIENCE_S = 600.0

Array = NDArray[Any]


def main() -> int:
    """Take all pictures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", type=Path, help="folder of a model to show instead of the bundled one")
    arguments.add_argument("--out", type=Path, default=IMAGES)
    chosen = arguments.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_UNET_HOME"] = home
        os.environ["NAPARI_CONFIG"] = str(Path(home, "settings.yaml"))
        if chosen.model is not None:
            shutil.copytree(chosen.model, Path(home, "models", chosen.model.name))
        Studio(chosen.out).take_all()
    return 0


class Studio:
    """A napari window with the dock, and a camera."""

    def __init__(self, out: Path) -> None:
        import napari
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import QApplication

        self.out = out
        self.viewer: Viewer = napari.Viewer()
        self.viewer.theme = "dark"
        self.app = QApplication.instance()
        dock, self.unet = self.viewer.window.add_plugin_dock_widget("napari-unet", "U-Net")
        self.unet: UNetWidget
        window = self.viewer.window._qt_window
        window.resize(*WINDOW)
        self.wait(1)
        window.resizeDocks([dock], [DOCK], Qt.Orientation.Horizontal)
        self.wait_for(lambda: "loading" not in self.unet.device.text())

    def take_all(self) -> None:
        """Go through the round and take a picture of each step."""
        self.take_round()
        self.train_again()
        self.unet.correct.review.colour.setChecked(True)  # its legend belongs into the picture of the tab
        for theme in ("dark", "light"):
            self.viewer.theme = theme
            for index, name in enumerate(TABS):
                self.unet.tabs.setCurrentIndex(index)
                self.unet.models.select(str(self.unet.session.model))
                self.wait(0.5)
                self.save(self.unet.grab(), f"{name}-{theme}")
        self.unet.correct.review.colour.setChecked(False)
        self.viewer.theme = "dark"
        self.take_patches()
        self.viewer.close()
        self.wait(0.5)

    def take_patches(self) -> None:
        """Show what the augmentation makes of the corrected image."""
        train = self.unet.train
        self.unet.tabs.setCurrentIndex(TABS.index("train"))
        train.taught.collapse()
        for fold in (train.how, train.options.fold):
            if fold is not None:
                fold.expand()
        train.options.widgets["augment"].value = AUGMENTATION
        train.preview.show_patches()
        self.wait_for(lambda: train.preview.words.text())
        self.take("augmentation")

    def take_round(self) -> None:
        """Open, segment, correct, train, segment again."""
        viewer, unet = self.viewer, self.unet
        viewer.open_sample("napari-unet", SAMPLE)
        viewer.reset_view()
        self.take("round-1-open")
        self.press_segment()
        self.take("round-2-segment")
        unet.tabs.setCurrentIndex(1)
        self.correct(unet.results.need().labels)
        self.take("round-3-correct")
        self.take_warning()
        unet.tabs.setCurrentIndex(2)
        unet.train.options.widgets["budget"].value = TRAINING
        self.wait(1)
        unet.train.button.click()
        rows = lambda: unet.train.plot is not None and unet.train.plot.n_rows  # noqa: E731
        self.wait_for(lambda: (rows() or 0) >= 20 or not unet.session.jobs.is_busy)
        self.take("round-4-train")
        self.wait_for(lambda: not unet.session.jobs.is_busy)
        self.take("round-5-compare")
        self.take_gained()
        self.take_live()
        unet.tabs.setCurrentIndex(0)
        self.press_segment()
        self.take("round-6-segment-again")

    def train_again(self) -> None:
        """Make one more version, so that there is a lineage to show; how good it is does not matter."""
        self.unet.tabs.setCurrentIndex(TABS.index("train"))
        self.unet.train.options.widgets["budget"].value = AGAIN
        self.unet.train.button.click()
        self.wait_for(lambda: not self.unet.session.jobs.is_busy)
        self.unet.train.taught.expand()

    def take_gained(self) -> None:
        """Show the cells that were gained and lost, the first of them from near."""
        self.unet.train.gained.switch.click()
        outlines = next(layer for layer in self.viewer.layers if "gained and lost" in layer.name)
        found = np.argwhere(outlines.data)
        if len(found):
            camera = self.viewer.scene.camera if hasattr(self.viewer, "scene") else self.viewer.camera
            camera.center, camera.zoom = outlines.data_to_world(found[0]), CLOSE
        self.take("gained")
        self.unet.train.gained.switch.click()
        self.viewer.reset_view()

    def take_warning(self) -> None:
        """Show what is said before a training when all labels lie beside the image."""
        labels = self.unet.results.need().labels
        moved = np.roll(labels.data, MOVED, axis=(0, 1))
        where = np.nonzero(moved != labels.data)
        labels.data_setitem(where, moved[where])
        self.unet.tabs.setCurrentIndex(TABS.index("train"))
        self.wait_for(lambda: "beside what the image shows" in self.unet.train.warnings.text())
        self.take("warning")
        self.unet.session.history.undo()
        self.wait(1)

    def take_live(self) -> None:
        """Show the curve and the words of a model that learns while one corrects."""
        train = self.unet.train
        self.unet.tabs.setCurrentIndex(TABS.index("train"))
        train.options.widgets["budget"].value = LIVE
        link = self.unet.results.need()
        self.unet.session.accept(link.key, [int(link.labels.data[link.labels.data > 0][0])])
        train.live.toggle.click()
        rows = lambda: train.plot is not None and train.plot.n_rows  # noqa: E731
        self.wait_for(lambda: (rows() or 0) >= 20 and "shown" in train.live.said.text())
        self.viewer.reset_view()
        self.take("live")
        train.discard.click()
        self.wait_for(lambda: not self.unet.session.jobs.is_busy)

    def press_segment(self) -> None:
        """Press the button and wait for the labels."""
        self.unet.segment.button.click()
        self.wait_for(lambda: not self.unet.session.jobs.is_busy)

    def correct(self, labels: Labels) -> None:
        """Do with a region what a user does with the brush: make it right, and say so; accept some more."""
        self.accept_some()
        truth = next(layer for layer in self.viewer.layers if "truth" in layer.name).data
        old, new = redrawn(labels.data, truth)
        wanted = np.where(new, truth + int(labels.data.max()), 0)
        where = np.nonzero((old | new) & (labels.data != wanted))
        labels.data_setitem(where, wanted[where].astype(labels.data.dtype))
        self.unet.correct.buttons["region"].click()
        shapes = self.viewer.layers.selection.active
        low, high = [part.start for part in REGION], [part.stop - 1 for part in REGION]
        shapes.add_rectangles(np.array([low, [low[0], high[1]], high, [high[0], low[1]]]))
        self.wait(0.3)
        self.unet.correct.buttons["done"].click()
        self.viewer.layers.selection.active = labels
        self.viewer.reset_view()
        self.wait(0.5)

    def accept_some(self) -> None:
        """Accept a few of the objects that are right, as a user sees it."""
        labels = self.unet.results.need().labels.data
        truth = next(layer for layer in self.viewer.layers if "truth" in layer.name).data
        right = [one for one in np.unique(labels[labels > 0]).tolist() if is_right(labels == one, truth)]
        self.unet.correct.refresh()
        self.unet.correct.table.select(right[:8])
        self.unet.correct.buttons["accept"].click()
        self.wait(0.3)

    # --- the camera ---

    def take(self, name: str) -> None:
        """Take the whole window."""
        self.wait(1)
        self.save(self.viewer.window._qt_window.grab(), name)

    def save(self, picture: object, name: str) -> None:
        """Save one picture."""
        path = self.out / f"{name}.png"
        picture.save(str(path))  # type: ignore[attr-defined]
        print(path, f"{picture.width()} x {picture.height()}")  # type: ignore[attr-defined]

    def wait(self, seconds: float) -> None:
        """Let the window draw."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.app.processEvents()
            time.sleep(0.005)

    def wait_for(self, is_there: Callable[[], object]) -> None:
        """Let the window work until something has happened."""
        until = time.monotonic() + PATIENCE_S
        while not is_there():
            if time.monotonic() > until:
                sys.exit("screenshots: nothing happened for ten minutes")
            self.wait(0.05)
        self.wait(0.5)


def redrawn(labels: Array, truth: Array) -> tuple[Array, Array]:
    """Find what is redrawn whole, before and after: all that reaches into the region, and what overlaps that."""
    here = np.zeros(labels.shape, bool)
    here[REGION] = True
    size = 0
    while here.sum() > size:
        size = here.sum()
        old = (labels > 0) & np.isin(labels, labels[here])
        new = (truth > 0) & np.isin(truth, truth[here | old])
        here = here | old | new
    return old, new


def is_right(mask: Array, truth: Array) -> bool:
    """Tell whether a predicted object covers one true object, and little else."""
    ids, counts = np.unique(truth[mask], return_counts=True)
    best = int(ids[counts.argmax()])
    other = truth == best
    return bool(best and (mask & other).sum() > 0.85 * (mask | other).sum())


if __name__ == "__main__":
    sys.exit(main())
