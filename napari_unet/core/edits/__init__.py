"""Correction tools: labels and a selection in, one `LabelEdit` out; add a file and one line to add a tool."""

from __future__ import annotations

from collections.abc import Callable

from napari_unet.core.edits.delete import delete
from napari_unet.core.edits.edit import LabelEdit, apply_edit, inverse
from napari_unet.core.edits.merge import merge
from napari_unet.core.edits.split import split

EditFunction = Callable[..., LabelEdit]
"""``(labels, selection, **parameters) -> LabelEdit``; pure, raises `UserError` where it cannot be done."""

EDITS: dict[str, EditFunction] = {
    "merge": merge,
    "split": split,
    "delete": delete,
}

__all__ = ["EDITS", "EditFunction", "LabelEdit", "apply_edit", "delete", "inverse", "merge", "split"]
