"""Notice the user's hand in a viewer: it drags, paints, zooms, or turns the slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_unet.ui.view import camera_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.viewer import Viewer

    from napari_unet.app.hand import Hand


class HandWatch:
    """Tell a hand that it moves.

    Parameters
    ----------
    viewer : napari Viewer
        All its labels layers are watched too, also those that come later: whatever paints into them.
    hand : Hand
        Is told.
    """

    def __init__(self, viewer: Viewer, hand: Hand) -> None:
        self._viewer, self._hand = viewer, hand
        camera = camera_of(viewer).events
        self._heard = (camera.center, camera.zoom, camera.angles, viewer.dims.events.point)
        for emitter in self._heard:
            emitter.connect(self._on_move)
        viewer.mouse_drag_callbacks.append(self._on_drag)
        viewer.layers.events.inserted.connect(self._on_inserted)
        for layer in viewer.layers:
            self._watch(layer)

    def close_links(self) -> None:
        """Listen no longer."""
        for emitter in self._heard:
            emitter.disconnect(self._on_move)
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        for layer in self._viewer.layers:
            if isinstance(layer, Labels):
                layer.events.labels_update.disconnect(self._on_move)

    def _on_move(self, event: Any) -> None:
        self._hand.move()

    def _on_drag(self, viewer: Viewer, event: Any) -> Iterator[None]:
        self._hand.move()
        yield
        while event.type == "mouse_move":
            self._hand.move()
            yield

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)

    def _watch(self, layer: object) -> None:
        if isinstance(layer, Labels):
            layer.events.labels_update.connect(self._on_move)
