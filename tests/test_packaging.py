"""The package as napari and pip meet it: manifest, entry points, dependencies, what an import brings along."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from npe2 import PluginManifest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import napari_unet

if TYPE_CHECKING:
    from npe2.manifest.contributions import CommandContribution

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "napari_unet"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MANIFEST = PluginManifest.from_file(ROOT / "napari.yaml")
COMMANDS = MANIFEST.contributions.commands or []
DEPENDENCIES = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
FOR_DEVELOPERS = {"gui", "test", "dev", "docs"}
OPTIONAL = {
    canonicalize_name(Requirement(text).name)
    for extra, texts in PROJECT["optional-dependencies"].items()
    if extra not in FOR_DEVELOPERS
    for text in texts
}
"""What single features need; it is imported where it is used only."""

QT_BINDINGS = {"pyqt5", "pyqt6", "pyside2", "pyside6"}

# Imports the modules named on its command line one after the other; prints each with the heavy ones it brought.
IMPORT_ALL = """
import importlib, json, sys
heavy = {}
for name in sys.argv[2:]:
    importlib.import_module(name)
    heavy[name] = [module for module in sys.argv[1].split(",") if module in sys.modules]
print(json.dumps(heavy))
"""


def modules_of(folder: str) -> list[str]:
    """Name the modules in a folder of the package; without one, those at its top."""
    pattern = f"{folder}/**/*.py" if folder else "*.py"
    paths = (path.relative_to(ROOT).with_suffix("") for path in PACKAGE.glob(pattern))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def brought_along(heavy: str, modules: list[str]) -> dict[str, list[str]]:
    """Import modules in a process of their own; say which of the comma-separated heavy ones came with them."""
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, heavy, *modules], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    return {name: found for name, found in json.loads(result.stdout).items() if found}


def imported_names(path: Path) -> set[str]:
    """Name the top-level packages that a file imports anywhere."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    members = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in plain | members}


def test_manifest_in_package_when_compared_with_top_then_is_equal() -> None:
    assert (PACKAGE / "napari.yaml").read_bytes() == (ROOT / "napari.yaml").read_bytes()


def test_manifest_name_when_compared_with_project_then_is_equal() -> None:
    assert MANIFEST.name == PROJECT["name"]


def test_manifest_when_found_through_entry_point_then_is_ours() -> None:
    assert PluginManifest.from_distribution("napari-unet").contributions == MANIFEST.contributions


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.id)
def test_command_when_imported_then_is_callable(command: CommandContribution) -> None:
    module, _, name = command.python_name.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_console_script_when_resolved_then_is_the_launcher() -> None:
    (script,) = entry_points(group="console_scripts", name="napari-unet")
    assert script.load().__module__ == "napari_unet.launch"


def test_version_when_installed_then_is_the_source_version() -> None:
    assert version("napari-unet") == napari_unet.__version__


@pytest.mark.parametrize("floor", ["", "app", "cli", "ui"])
def test_importing_floor_when_nothing_is_run_then_torch_stays_out(floor: str) -> None:
    assert brought_along("torch", modules_of(floor)) == {}


@pytest.mark.parametrize("floor", ["", "core", "app", "cli"])
def test_importing_floor_when_it_has_no_window_then_qt_and_napari_stay_out(floor: str) -> None:
    assert brought_along("napari,qtpy", modules_of(floor)) == {}


@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"]], ids=" ".join)
def test_light_command_when_run_then_needs_neither_torch_nor_napari(arguments: list[str]) -> None:
    code = (
        "import sys; from napari_unet.launch import main; code = main(sys.argv[1:]);"
        "sys.exit(code or ' '.join({'torch', 'napari', 'qtpy'} & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_dependencies_when_read_then_hold_no_qt_binding() -> None:
    assert not DEPENDENCIES & QT_BINDINGS


def test_imports_when_compared_with_dependencies_then_all_are_declared() -> None:
    owners = packages_distributions()
    names = set().union(*map(imported_names, PACKAGE.rglob("*.py"))) - sys.stdlib_module_names - {"napari_unet"}
    declared = DEPENDENCIES | OPTIONAL
    # What is optional need not be installed; it is then called as it is imported.
    undeclared = {name for name in names if not {canonicalize_name(d) for d in owners.get(name, [name])} & declared}
    assert not undeclared


def test_dependencies_when_compared_with_their_page_then_each_has_a_line() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    listed = {canonicalize_name(name) for name in re.findall(r"^\| `([\w.-]+)` \|", page, re.MULTILINE)}
    assert listed == DEPENDENCIES | OPTIONAL
