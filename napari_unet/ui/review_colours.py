"""Colour the objects of a labels layer by their state, and give it its own colours back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels
    from napari.utils.colormaps.colormap import LabelColormapBase

    from napari_unet.app.annotations import ObjectState
    from napari_unet.app.object_rows import ObjectRows

COLOURS: dict[ObjectState, str] = {
    "predicted": "#e69f00",
    "edited": "#56b4e9",
    "accepted": "#009e73",
    "unsure": "#cc79a7",
}
"""Four of the eight colours that people with any kind of colour vision tell apart.

References
----------
M. Okabe, K. Ito: Color universal design, 2008, https://jfly.uni-koeln.de/color/.
"""


class StateColours:
    """Colour one labels layer at a time; only how it looks is changed, never its array."""

    def __init__(self) -> None:
        self._layer: Labels | None = None
        self._own: LabelColormapBase | None = None
        self._shown: ObjectRows | None = None
        self._is_ours = False
        self.on_replaced: Callable[[], None] = lambda: None
        """Called when somebody gave the coloured layer other colours; those stay."""

    def show(self, layer: Labels, rows: ObjectRows) -> None:
        """Colour a layer; one that was coloured before gets its own colours back.

        Raises
        ------
        UserError
            When napari cannot colour numbers as large as those of the objects.
        """
        if layer is self._layer and self._shown is not None and self._shown.looks_like(rows):
            return
        made = _colormap(layer, rows)
        if layer is not self._layer:
            self.end()
            self._layer, self._own = layer, layer.colormap
            layer.events.colormap.connect(self._on_colormap)
        self._put(made)
        self._shown = rows

    def end(self) -> None:
        """Give the layer its own colours back."""
        layer, own = self._layer, self._own
        if layer is None or own is None:
            return
        own.use_selection, own.selection = layer.show_selected_label, layer.selected_label
        self._put(own)
        self._forget()

    def _put(self, colormap: LabelColormapBase) -> None:
        self._is_ours = True
        try:
            if self._layer is not None:
                self._layer.colormap = colormap
        finally:
            self._is_ours = False

    def _on_colormap(self, event: object) -> None:
        if not self._is_ours:
            self._forget()
            self.on_replaced()

    def _forget(self) -> None:
        if self._layer is not None:
            self._layer.events.colormap.disconnect(self._on_colormap)
        self._layer, self._own, self._shown = None, None, None


def _colormap(layer: Labels, rows: ObjectRows) -> DirectLabelColormap:
    """Map the objects to the colours of their states; those of the commonest state by what stands for all others."""
    common = int(rows.count_codes().argmax())
    colours = [DirectLabelColormap(color_dict={None: text}).color_dict[None] for text in COLOURS.values()]
    made = DirectLabelColormap(
        color_dict={None: colours[common], 0: np.zeros(4)},
        use_selection=layer.show_selected_label,
        selection=layer.selected_label,
    )
    others = np.flatnonzero(rows.codes != common)
    # Filled here: napari would look at each of thousands of colours whether it is a name.
    made.color_dict.update((int(rows.ids[at]), colours[rows.codes[at]]) for at in others)
    try:
        made.map(np.zeros(1, layer.dtype))
    except RuntimeError as error:
        top = int(rows.ids[others].max())
        raise UserError(
            f"napari cannot colour object {top} by itself: its number is too large.",
            "Press Renumber, then colour by state.",
        ) from error
    return made
