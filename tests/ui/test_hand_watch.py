"""The window tells of the user's hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_unet.ui.hand_watch import HandWatch
from napari_unet.ui.view import camera_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.viewer import Viewer

    from napari_unet.ui.main_widget import UNetWidget


class Seen:
    """Count the moves."""

    moves = 0

    def move(self) -> None:
        self.moves += 1


def drag(viewer: Any) -> None:
    event = SimpleNamespace(type="mouse_press")
    moves = viewer.mouse_drag_callbacks[-1](viewer, event)
    next(moves)
    event.type = "mouse_move"
    next(moves)
    event.type = "mouse_release"
    assert next(moves, "the end") == "the end"


def slide(viewer: Any) -> None:
    viewer.dims.set_point(0, 2)


def zoom(viewer: Any) -> None:
    camera_of(viewer).zoom *= 2


def pan(viewer: Any) -> None:
    camera_of(viewer).center = (0, 3, 3)


def turn(viewer: Any) -> None:
    camera_of(viewer).angles = (1, 2, 3)


def paint(viewer: Any) -> None:
    viewer.layers["old"].paint((0, 2, 2), 5)


def paint_later_layer(viewer: Any) -> None:
    viewer.layers["new"].paint((0, 2, 2), 5)


MOVES = [drag, slide, zoom, pan, turn, paint, paint_later_layer]


@pytest.mark.parametrize("act", MOVES, ids=lambda act: act.__name__)
def test_hand_when_the_user_moves_then_it_is_told_until_the_dock_closes(act: Callable[[Any], None]) -> None:
    viewer, hand = ViewerModel(), Seen()
    viewer.add_labels(np.zeros((3, 8, 8), int), name="old")
    watch = HandWatch(viewer, hand)  # type: ignore[arg-type]  # a viewer without a window, and a hand that counts
    viewer.add_image(np.zeros((3, 8, 8)))
    viewer.add_labels(np.zeros((3, 8, 8), int), name="new")
    hand.moves = 0
    act(viewer)
    told = hand.moves
    assert told > 0
    callbacks = len(viewer.mouse_drag_callbacks)
    watch.close_links()
    assert len(viewer.mouse_drag_callbacks) == callbacks - 1
    viewer.dims.set_point(0, 0)
    viewer.layers["old"].paint((0, 5, 5), 6)
    viewer.layers["new"].paint((0, 5, 5), 6)
    for again in (zoom, pan, turn):
        again(viewer)
    assert hand.moves == told


def test_dock_when_the_user_paints_then_its_jobs_know(
    viewer: Viewer, dock: UNetWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = viewer.add_labels(np.zeros((8, 8), int))
    moved: list[None] = []
    monkeypatch.setattr(dock.hand, "move", lambda: moved.append(None))
    layer.paint((2, 2), 1)
    assert moved
