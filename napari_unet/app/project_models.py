"""The models of a project: copies that another computer can take into its library."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from napari_unet.app import library
from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.files import link_file
from napari_unet.core.store.project import MODELS
from napari_unet.core.store.spec import CARD_FILE, SPEC_FILE, WEIGHTS_FILE, read_spec


def copy_model(source: Path, target: Path) -> None:
    """Copy a model; it appears whole or not at all. A model that is there already, or gone, is left.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    if not (source / WEIGHTS_FILE).is_file() or _same(source, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part, old = (target.with_name(f".{target.name}.{os.getpid()}.{what}") for what in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        for name in (WEIGHTS_FILE, SPEC_FILE, CARD_FILE):
            if (source / name).is_file():
                link_file(source / name, part / name)
        if target.exists():
            target.rename(old)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def install_models(project: Path) -> dict[str, str]:
    """Take the models of a project into the library.

    Parameters
    ----------
    project : Path
        The project's folder.

    Returns
    -------
    dict of str to str
        The name in the library of each: its own, that of a model with the same weights, or a free one where its own
        belongs to another model. What cannot be read is left out.

    Raises
    ------
    UserError
        When the library cannot be written.
    """
    folder, names = project / MODELS, {}
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    except OSError:
        return {}
    for path in inside:
        try:
            library.check_name(path.name)
            weights = read_spec(path).weights_sha256
        except UserError:
            continue
        there = {entry.spec.weights_sha256: entry.name for entry in library.list_models()}
        taken = {entry.name.lower() for entry in library.list_models()}
        if weights and weights in there:
            names[path.name] = there[weights]
            continue
        name = library.free_name(path.name) if path.name.lower() in taken else path.name
        try:
            copy_model(path, library.models_folder() / name)
        except OSError as error:
            raise UserError(
                f"The model '{path.name}' of the project could not be copied: {error}.",
                "Copy it by hand into the folder of your models.",
            ) from error
        library.keep_model(name)
        names[path.name] = name
    return names


def _same(source: Path, target: Path) -> bool:
    try:
        return read_spec(source).weights_sha256 == read_spec(target).weights_sha256
    except ReadError:
        return False
