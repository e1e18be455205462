"""The preview of the augmentation in the viewer: beside the image, and never taken for an image to work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.app.preview import Patches
from napari_unet.ui import layers, patch_preview
from tests.ui.conftest import LIMIT_MS, squares

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace the drawing; what was asked for is kept."""
    requests: list[Any] = []

    def draw(request: Any, report: Any, stop: Any) -> Patches:
        requests.append(request)
        image = request.image
        shape = (*([6] if image.dims == 3 else []), 20, 40)
        labels = np.zeros(shape, np.int32)
        labels[..., :5, :5] = 7
        rng = np.random.default_rng(len(requests))
        return Patches(rng.random((image.n_channels, *shape), np.float32), labels, "As chosen.")

    monkeypatch.setattr(patch_preview, "augmented_patches", draw)
    return requests


def previews(viewer: Viewer) -> list[Any]:
    return [layer for layer in viewer.layers if layers.is_preview(layer)]


def press(dock: UNetWidget, qtbot: QtBot) -> None:
    before = previews(dock.workspace.viewer)
    dock.train.preview.button.click()
    qtbot.waitUntil(lambda: previews(dock.workspace.viewer) not in ([], before), timeout=LIMIT_MS)


@pytest.mark.parametrize(
    ("shape", "axes", "rgb"),
    [
        ((40, 60), ("y", "x"), False),
        ((40, 60, 3), ("y", "x"), True),
        ((3, 40, 60), ("t", "y", "x"), False),
        ((9, 2, 40, 60), ("z", "c", "y", "x"), False),
        ((2, 3, 9, 40, 60), ("t", "c", "z", "y", "x"), False),
    ],
)
def test_preview_when_pressed_then_patches_and_labels_lie_beside_the_image_on_its_grid(
    viewer: Viewer,
    model: str,
    dock: UNetWidget,
    qtbot: QtBot,
    asked: list[Any],
    told: Told,
    shape: tuple[int, ...],
    axes: tuple[str, ...],
    rgb: bool,
) -> None:
    data = np.random.default_rng(0).random(shape, np.float32)
    scale = [2.0 if a == "z" else 0.5 if a in "yx" else 1.0 for a in axes]
    layer = viewer.add_image(data, axis_labels=axes, scale=scale, rgb=rgb, translate=[5.0] * len(axes))
    press(dock, qtbot)
    image, labels = previews(viewer)
    assert not told.errors
    assert (image.ndim, image.rgb, tuple(image.scale)) == (layer.ndim, rgb, tuple(layer.scale))
    low, high = image.extent.world
    assert low[-1] > layer.extent.world[1][-1]
    at = viewer.dims.point[-layer.ndim :]
    hidden = [i for i, a in enumerate(axes) if a in "tz"]
    assert all(low[i] <= at[i] <= high[i] for i in hidden)
    np.testing.assert_allclose(labels.extent.world[:, -2:], image.extent.world[:, -2:])
    assert not labels.editable
    assert dock.train.preview.words.text() == "As chosen."


def test_preview_when_it_is_there_then_the_image_stays_the_one_worked_on(
    viewer: Viewer, blobs: str, segmented: UNetWidget, qtbot: QtBot, asked: list[Any], told: Told
) -> None:
    dock = segmented
    layer, link = dock.workspace.layer, dock.results.need()
    press(dock, qtbot)
    assert viewer.layers.selection.active is not None
    assert not layers.is_preview(viewer.layers.selection.active)
    viewer.layers.selection.active = previews(viewer)[0]
    assert dock.workspace.layer is layer
    assert dock.results.need() is link
    dock.train._on_changed()
    np.testing.assert_array_equal(asked[0].snapshot.labels, link.labels.data)


def test_preview_when_pressed_again_then_other_patches_take_the_place_of_the_first(
    viewer: Viewer, model: str, dock: UNetWidget, qtbot: QtBot, asked: list[Any]
) -> None:
    viewer.add_image(squares())
    dock.train.options.widgets["augment"].value = "em"
    press(dock, qtbot)
    press(dock, qtbot)
    assert len(previews(viewer)) == 2
    assert [request.options.seed for request in asked] == [0, 1]
    assert asked[1].options.augment == "em"


def test_preview_when_there_is_no_image_then_says_so(dock: UNetWidget, told: Told) -> None:
    dock.train.preview.button.click()
    assert "no image" in told.errors[0]


def test_preview_when_the_image_is_gone_before_the_end_then_nothing_is_shown(
    viewer: Viewer, model: str, dock: UNetWidget, qtbot: QtBot, asked: list[Any], told: Told
) -> None:
    layer = viewer.add_image(squares())
    dock.train.preview.button.click()
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not dock.session.jobs.active, timeout=LIMIT_MS)
    assert not previews(viewer)
    assert not told.errors
