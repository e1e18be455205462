"""Runs of a long benchmark, a line of JSON each: kept as soon as they have ended, and never made twice."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R")


def runs_in(path: Path, run: type[R], job: type[Any]) -> list[R]:
    """Read the runs that were made already.

    Parameters
    ----------
    path : Path
        Of the file; it need not exist.
    run, job : type
        Dataclasses; a run has its job under ``job``.
    """
    lines = path.read_text().splitlines() if path.is_file() else []
    return [run(**(values | {"job": job(**values["job"])})) for values in map(json.loads, lines)]


def keep_run(path: Path, run: DataclassInstance) -> None:
    """Add a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(asdict(run)) + "\n")
