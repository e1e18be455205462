"""Correction tools: labels and a selection in, one `LabelEdit` out; add a file and one line to add a tool."""

from __future__ import annotations

from napari_unet.core.edits.clean import clear_border, remove_small
from napari_unet.core.edits.convex_hull import convex_hull
from napari_unet.core.edits.copy_on import copy_on
from napari_unet.core.edits.delete import delete
from napari_unet.core.edits.draw import draw
from napari_unet.core.edits.edit import LabelEdit, apply_edit, inverse
from napari_unet.core.edits.fill_holes import fill_holes
from napari_unet.core.edits.grow import grow, shrink
from napari_unet.core.edits.interpolate import interpolate
from napari_unet.core.edits.magic import magic
from napari_unet.core.edits.merge import merge
from napari_unet.core.edits.parts import keep_largest, separate
from napari_unet.core.edits.relabel import relabel, renumber
from napari_unet.core.edits.smooth import smooth
from napari_unet.core.edits.split import split
from napari_unet.core.edits.tool import EditFunction, Tool

_ONE_CLASS = "It would make a class of each piece."

EDITS: dict[str, Tool] = {
    "magic": Tool(magic, "Magic", "Q", needs="none"),
    "merge": Tool(merge, "Merge", "G", no_classes="It would make one class of several: paint or fill instead."),
    "split": Tool(split, "Split", "S", no_classes=_ONE_CLASS),
    "delete": Tool(delete, "Delete", "D"),
    "draw": Tool(draw, "Draw", "O", needs="none"),
    "fill_holes": Tool(fill_holes, "Fill holes", "H"),
    "smooth": Tool(smooth, "Smooth", "Shift-S"),
    "grow": Tool(grow, "Grow", "W"),
    "shrink": Tool(shrink, "Shrink", "Shift-W"),
    "convex_hull": Tool(convex_hull, "Convex hull", "Shift-H"),
    "keep_largest": Tool(keep_largest, "Largest", "Y"),
    "separate": Tool(separate, "Separate", "Shift-Y", no_classes=_ONE_CLASS),
    "interpolate": Tool(interpolate, "Interpolate", "I", span="steps"),
    "copy_on": Tool(copy_on, "Copy on", "C", span="steps"),
    "relabel": Tool(
        relabel, "Relabel", "R", needs="one", no_classes="Its number says which class it is.", is_whole=True
    ),
    "renumber": Tool(
        renumber,
        "Renumber",
        needs="none",
        span="all",
        no_classes="A number says which class it is.",
        is_whole=True,
    ),
    "remove_small": Tool(
        remove_small, "Drop small", needs="any", no_classes="Use Largest to remove specks.", is_whole=True
    ),
    "clear_border": Tool(
        clear_border, "Drop border", needs="any", no_classes="A class need not end inside the image.", is_whole=True
    ),
}
"""By name; what needs no selection ignores one. Tools that change all objects at once have no key."""

__all__ = ["EDITS", "EditFunction", "LabelEdit", "Tool", "apply_edit", "delete", "inverse", "merge", "split"]
