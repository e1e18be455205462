"""The models on this computer: those that came with the package and the user's own."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

import napari_unet
from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.files import write_atomic
from napari_unet.core.base.folders import HOME
from napari_unet.core.store.spec import CARD_FILE, SPEC_FILE, ModelSpec, read_spec

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image

NAME = re.compile(r"\w[\w.-]{0,63}")
KEPT_FILE = "kept"
"""In the folder of a model that the user chose."""

LAST_FILE = "last_model"

WINDOWS_NAMES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}


@dataclass(frozen=True)
class ModelEntry:
    """One model of the library.

    Parameters
    ----------
    name : str
        Its folder's name, unique in the library.
    folder : Path
        With model.json, weights.safetensors and card.md.
    spec : ModelSpec
        What model.json says.
    bundled : bool
        It came with the package and cannot be renamed or deleted.
    """

    name: str
    folder: Path
    spec: ModelSpec
    bundled: bool

    @property
    def is_kept(self) -> bool:
        """Tell whether the user chose it once: then it is never cleared away by itself."""
        return (self.folder / KEPT_FILE).exists()

    @property
    def can_segment(self) -> bool:
        """Tell whether it makes labels; a pre-trained model only starts trainings."""
        return self.spec.can_segment


def library_root() -> Path:
    """Give the folder of the user's models and training sets; it may not exist yet."""
    chosen = os.environ.get(HOME)
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("napari-unet", appauthor=False))


def models_folder() -> Path:
    """Give the folder of the user's models."""
    return library_root() / "models"


def training_sets_folder() -> Path:
    """Give the folder of what the user's models learnt from, one folder each."""
    return library_root() / "training_sets"


def autosave_folder() -> Path:
    """Give the folder in which the labels of open windows are saved by themselves."""
    return library_root() / "autosave"


def results_folder() -> Path:
    """Give the folder of the labels of images that are too large for the memory."""
    return library_root() / "results"


def bundled_folder() -> Path:
    """Give the folder of the models that came with the package."""
    return Path(napari_unet.__file__).parent / "pretrained"


def list_models() -> list[ModelEntry]:
    """List the readable models: the bundled ones, then the user's, by name; needs no torch."""
    entries = []
    for folder, bundled in _folders():
        try:
            entries.append(ModelEntry(folder.name, folder, read_spec(folder), bundled))
        except ReadError:
            continue  # told by unreadable_models
    return entries


def unreadable_models() -> list[tuple[Path, str]]:
    """List the folders that look like models but cannot be read, each with the reason."""
    broken = []
    for folder, _ in _folders():
        try:
            read_spec(folder)
        except ReadError as error:
            broken.append((folder, str(error)))
    return broken


def _folders() -> list[tuple[Path, bool]]:
    found = []
    for parent, bundled in ((bundled_folder(), True), (models_folder(), False)):
        inside = sorted(parent.iterdir(), key=lambda path: path.name.lower()) if parent.is_dir() else []
        # A folder with a dot in front is one that is just being written, or was left by a crash.
        found += [(path, bundled) for path in inside if path.is_dir() and path.name[0] not in "._"]
    return found


def find_model(name_or_folder: str | Path) -> Path:
    """Find a model by its name in the library, or by its folder.

    Raises
    ------
    UserError
        When there is neither; names the models that are there.
    """
    known = {folder.name: folder for folder, _ in _folders()}
    name = str(name_or_folder)
    if name in known:
        return known[name]
    folder = Path(name_or_folder).expanduser()
    if (folder / SPEC_FILE).is_file():
        return folder
    there = ", ".join(known) or "none yet"
    raise UserError(f"There is no model '{name}'.", f"Give the folder of a model, or one of: {there}.")


def best_model(image: Image, *, prefer: Sequence[str | None] = ()) -> str | None:
    """Choose the model for an image.

    Parameters
    ----------
    image : Image
        Its axes and channels decide.
    prefer : sequence of str or None
        Names to take before all others, if they fit; the first first.

    Returns
    -------
    str or None
        None where no model of the library fits.
    """
    fitting = [entry for entry in list_models() if _fits(entry.spec, image)]
    names = [entry.name for entry in fitting]
    preferred = [name for name in prefer if name in names]
    if preferred:
        return preferred[0]
    # The same number of axes counts most; a bundled model was tested on more than one person's images.
    best = sorted(fitting, key=lambda entry: (entry.spec.dims != image.dims, not entry.bundled))
    return best[0].name if best else None


def _fits(spec: ModelSpec, image: Image) -> bool:
    return (
        spec.can_segment and spec.dims <= image.dims and (spec.colour != "exact" or spec.channels == image.n_channels)
    )


def check_name(name: str) -> str:
    """Refuse a name that cannot be a folder on every system.

    Returns
    -------
    str
        The same name.

    Raises
    ------
    UserError
        When the name is empty, long, reserved, or has other characters than letters, digits and ``. _ -``.
    """
    reserved = name.split(".")[0].lower() in WINDOWS_NAMES
    if NAME.fullmatch(name) is None or name[0] == "_" or name.endswith(".") or reserved:
        raise UserError(
            f"'{name}' cannot be the name of a model.",
            "Use letters, digits, '-', '_' and '.', beginning with a letter or digit; 64 at most.",
        )
    return name


def new_model_folder(name: str) -> Path:
    """Give the folder of a model that is not there yet; it is made when the model is saved.

    Raises
    ------
    UserError
        When the name cannot be used or is taken (in upper or lower case).
    """
    check_name(name)
    if name.lower() in {folder.name.lower() for folder, _ in _folders()}:
        raise UserError(f"There is a model '{name}' already.", "Choose another name.")
    return models_folder() / name


def next_name(name: str) -> str:
    """Give the next name of a model fine-tuned from `name`: nuclei-2d, nuclei-2d-ft-1, nuclei-2d-ft-2.

    Above all numbers that are there: that of an older version, which was cleared away, is not given again.
    """
    stem = re.sub(r"-ft-\d+$", "", name)[:56]
    numbered = re.compile(rf"{re.escape(stem.lower())}-ft-(\d{{1,6}})")
    numbers = [int(found[1]) for found in map(numbered.fullmatch, _taken()) if found]
    return f"{stem}-ft-{max(numbers, default=0) + 1}"


def free_name(title: str) -> str:
    """Make a free name of what the user typed: ``My cells`` becomes my-cells, then my-cells-2."""
    stem = re.sub(r"[^\w.]+", "-", title.strip()).strip("-._")[:56].rstrip(".") or "model"
    if stem.split(".")[0].lower() in WINDOWS_NAMES:
        stem = f"model-{stem}"
    return _first_free(f"{stem}-", 2) if _is_taken(stem) else stem


def _first_free(prefix: str, n: int) -> str:
    while _is_taken(f"{prefix}{n}"):
        n += 1
    return f"{prefix}{n}"


def _is_taken(name: str) -> bool:
    return name.lower() in _taken()


def _taken() -> set[str]:
    """Give the names of models, and of training sets of those that were never finished, in lower case."""
    taken = {folder.name.lower() for folder, _ in _folders()}
    sets = training_sets_folder()
    return taken | ({path.name.lower() for path in sets.iterdir()} if sets.is_dir() else set())


def rename_model(name: str, new: str) -> Path:
    """Rename one of the user's models.

    Returns
    -------
    Path
        Its new folder.

    Raises
    ------
    UserError
        When it is bundled or not there, or the new name cannot be used.
    """
    folder = _own(name, "renamed")
    target = folder.with_name(check_name(new)) if new.lower() == name.lower() else new_model_folder(new)
    spec = read_spec(folder)
    folder.rename(target)
    # The folder's name is what counts, so a crash in between leaves a model that works.
    write_atomic(target / SPEC_FILE, replace(spec, name=new).to_json().encode())
    card = target / CARD_FILE
    if card.is_file():
        text = card.read_text(encoding="utf-8")
        write_atomic(card, text.replace(f"# {spec.name}\n", f"# {new}\n", 1).encode())
    return target


def keep_model(name: str) -> None:
    """Remember that the user chose a model: it is never cleared away by itself. Bundled ones never are."""
    folder = models_folder() / name
    if (folder / SPEC_FILE).is_file():
        with suppress(OSError):  # a library that cannot be written is not cleared away either
            (folder / KEPT_FILE).touch()


def remember_used(name: str) -> None:
    """Remember which model was chosen or trained last, for the next start."""
    with suppress(OSError):  # only a convenience
        library_root().mkdir(parents=True, exist_ok=True)
        write_atomic(library_root() / LAST_FILE, name.encode())


def last_used(image: Image) -> str | None:
    """Give the model that was chosen or trained last, if it is still there and made for such an image."""
    try:
        name = (library_root() / LAST_FILE).read_bytes()[:300].decode()
    except (OSError, UnicodeDecodeError):
        return None
    found = [entry.name for entry in list_models() if entry.spec.dims == image.dims and _fits(entry.spec, image)]
    return name if name in found else None


def delete_model(name: str) -> None:
    """Delete one of the user's models; ask before.

    Raises
    ------
    UserError
        When it is bundled or not there.
    """
    folder = _own(name, "deleted")
    # First out of the library in one step, so that a crash cannot leave half a model in it.
    gone = folder.with_name(f".{folder.name}.deleted")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _own(name: str, what: str) -> Path:
    found = {folder.name: bundled for folder, bundled in _folders()}
    if name not in found:
        raise UserError(f"There is no model '{name}' in the library.", "Choose one from the list.")
    if found[name]:
        raise UserError(f"'{name}' came with the package and cannot be {what}.", "Fine-tune it: that makes your own.")
    return models_folder() / name
