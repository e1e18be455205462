"""`napari-unet open`: a project in napari's window, or, without a display, what is in it."""

# No `from __future__ import annotations`: typer reads them.

from pathlib import Path
from typing import Annotated

import typer

from napari_unet.cli.console import say, say_json, table
from napari_unet.cli.options import JsonOption
from napari_unet.core.store.autosave import find_saved
from napari_unet.core.store.project import LABELS, find_image, is_same_file, read_project

HEADER = ("image", "file", "labels", "accepted")


def open_project(
    folder: Annotated[Path, typer.Argument(metavar="PROJECT", help="The folder of a project.")],
    as_json: JsonOption = False,
) -> None:
    """Open a project in napari; with --json or without a display, say what is in it."""
    project = read_project(folder)
    found = []
    for ref in project.images:
        path = find_image(folder, ref)
        is_same = path is not None and (ref.is_address or is_same_file(Path(path), ref))
        saved = find_saved(folder / LABELS / ref.folder)
        accepted = sum(int(one.revision.about.get("accepted", 0)) for one in saved)
        state = "not found" if path is None else "there" if is_same else "changed"
        found.append({"image": ref.image.name, "path": path, "state": state, "n": len(saved), "accepted": accepted})
    rows = [(one["image"], one["state"], one["n"], one["accepted"]) for one in found]
    say(table(HEADER, rows) if rows else "There are no images in this project yet.")
    say(f"\nModel: {project.model or 'none'}")
    if as_json:
        say_json({"folder": folder, "model": project.model, "images": found})
