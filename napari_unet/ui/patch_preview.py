"""The button that shows augmented patches: they are drawn in a job, so that the window never waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet.app import library
from napari_unet.app.jobs import Job
from napari_unet.app.preview import COLUMNS, ROWS, Patches, PreviewRequest, augmented_patches
from napari_unet.app.teaching import take_snapshot
from napari_unet.ui import layers, messages, view
from napari_unet.ui.forms import push_button
from napari_unet.ui.patch_layers import show
from napari_unet.ui.words import Words

if TYPE_CHECKING:
    from napari_unet.app.session import Session
    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.base.options import TrainOptions
    from napari_unet.ui.results import Results
    from napari_unet.ui.workspace import Workspace

TOPIC = "augmented patches"


class PatchPreview(QWidget):
    """A button that shows what the network will see of the current image.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    options : callable
        Gives the options of the training; may raise a UserError.
    """

    def __init__(
        self, workspace: Workspace, results: Results, session: Session, options: Callable[[], TrainOptions]
    ) -> None:
        super().__init__()
        self._workspace, self._results, self._session, self._options = workspace, results, session, options
        self._n_shown = 0
        self.button = push_button(
            f"Show {ROWS * COLUMNS} augmented patches",
            "Show beside the image what the network learns from: patches and their labels, changed at random as chosen "
            "under Augmentation. Press again for others.",
            self.show_patches,
        )
        self.words = Words("What the patches beside the image are.")
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.button)
        rows.addWidget(self.words)

    def show_patches(self) -> None:
        """Draw patches of the current image, and show them when they are there."""
        with messages.told():
            layer, axes = self._workspace.layer, self._workspace.reading.axes
            request = self._request()
            job: Job[Patches] = Job("Augmented patches", TOPIC, exclusive=False)

            def _on_done(patches: Patches) -> None:
                if layer is not None and axes is not None and layer in self._workspace.viewer.layers:
                    show(self._workspace.viewer, layer, axes, patches)
                    self.words.say(patches.words)

            self._session.jobs.start(augmented_patches, request, job, on_done=_on_done)
            self._n_shown += 1

    def _request(self) -> PreviewRequest:
        options, image, layer = self._options(), self._workspace.image(), self._workspace.layer
        axes = self._workspace.reading.axes or ""
        time = 0 if layer is None or "T" not in axes else view.position(self._workspace.viewer, layer)[axes.index("T")]
        link = self._results.current
        if link is not None and link.box is not None:  # the labels are of a part of a large image
            image, time = link.image, 0
        model = None if self._session.model is None else library.find_model(self._session.model)
        return PreviewRequest(image, self._snapshot(), self._next(options), model, time)

    def _next(self, options: TrainOptions) -> TrainOptions:
        """Draw other patches each time, the same ones in each session."""
        return replace(options, seed=(options.seed + self._n_shown) % 2**31)

    def _snapshot(self) -> Snapshot | None:
        link = self._results.current
        if link is None:
            return None
        corrections = self._session.result(link.key).corrections
        return take_snapshot(link.image, layers.labels_array(link.labels), corrections)
