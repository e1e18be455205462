"""Models that were loaded last: loaded again only where their files have changed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.store.spec import SPEC_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from napari_unet.core.store.models import Model


def load_cached(folder: Path) -> Model:
    """Load a model, or take the one loaded last if its files have not changed since.

    Raises
    ------
    UserError
        When it is not there, cannot be read or was tampered with.
    """
    folder = Path(folder)
    stamps = []
    for name in (SPEC_FILE, WEIGHTS_FILE):
        path = folder / name
        stat = path.stat() if path.is_file() else None
        stamps.append((stat.st_mtime_ns, stat.st_size) if stat else (0, 0))
    return _load(folder.absolute(), tuple(stamps))


@lru_cache(maxsize=2)  # a fine-tuning needs the model in use and the base of its lineage
def _load(folder: Path, stamps: tuple[tuple[int, int], ...]) -> Model:
    from napari_unet.core.store.models import load_model

    return load_model(folder)
