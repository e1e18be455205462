"""The network's output of a finished segmentation, kept beside its labels: other thresholds then need no network."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from os import link
from pathlib import Path
from typing import Any

from napari_unet.core.base.errors import UserError
from napari_unet.core.pipeline.stream_folder import DONE, MAPS, PLAN, remove
from napari_unet.core.pipeline.stream_plan import Plan

SUFFIX = ".maps"
"""Behind the name of the labels."""

DECODING = ("threshold", "split_threshold", "min_size")
"""Options that change how maps become labels, and not the maps."""


def keep_maps(folder: Path, path: Path) -> None:
    """Make of a work folder whose work is done the kept output of the labels at `path`."""
    kept = path.with_name(f"{path.name}{SUFFIX}")
    remove(kept)
    folder.rename(kept)
    for inside in kept.iterdir():
        if inside.is_dir() and inside.name not in (MAPS, DONE):
            remove(inside)
        elif inside.is_file() and inside.name != PLAN:
            inside.unlink()
    for mark in (kept / DONE).iterdir():
        if not mark.name.startswith("maps-"):
            mark.unlink()


def find_maps(folder: Path, made_for: dict[str, Any]) -> tuple[Path, Plan] | None:
    """Find kept output of the same model, image and options, thresholds aside.

    Parameters
    ----------
    folder : Path
        In which labels lie.
    made_for : dict
        From `identify`.

    Returns
    -------
    path : Path
        Of the kept output.
    plan : Plan
        How it was made, for the thresholds that are wanted now.
    """
    plain = json.loads(json.dumps(made_for))
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            plan = Plan.from_json((path / PLAN).read_text(encoding="utf-8"))
        except (UserError, OSError):  # of another version, or being removed
            continue
        if _maps_only(plan.made_for) == _maps_only(plain):
            return path, replace(plan, made_for=plain)
    return None


def take_maps(kept: Path, folder: Path) -> None:
    """Put kept output into a work folder, as if its network had run: the same files under a second name, or copies."""
    shutil.copytree(kept / MAPS, folder / MAPS, copy_function=_link, dirs_exist_ok=True)
    for mark in (kept / DONE).glob("maps-*"):
        shutil.copyfile(mark, folder / DONE / mark.name)


def _maps_only(made_for: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in made_for["options"].items() if name not in DECODING}
    return {**made_for, "options": options}


def _link(source: str, target: str) -> str:
    try:
        link(source, target)
    except OSError:  # not every file system knows second names
        shutil.copy2(source, target)
    return target
