"""Trainings that a crash or a closed window has interrupted: what they were is written beside what they learn from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from napari_unet.app import library
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import remove_folder, write_atomic
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.store.autosave_lock import Held, Lock

NOTE = "unfinished.json"
CHECKPOINT = "checkpoint"

Kind = Literal["fine-tune", "new", "live"]


@dataclass(frozen=True)
class Unfinished:
    """Say what a training was.

    Parameters
    ----------
    folder : Path
        The training set, with the checkpoint in it.
    kind : {"fine-tune", "new", "live"}
        How it was begun.
    model : str
        Name or folder of the model that it starts from; may be empty for a new one.
    title : str
        What the user called the new model.
    options : TrainOptions
        What the user fixed.
    """

    folder: Path
    kind: Kind
    model: str = ""
    title: str = ""
    options: TrainOptions = field(default_factory=TrainOptions)

    @property
    def has_steps(self) -> bool:
        """Tell whether anything was learned yet, or it begins anew."""
        return any((self.folder / CHECKPOINT).glob("*.safetensors"))


@contextmanager
def begun(one: Unfinished) -> Iterator[None]:
    """Write down what is trained for as long as it is; what ends well is `finished` afterwards.

    Raises
    ------
    UserError
        When another window goes on with the same training.
    """
    lock = Lock(one.folder)
    try:
        lock.take()
    except Held as error:
        raise UserError("Another window goes on with this training.", "Wait for its end there.") from error
    try:
        values = {"kind": one.kind, "model": one.model, "title": one.title, "options": asdict(one.options)}
        write_atomic(one.folder / NOTE, json.dumps(values, indent=2).encode())
        yield
    finally:
        lock.release()


def runs_elsewhere(folder: Path) -> bool:
    """Tell whether a window is at work on a training right now."""
    return Lock(folder).is_held_by_another() is not None


def finished(folder: Path) -> None:
    """Remove what only going on would need."""
    (folder / NOTE).unlink(missing_ok=True)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def forget(one: Unfinished) -> None:
    """Remove a training that nobody wants to go on with, and its training set."""
    remove_folder(one.folder)


def find() -> list[Unfinished]:
    """List the trainings that were interrupted, the newest first; not those that run in some window."""
    root = library.training_sets_folder()
    notes = [path for path in root.glob(f"*/{NOTE}") if path.parent.name[0] != "."] if root.is_dir() else []
    notes.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    found = [_read(path) for path in notes if not runs_elsewhere(path.parent)]
    return [one for one in found if one is not None]


def _read(path: Path) -> Unfinished | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("kind") not in get_args(Kind):
            return None
        options = TrainOptions(**_known(values.get("options", {})))
        return Unfinished(path.parent, values["kind"], str(values["model"]), str(values["title"]), options)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError, UserError):
        return None  # of another version, or damaged: the samples are still a training set


def _known(values: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(TrainOptions)}
    return {name: value for name, value in values.items() if name in names}
