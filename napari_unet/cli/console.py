"""What the command line says, and where: results to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import math
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_unet.core.base.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_unet.core.base.progress import Report

REDRAW_SECONDS = 0.1


def allow_any_name() -> None:
    """Write with escapes what the encoding of the output lacks: no file's name may end the work on all that follow."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str = "") -> None:
    """Write a line of the result."""
    typer.echo(text)


def note(text: str) -> None:
    """Write a line about the result."""
    typer.echo(text, err=True)


def fail(message: str, hint: str = "") -> None:
    """Write an error as one line."""
    note(" ".join(f"error: {message} {hint}".split()))


def say_json(values: dict[str, Any]) -> None:
    """Write one JSON object as a line of its own; what is no finite number becomes null."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    say(json.dumps(_plain(values), ensure_ascii=not is_unicode, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def progress_line(title: str) -> Iterator[Report]:
    """Show progress in one line that is written over and over; nothing where nobody looks.

    Parameters
    ----------
    title : str
        What is worked on.

    Yields
    ------
    Report
        For a job to call.
    """
    if not sys.stderr.isatty():
        yield silent
        return
    width, next_time = 0, 0.0

    def show(progress: Progress) -> None:
        nonlocal width, next_time
        if time.monotonic() < next_time:
            return
        next_time = time.monotonic() + REDRAW_SECONDS
        line = f"{title}  {progress.fraction:4.0%}  {progress.message}"[:120]
        typer.echo(f"\r{line:<{width}}", nl=False, err=True)
        width = len(line)

    try:
        yield show
    finally:
        typer.echo(f"\r{'':<{width}}\r", nl=False, err=True)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a table: the first column to the left, numbers to the right with three decimals.

    Parameters
    ----------
    header : sequence of str
        One title for each column.
    rows : sequence of sequences
        Floats are rounded, None is a dash.

    Returns
    -------
    str
        Lines without a line break at the end.
    """
    cells = [list(header), *([_cell(one) for one in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = (
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
