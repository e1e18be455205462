"""Join the autosaver with the window: what changed, what can be brought back, and what closing must wait for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_unet.app import library
from napari_unet.app.autosave import Autosaver
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.autosave import identify
from napari_unet.ui import layers
from napari_unet.ui.qt import Signal

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unet.app.autosave_draft import Draft, Restored
    from napari_unet.app.session import Session
    from napari_unet.core.base.image import Image
    from napari_unet.core.store.autosave import ImageId, Saved
    from napari_unet.core.store.autosave_lock import Holder
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

TICK_MS = 500
LOOK_MS = 100  # after the last of a burst of changes of the image
WAIT_S = 30.0
"""A window that closes waits so long for the last save."""


class Autosaving(QObject):
    """Save the results of this window, and offer what was saved in windows that are gone.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    saver : Autosaver, optional
        The one of the library's folder by default.
    """

    offered = Signal()
    """Something else can be brought back, or nothing any more."""

    def __init__(
        self, workspace: Workspace, results: Results, session: Session, saver: Autosaver | None = None
    ) -> None:
        super().__init__()
        self._workspace, self._results, self._session = workspace, results, session
        self.saver = saver or Autosaver(library.autosave_folder())
        self._ends: dict[str, Callable[[], None]] = {}
        self._adopted: Path | None = None
        self._offers: list[Saved] = []
        self._was_removed = False
        self.holder: Holder | None = None
        self.left_behind: Saved | None = None
        self._clock = QTimer(self)
        self._clock.setInterval(TICK_MS)
        self._clock.timeout.connect(self._on_tick)
        self._look = QTimer(self)
        self._look.setSingleShot(True)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self.look)
        results.opened.connect(self._on_opened)
        results.closing.connect(self._on_closing)
        session.result_changed.connect(self.saver.touch)
        workspace.image_changed.connect(self._look.start)
        self._look.start()

    # ------------------------------------------------------------ saving

    def _on_opened(self, link: Link) -> None:
        if not isinstance(link.labels.data, np.ndarray):
            return  # painted straight into their own store
        image = identify(self.whole(link))
        slot, self._adopted = self._adopted, None
        self._ends[link.key] = _on_change(link.labels, partial(self.saver.touch, link.key))
        self.saver.watch(link.key, image, partial(self._take, link, image), slot, layers.labels_array(link.labels))
        self._clock.start()

    def _take(self, link: Link, image: ImageId, out: NDArray[np.integer[Any]] | None) -> Draft:
        from napari_unet.app.autosave_draft import take_draft

        labels, result = layers.labels_array(link.labels), self._session.result(link.key)
        return take_draft(image, labels, result, link.classes, link.labels.name, link.box, out)

    def whole(self, link: Link) -> Image:
        """Give the image of a result, the whole one where the result is of a part."""
        owner = next((la for la in self._workspace.viewer.layers if la.unique_id == link.image_id), None)
        axes = None if owner is None else self._workspace.reading_of(owner).axes
        return link.image if link.box is None or owner is None or axes is None else layers.to_image(owner, axes)

    def _on_closing(self, link: Link) -> None:
        end = self._ends.pop(link.key, None)
        if end is not None:
            end()
            self.saver.leave(link.key)
            self._was_removed = True

    def _on_tick(self) -> None:
        self.saver.tick()
        if self._was_removed and not self.saver.is_leaving:
            self._was_removed = False
            self.look()  # napari cannot bring a removed layer back: it is offered at once

    # ------------------------------------------------------------ bringing back

    @property
    def offer(self) -> Saved | None:
        """Give what can be brought back for the current image; the newest first."""
        return self._offers[0] if self._offers else None

    @property
    def has_labels(self) -> bool:
        """Tell whether the current image has labels in this window."""
        return self._present() is not None

    def look(self) -> None:
        """Look what was saved for the current image."""
        self._offers, self.holder, self.left_behind = [], None, None
        try:
            image = identify(self._workspace.image())
        except UserError:
            image = None  # none, or it cannot be read yet
        if image is not None:
            self.holder = self.saver.holder(image)
            self._offers = self.saver.found(image)
        elif self._workspace.layer is None:
            self.left_behind = next(iter(self.saver.left_behind()), None)
        self.offered.emit()

    def restore(self) -> None:
        """Bring back what is offered: into the present labels of the image, or on a new layer.

        Raises
        ------
        UserError
            When it cannot be read or does not fit.
        """
        saved, link = self.offer, self._present()
        if saved is None:
            return
        from napari_unet.app.autosave_draft import load

        layer, image = self._image()
        restored = load(saved, image)
        if link is not None and _is_alike(link, restored):
            self._results.take_over(link, restored)
            self.saver.discard_when_saved(link.key, saved)
        else:
            self.show(saved, layer, restored)
        self.look()

    def keep_both(self) -> None:
        """Bring back what is offered on a layer of its own, whatever else there is.

        Raises
        ------
        UserError
            As for `restore`.
        """
        if self.offer is not None:
            from napari_unet.app.autosave_draft import load

            layer, image = self._image()
            self.show(self.offer, layer, load(self.offer, image))
            self.look()

    def discard(self) -> None:
        """Delete what is offered; ask before.

        Raises
        ------
        UserError
            When the disk refuses.
        """
        if self.offer is not None:
            self.saver.discard(self.offer)
            self.look()

    def show(self, saved: Saved, layer: ImageLayer, restored: Restored) -> None:
        """Show saved labels on a layer of the current image; what is painted there is saved where they were."""
        axes = self._workspace.reading.axes
        if axes is not None:
            self._adopted = saved.folder  # what is painted from now on is saved there
            self._results.bring_back(layer, axes, restored)

    def _image(self) -> tuple[ImageLayer, Image]:
        image, layer = self._workspace.image(), self._workspace.layer
        if layer is None:
            raise UserError("There is no image.", "Open one first.")
        return layer, image

    def _present(self) -> Link | None:
        layer = self._workspace.layer
        return None if layer is None else self._results.link_of(layer)

    # ------------------------------------------------------------ the end

    def close_links(self) -> None:
        """Save for the last time, and listen no longer."""
        self.saver.status_changed.disconnect()
        self.saver.saved.disconnect()
        for end in self._ends.values():
            end()
        self._ends.clear()
        with suppress(RuntimeError):  # Qt's side of the timers may be gone
            self._clock.stop()
            self._look.stop()
        self.saver.close(WAIT_S)


def _on_change(layer: Labels, call: Callable[[], None]) -> Callable[[], None]:
    """Call whenever a layer's voxels may be others, as after napari's own undo; give what ends it."""

    def _on_any(event: object) -> None:
        call()

    heard = (layer.events.paint, layer.events.labels_update, layer.events.set_data, layer.events.data)
    for event in heard:
        event.connect(_on_any)

    def _end() -> None:
        for event in heard:
            event.disconnect(_on_any)

    return _end


def _is_alike(link: Link, restored: Restored) -> bool:
    """Tell whether labels can be written into those of a result."""
    now = layers.labels_array(link.labels)
    same = (now.shape, now.dtype) == (restored.labels.shape, restored.labels.dtype)
    return same and (link.classes, link.box) == (restored.classes, restored.box)
