"""Where a model comes from: its base, the versions between, what they learnt from, and which of them are kept."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.app import library, training_set
from napari_unet.app.library import ModelEntry
from napari_unet.app.unfinished import NOTE
from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.files import disk_size, remove_folder, write_atomic
from napari_unet.core.store.spec import SPEC_FILE, ModelSpec, read_spec

if TYPE_CHECKING:
    from napari_unet.app.training_set import Entry

LINEAGE, DATE, INTERVAL = "lineage", "date", "interval"
"""Our entries in a model's ``training``: the names of all models before it, the base first; when it was made; and the
interval of how much better it scored than the one before."""

HELD_OUT_BEFORE, HELD_OUT_AFTER = "held-out, parent", "held-out, this model"
"""The names of the two scores of a fine-tuned model."""

KEPT_VERSIONS = 5
"""Of those that nobody named or chose."""

UNNAMED = re.compile(r".+-ft-\d+")
A_DAY = 24 * 3600.0
"""Seconds; a training in another window does not take longer, so its training set is not cleared away."""


def is_fine_tuned(spec: ModelSpec) -> bool:
    """Tell whether a model was fine-tuned from its parent; a new one may have started from another's weights."""
    return bool(spec.parent) and ("learned" in spec.training or LINEAGE in spec.training)


def described(spec: ModelSpec, chain: Sequence[ModelEntry], interval: Sequence[float] = ()) -> ModelSpec:
    """Write down where a new version comes from.

    Parameters
    ----------
    spec : ModelSpec
        Of the new version.
    chain : sequence of ModelEntry
        The models before it, the base first, the one it was compared with last.
    interval : sequence of float
        Both ends of the 95 % interval of what it scored more than that; empty or NaN where nobody knows.
    """
    parent = chain[-1]
    before = [*(name for name in ancestors(parent.spec) if name != parent.name), parent.name]
    training: dict[str, Any] = {**spec.training, LINEAGE: before, DATE: training_set.now()}
    if interval and all(math.isfinite(end) for end in interval):
        training[INTERVAL] = [float(end) for end in interval]
    return replace(spec, parent=parent.name, training=training)


def ancestors(spec: ModelSpec) -> list[str]:
    """Give the names of all models before one, the base first; they need not be there any more."""
    if not is_fine_tuned(spec):
        return []
    known = spec.training.get(LINEAGE)
    if isinstance(known, list) and known and all(isinstance(one, str) for one in known):
        return list(known)
    return [spec.parent]


def trace(folder: Path) -> tuple[ModelEntry, ...]:
    """Follow a model back to the one that it was fine-tuned from first.

    Parameters
    ----------
    folder : Path
        Of the model.

    Returns
    -------
    tuple of ModelEntry
        The base first, the model last; those that are gone, or are another network now, are left out.

    Raises
    ------
    ReadError
        When the model itself cannot be read.
    """
    folder = Path(folder)
    there = {entry.name: entry for entry in library.list_models()}
    own = there.get(folder.name)
    if own is None or own.folder.absolute() != folder.absolute():
        own = ModelEntry(folder.name, folder, read_spec(folder), bundled=False)
    return _chain(own, there)


def previous(folder: Path) -> str | None:
    """Give the version before a model, where it was fine-tuned and one is still there."""
    try:
        chain = trace(folder)
    except ReadError:
        return None  # told where the model is used
    return chain[-2].name if len(chain) > 1 else None


def _chain(own: ModelEntry, there: dict[str, ModelEntry]) -> tuple[ModelEntry, ...]:
    names = ancestors(own.spec)
    # Versions from before the whole lineage was written down name their parent only.
    while names and names[0] in there:
        before = [name for name in ancestors(there[names[0]].spec) if name not in names]
        if not before:
            break
        names = [*before, *names]
    found = [there[name] for name in names if name in there and name != own.name]
    return (*(entry for entry in found if _is_alike(entry.spec, own.spec)), own)


def _is_alike(one: ModelSpec, other: ModelSpec) -> bool:
    """Tell whether both are the same network for the same task: a name may have been given anew."""
    names = ("net", "net_config", "target", "classes", "dims", "channels")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def is_in_library(entry: ModelEntry) -> bool:
    """Tell whether a model is one of the library, not of a folder elsewhere."""
    return entry.bundled or entry.folder.absolute() == (library.models_folder() / entry.name).absolute()


def set_folder(name: str) -> Path:
    """Give the folder of what a model learnt from."""
    return library.training_sets_folder() / name


def sets_of(chain: Sequence[ModelEntry], *, with_tried: bool = True) -> list[Path]:
    """Give the training sets of a lineage, the oldest first.

    Parameters
    ----------
    chain : sequence of ModelEntry
        From `trace`.
    with_tried : bool
        Also those of trainings from one of its models that brought none: it scored lower, or never ended.
    """
    folders = [set_folder(entry.name) for entry in chain]
    if not with_tried:
        return folders
    parents = {entry.name for entry in chain}
    return [*folders, *(folder for folder, parent in without_model() if parent in parents)]


def without_model() -> list[tuple[Path, str]]:
    """List the training sets without a model, with the model whose training began them; the oldest first."""
    root = library.training_sets_folder()
    models = {entry.name.lower() for entry in library.list_models()}
    models |= {folder.name.lower() for folder, _ in library.unreadable_models()}
    if not root.is_dir():
        return []
    folders = [path for path in root.iterdir() if path.is_dir() and path.name[0] != "."]
    alone = [path for path in folders if path.name.lower() not in models]
    found = [(path, training_set.read_set(path)[1]) for path in sorted(alone, key=lambda one: one.stat().st_mtime)]
    return [(path, parent) for path, parent in found if parent]


def entries_of(chain: Sequence[ModelEntry], *, with_tried: bool = True) -> list[Entry]:
    """List all samples of a lineage as `sets_of` gives them; one image may be in many sets."""
    folders = sets_of(chain, with_tried=with_tried)
    return [entry for folder in folders for entry in training_set.read_set(folder)[0]]


def has_samples(folder: Path) -> bool:
    """Tell whether a model's lineage has samples to learn from, so that a training needs no open labels."""
    entries = training_set.newest(entries_of(trace(folder)))
    return any(not entry.record.left_out and not entry.problem for entry in entries)


# ---------------------------------------------------------------- versions


@dataclass(frozen=True)
class Version:
    """One model of a lineage, for people.

    Parameters
    ----------
    entry : ModelEntry
        The model.
    n_bytes : int
        What it takes on the disk, its training set included; files that versions share count in each of them.
    date : str
        When it was made, as ISO 8601.
    """

    entry: ModelEntry
    n_bytes: int
    date: str

    @property
    def scores(self) -> tuple[float, float] | None:
        """Give the scores of the version before and of this one on what was held out; None where nothing was."""
        found = [self.entry.spec.scores.get(name) for name in (HELD_OUT_BEFORE, HELD_OUT_AFTER)]
        return None if found[0] is None or found[1] is None else (found[0], found[1])

    @property
    def interval(self) -> tuple[float, float] | None:
        """Give the 95 % interval of the difference; None where there was too little to tell."""
        found = self.entry.spec.training.get(INTERVAL)
        if not isinstance(found, list) or len(found) != 2 or not all(isinstance(end, float) for end in found):
            return None
        return found[0], found[1]

    @property
    def n_cells(self) -> int | None:
        """Give how many objects it learnt from; None where nobody wrote that down."""
        found = self.entry.spec.training.get("cells")
        return found if isinstance(found, int) else None


def versions(chain: Sequence[ModelEntry]) -> list[Version]:
    """Measure the models of a lineage."""
    return [Version(one, disk_size([one.folder, set_folder(one.name)]), date_of(one)) for one in chain]


def total_size() -> int:
    """Give the bytes that all of the user's models and training sets take on the disk."""
    return disk_size([library.models_folder(), library.training_sets_folder()])


def date_of(entry: ModelEntry) -> str:
    """Give when a model was made, as ISO 8601."""
    said = entry.spec.training.get(DATE)
    if isinstance(said, str) and said:
        return said
    return training_set.as_date((entry.folder / SPEC_FILE).stat().st_mtime)


def tidy(name: str, in_use: Sequence[str] = (), *, at_most: int = KEPT_VERSIONS) -> list[str]:
    """Remove the oldest versions of a lineage that nobody named or chose.

    Parameters
    ----------
    name : str
        The newest version.
    in_use : sequence of str
        Models that stay whatever their age.
    at_most : int
        How many versions stay.

    Returns
    -------
    list of str
        What was removed: only versions of whose samples another one has all.
    """
    there = {entry.name: entry for entry in library.list_models()}
    base = _chain(there[name], there)[0].name
    line = [one for one in there.values() if is_fine_tuned(one.spec) and _chain(one, there)[0].name == base]
    line.sort(key=date_of)
    samples = {one.name: training_set.read_set(set_folder(one.name))[0] for one in line}
    nobodys = [one.name for one in line if UNNAMED.fullmatch(one.name) and not one.is_kept and not one.bundled]
    gone = []
    for old in nobodys[:-at_most]:
        newer = list(samples)[list(samples).index(old) + 1 :]
        has_all = any(training_set.holds_all(samples[one], samples[old]) for one in newer)
        if has_all and old not in (name, base, *in_use):
            library.delete_model(old)
            remove_folder(set_folder(old))
            del samples[old]
            gone.append(old)
    _clear_unfinished(there[name], samples[name])
    return gone


def _clear_unfinished(newest: ModelEntry, samples: Sequence[Entry]) -> None:
    """Remove sets of trainings that brought no model, once a newer version has learnt from all of them.

    One that was interrupted, and can be gone on with, stays.
    """
    before = ancestors(newest.spec)
    for folder, parent in without_model():
        is_old = time.time() - folder.stat().st_mtime > A_DAY and not (folder / NOTE).exists()
        if parent in before and is_old and training_set.holds_all(samples, training_set.read_set(folder)[0]):
            remove_folder(folder)


def delete(name: str) -> None:
    """Delete one of the user's models; ask before.

    What it learnt from goes too where another model's training set has all of it; otherwise the labels stay, and teach
    the next version of its lineage.

    Raises
    ------
    UserError
        When it is bundled or not there.
    """
    library.delete_model(name)
    own = training_set.read_set(set_folder(name))[0]
    others = [training_set.read_set(set_folder(entry.name))[0] for entry in library.list_models()]
    if any(training_set.holds_all(one, own) for one in others):
        remove_folder(set_folder(name))


def rename(name: str, new: str) -> Path:
    """Rename one of the user's models, its training set, and what the models that came from it say of it.

    Returns
    -------
    Path
        Its new folder.

    Raises
    ------
    UserError
        When it is bundled or not there, or the new name cannot be used.
    """
    old_set = set_folder(name)
    if set_folder(new).exists() and new.lower() != name.lower():
        raise UserError(f"There is a training set '{new}' already.", "Choose another name.")
    target = library.rename_model(name, new)
    library.keep_model(new)
    if old_set.is_dir():
        os.replace(old_set, set_folder(new))
    for folder, parent in without_model():
        if parent == name:
            training_set.write_set(folder, new, [one.record for one in training_set.read_set(folder)[0]])
    for entry in library.list_models():
        before = ancestors(entry.spec)
        if not entry.bundled and name in (entry.spec.parent, *before):
            training = {**entry.spec.training}
            if LINEAGE in training:
                training[LINEAGE] = [new if one == name else one for one in before]
            parent = new if entry.spec.parent == name else entry.spec.parent
            spec = replace(entry.spec, parent=parent, training=training)
            write_atomic(entry.folder / SPEC_FILE, spec.to_json().encode())
    return target
