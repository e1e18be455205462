"""What a benchmark finds, on disk and as a table."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil  # type: ignore[import-untyped]  # published without types

from napari_unet.app.library import find_model
from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari_unet.core.store.models import Model

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TABLE = ROOT / "docs" / "benchmarks_results.md"


class Unavailable(Exception):
    """Say why a benchmark cannot run here, such as for want of a display."""


@dataclass(frozen=True)
class Settings:
    """Choose how benchmarks run.

    Parameters
    ----------
    quick : bool
        Small and short: shows that a benchmark runs; its figures are not kept.
    data : Path
        The folder with the data sets.
    model : str
        Name or folder of the model where one is needed.
    seconds : float or None
        Budget of each training; None is the benchmark's own.
    cache : Path
        Where trained starting models are kept.
    """

    quick: bool
    data: Path
    model: str
    seconds: float | None
    cache: Path

    def folder(self, name: str) -> Path:
        """Give the folder of a data set.

        Raises
        ------
        Unavailable
            When it is not there.
        """
        folder = self.data / name
        if not folder.is_dir():
            raise Unavailable(f"there is no {folder}")
        return folder

    def load_model(self) -> Model:
        """Load the model that is measured.

        Raises
        ------
        Unavailable
            When there is none of that name.
        """
        from napari_unet.core.store.models import load_model

        return load_model(self.model_folder())

    def model_folder(self) -> Path:
        """Find the folder of the model that is measured."""
        try:
            return find_model(self.model)
        except UserError as error:
            raise Unavailable(str(error)) from error


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Parameters
    ----------
    name : str
        What was measured.
    value : float
        NaN counts as missed.
    unit : str
        Empty for ratios and scores.
    target : float or None
        What is promised; None where the number only informs.
    better : {"lower", "higher"}
        On which side of the target it should be.
    """

    name: str
    value: float
    unit: str = ""
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def is_met(self) -> bool:
        """Tell whether the target is reached; True without one."""
        if self.target is None:
            return True
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


@dataclass(frozen=True)
class Result:
    """All that one benchmark found.

    Parameters
    ----------
    figures : tuple of Figure
        In the order of the table.
    samples : mapping
        What the figures were made of, such as the numbers of every round.
    """

    figures: tuple[Figure, ...]
    samples: Mapping[str, Any] = field(default_factory=dict)


def write_result(name: str, result: Result, facts: Mapping[str, str | int | float]) -> Path:
    """Keep a result, with what `machine` said before."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    figures = [{**asdict(figure), "is_met": figure.is_met} for figure in result.figures]
    content = {"benchmark": name, "machine": dict(facts), "figures": figures, "samples": dict(result.samples)}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def machine() -> dict[str, str | int | float]:
    """Describe the machine, the versions and how busy it is."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory in GiB": round(psutil.virtual_memory().total / 2**30),
        "load": round(psutil.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "napari", "napari-unet")},
        "commit": _commit(),
        "day": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip()


def write_table(names: Mapping[str, str]) -> None:
    """Write the page of results again from all results that are kept."""
    parts = ["# Results", "", "Written by `make bench`; what each line means: [Benchmarks](benchmarks.md)."]
    for name, title in names.items():
        path = RESULTS / f"{name}.json"
        if path.is_file():
            parts += _section(name, title, json.loads(path.read_text()))
    TABLE.write_text("\n".join(parts) + "\n")


def _section(name: str, title: str, content: Mapping[str, Any]) -> list[str]:
    figures = [Figure(**{k: v for k, v in one.items() if k != "is_met"}) for one in content["figures"]]
    facts = ", ".join(f"{key} {value}" for key, value in content["machine"].items())
    return ["", f"## {name}: {title[0].lower()}{title[1:]}", "", *rows(figures), "", f"Measured on: {facts}."]


def rows(figures: Iterable[Figure]) -> list[str]:
    """Give the lines of a Markdown table."""
    lines = ["| | measured | target | reached |", "|---|---|---|---|"]
    for figure in figures:
        target = reached = ""
        if figure.target is not None:
            target = f"{'≤' if figure.better == 'lower' else '≥'} {figure.target:g} {figure.unit}".strip()
            reached = "yes" if figure.is_met else "**no**"
        lines.append(f"| {figure.name} | {figure.value:.3g} {figure.unit} | {target} | {reached} |".replace("  ", " "))
    return lines
