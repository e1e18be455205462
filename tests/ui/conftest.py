"""A real window with the dock, and a stand-in for the network that is right about bright blobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import QCoreApplication, QEvent
from scipy import ndimage as ndi

from napari_unet.app import commands, library, streaming
from napari_unet.app.commands import KeptOutput, SegmentResult, Training
from napari_unet.core.base.parts import check_image
from napari_unet.core.base.progress import Progress
from napari_unet.core.store.spec import SPEC_FILE, ModelSpec
from napari_unet.core.targets import DecodeSettings
from napari_unet.ui import messages
from napari_unet.ui.main_widget import UNetWidget
from tests.app.models import save_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Labels
    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot
    from qtpy.QtWidgets import QWidget

    from napari_unet.ui.correct_tab import CorrectTab

MODEL = "blobs"
LIMIT_MS = 60_000
STACK = (8, 40, 60)
"""Voxels of an image whose labels stay on the disk under `small_limit`."""


@dataclass(frozen=True)
class Row:
    step: int
    loss: float
    score: float | None = None
    seconds: float = 0.0


@dataclass
class Told:
    """What the user was notified about."""

    errors: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    said = Told()
    monkeypatch.setattr(messages.notifications, "show_error", said.errors.append)
    monkeypatch.setattr(messages.notifications, "show_info", said.infos.append)
    return said


@pytest.fixture(autouse=True)
def no_bundled_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Show the dock only the models of the test."""
    monkeypatch.setattr(library, "bundled_folder", lambda: tmp_path / "bundled")


def add_model(name: str, dims: int = 2, target: str = "instances") -> None:
    classes = () if target == "instances" else ("channel 0",)
    spec = ModelSpec(name, "unet", {"base": 4, "depth": 2}, target, dims, 1, classes=classes, scores={"AP": 0.5})
    folder = library.models_folder() / name
    folder.mkdir(parents=True)
    (folder / SPEC_FILE).write_text(spec.to_json(), encoding="utf-8")


@pytest.fixture
def model(models_home: object) -> str:
    add_model(MODEL)
    return MODEL


def find_blobs(request: Any, report: Any, stop: Any) -> SegmentResult:
    check_image(request.image)
    report(Progress(1, 2, "tile 1 of 2"))
    data = np.asarray(request.image.data, float)
    if "C" in request.image.axes:
        data = data.mean(request.image.axes.index("C"))
    return _decode(data, request.label_box, 0.5 if request.options.threshold is None else request.options.threshold)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the stand-in saw: the image itself."""

    data: NDArray[np.float64]
    box: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data[self.box or ...].shape

    @property
    def maps(self) -> tuple[NDArray[np.float64], ...]:
        return (self.data[self.box or ...][None],)

    def __getitem__(self, key: Any) -> Seen:
        return Seen(self.data[key])


def _decode(data: NDArray[np.float64], box: Any, threshold: float) -> SegmentResult:
    found, n = ndi.label(data > threshold)
    sure = np.linspace(0.9, 0.1, n + 1, dtype=np.float32)
    kept = KeptOutput(Seen(data, box), box, confidence=sure)  # type: ignore[arg-type]
    return SegmentResult(found[box or ...].astype(np.int32), kept, box, MODEL)


def find_blobs_again(request: Any, report: Any, stop: Any) -> SegmentResult:
    return _decode(request.prediction.output.data, request.prediction.box, request.options.threshold or 0.5)


def learn_fast(request: Any, report: Any, stop: Any) -> Training:
    assert request.snapshots
    for step in range(1, 6):
        report(Progress(step, 5, f"step {step}", Row(step, 1 / step, 0.5 + step / 20)))
    name = library.next_name(MODEL)
    add_model(name)
    folder = library.models_folder() / name
    return Training(name, folder, MODEL, True, 0.61, 0.72, 12, "regions", (), stop())


@pytest.fixture
def blobs(monkeypatch: pytest.MonkeyPatch, model: str) -> str:
    """Replace the network by a threshold, and training by a few reports."""
    monkeypatch.setattr(commands, "segment", find_blobs)
    monkeypatch.setattr(commands, "redecode", find_blobs_again)
    monkeypatch.setattr(commands, "fine_tune", learn_fast)
    return model


def squares(shape: tuple[int, ...] = (40, 60), n: int = 4) -> NDArray[np.float32]:
    """Draw `n` bright squares, each a little larger than the one before, in the last two axes."""
    image = np.zeros(shape, np.float32)
    for i in range(n):
        top, left = 3 + 18 * (i % 2), 3 + 15 * (i // 2)
        image[..., top : top + 6 + i, left : left + 6] = 0.9 if i % 2 else 0.7
    return image


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    return make_napari_viewer()


@pytest.fixture
def dock(viewer: Viewer, qtbot: QtBot, told: Told) -> Iterator[UNetWidget]:
    widget = UNetWidget(PublicOnlyProxy(viewer))  # as napari hands it to plugins
    viewer.window.add_dock_widget(widget, name="U-Net")
    yield widget
    widget.shut_down()


@pytest.fixture
def segmented(viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot) -> UNetWidget:
    """Segment four squares by the button."""
    viewer.add_image(squares(), name="squares")
    press(dock, qtbot)
    return dock


@pytest.fixture
def tab(segmented: UNetWidget) -> CorrectTab:
    """Give the Correct tab with four segmented squares."""
    segmented.tabs.setCurrentIndex(1)
    segmented.correct.refresh()
    return segmented.correct


def destroy(widget: QWidget) -> None:
    """Delete a widget now: one that outlives its test is found by the next."""
    widget.deleteLater()
    QCoreApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)


def press(dock: UNetWidget, qtbot: QtBot) -> None:
    """Press Segment and wait for the labels."""
    dock.segment.button.click()
    wait_idle(dock, qtbot)


def wait_idle(dock: UNetWidget, qtbot: QtBot) -> None:
    """Wait for the end of the job; the limit is for a machine that does much else."""
    qtbot.waitUntil(lambda: not dock.session.jobs.is_busy, timeout=LIMIT_MS)


# --- labels that stay on the disk


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let labels of 2500 voxels be not large, and those of more be."""
    monkeypatch.setattr(streaming, "fair_bytes", lambda: 100_000.0)


@pytest.fixture
def tiny(models_home: object) -> str:
    """Put a network of random weights into the library."""
    loose = DecodeSettings(foreground=0.05, seed=0.01, split=0.01, min_size=1)  # it finds something
    save_tiny(library.models_folder(), "tiny", decode=loose.to_dict())
    return "tiny"


@pytest.fixture
def streamed(viewer: Viewer, tiny: str, dock: UNetWidget, qtbot: QtBot) -> UNetWidget:
    """Segment a stack that is larger than the limit by the button."""
    data = np.random.default_rng(0).random(STACK, dtype=np.float32)
    viewer.add_image(data, name="stack", axis_labels=("z", "y", "x"), scale=(3, 1, 1))
    press(dock, qtbot)
    return dock


def stores() -> list[Path]:
    return sorted(library.results_folder().glob("*.zarr"))


def labels_of(viewer: Viewer) -> Labels:
    return viewer.layers[-1]
