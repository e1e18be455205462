"""Run the command line as a user does, in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import say

PROGRAM = "import sys; from napari_unet.launch import main; sys.exit(main(sys.argv[1:]))"


def command(*arguments: str | Path) -> dict[str, Any]:
    """Run `napari-unet` with arguments and ``--json``.

    Returns
    -------
    dict
        What the last line of its output says.

    Raises
    ------
    RuntimeError
        When it ends with an error.
    """
    texts = [str(argument) for argument in arguments]
    started = time.monotonic()
    found = subprocess.run([sys.executable, "-c", PROGRAM, *texts, "--json"], stdout=subprocess.PIPE, text=True)
    if found.returncode:
        raise RuntimeError(f"napari-unet {' '.join(texts)} ended with {found.returncode}")
    say(f"napari-unet {texts[0]}: {time.monotonic() - started:.0f} s")
    return json.loads(found.stdout.splitlines()[-1])  # type: ignore[no-any-return]  # JSON


def part_of(folder: Path, into: Path, limit: int | None) -> Path:
    """Give a folder with `images` and `labels`, or where there is a limit a copy of its first files by name."""
    if limit is None:
        return folder
    for name in ("images", "labels"):
        (into / name).mkdir(parents=True)
        for path in sorted((folder / name).iterdir())[:limit]:
            shutil.copy(path, into / name / path.name)
    return into
