"""The projects that were open last, for the menu."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from napari_unet.app.library import library_root
from napari_unet.core.base.files import write_atomic
from napari_unet.core.store.autosave_lock import Lock

RECENT_FILE = "recent_projects.json"
MOST = 8


def recent_projects() -> list[Path]:
    """List the projects that were open last and are still there, the last first."""
    try:
        paths = json.loads((library_root() / RECENT_FILE).read_text(encoding="utf-8"))
        known = [Path(one) for one in paths if isinstance(one, str)]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    from napari_unet.core.store.project import PROJECT_FILE  # the dock opens without it

    return [path for path in known[:MOST] if (path / PROJECT_FILE).is_file()]


def left_project() -> Path | None:
    """Give the project that was open last, if its window ended without closing; None otherwise."""
    last = next(iter(recent_projects()), None)
    return last if last is not None and Lock(last).is_left() else None


def remember_project(folder: Path) -> None:
    """Put a project on top of the list."""
    paths = [str(folder), *(str(one) for one in recent_projects() if one != folder)][:MOST]
    with suppress(OSError):  # only a convenience
        library_root().mkdir(parents=True, exist_ok=True)
        write_atomic(library_root() / RECENT_FILE, json.dumps(paths).encode())
