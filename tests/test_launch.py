"""The door: which arguments open a window, which run a command, and what is said when neither can be."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet import cli, launch
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari import Viewer


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """Record the windows that would open, instead of opening them, on a machine with a display."""
    calls: list[Path | None] = []
    monkeypatch.setattr(launch, "has_display", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(launch, "_open_window", lambda demo=None, project=None: calls.append(demo or project) or 0)
    return calls


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands that would run, instead of running them."""
    calls: list[list[str]] = []
    monkeypatch.setattr(cli, "main", lambda argv: calls.append(argv) or 0, raising=False)
    return calls


@pytest.fixture
def failing_import(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], None]:
    """Make the import of one module fail as it does on a broken installation."""
    real_import = builtins.__import__

    def fail(module: str, error: Exception) -> None:
        def replacement(name: str, *args: Any, **kwargs: Any) -> Any:
            if name == module:
                raise error
            return real_import(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", replacement)

    return fail


def test_main_when_without_arguments_then_opens_the_window(
    opened: list[Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["napari-unet"])
    assert launch.main() == 0
    assert opened == [None]


def test_main_when_there_is_no_display_then_names_the_command_line(
    opened: list[Path | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "has_display", lambda: False)
    assert launch.main([]) == 1
    assert opened == []
    assert "napari-unet --help" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["models", "list"], ["--help"], ["demo", "--help"]], ids=" ".join)
def test_main_when_given_a_command_then_hands_it_over(
    arguments: list[str], opened: list[Path | None], commands: list[list[str]]
) -> None:
    assert launch.main(arguments) == 0
    assert commands == [arguments]
    assert opened == []


def test_main_when_demo_on_a_desktop_then_opens_the_window(
    opened: list[Path | None], commands: list[list[str]], tmp_path: Path
) -> None:
    assert launch.main(["demo", "--out", str(tmp_path)]) == 0
    assert opened == [tmp_path]
    assert commands == []


def test_main_when_a_project_is_opened_then_opens_the_window_where_there_is_a_display(
    opened: list[Path | None], commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launch.main(["open", str(tmp_path)]) == 0
    assert opened == [tmp_path]
    assert launch.main(["open", "--help"]) == 0
    monkeypatch.setattr(launch, "has_display", lambda: False)
    assert launch.main(["open", str(tmp_path)]) == 0
    assert commands == [["open", "--help"], ["open", str(tmp_path)]]
    assert len(opened) == 1


def test_window_when_there_is_no_project_then_none_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "has_display", lambda: True)
    assert launch.main(["open", str(tmp_path)]) == 1
    assert "There is no project" in capsys.readouterr().err


@pytest.mark.parametrize(("display", "ci"), [(False, ""), (True, "true")])
def test_main_when_demo_has_nobody_to_look_then_stays_without_window(
    display: bool, ci: str, opened: list[Path | None], commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "has_display", lambda: display)
    monkeypatch.setenv("CI", ci)
    assert launch.main(["demo"]) == 0
    assert opened == []
    assert commands == [["demo"]]


def test_window_when_torch_does_not_load_then_says_what_helps(
    failing_import: Callable[[str, Exception], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "has_display", lambda: True)
    failing_import("torch", OSError("[WinError 1114] A dynamic link library initialization routine failed"))
    assert launch.main([]) == 1
    message = capsys.readouterr().err
    assert "WinError 1114" in message
    assert "Visual C++" in message


def test_window_when_no_qt_is_installed_then_says_what_to_install(
    failing_import: Callable[[str, Exception], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "has_display", lambda: True)
    failing_import("qtpy", ImportError("No Qt bindings could be found"))
    assert launch.main([]) == 1
    assert "napari-unet[gui]" in capsys.readouterr().err


@pytest.fixture
def window(make_napari_viewer: Callable[[], Viewer], monkeypatch: pytest.MonkeyPatch) -> Viewer:
    """Give the launcher a viewer that the test closes, and let it return at once."""
    viewer = make_napari_viewer()
    monkeypatch.setattr(launch, "has_display", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("napari.Viewer", lambda: viewer)
    monkeypatch.setattr("napari.run", lambda: None)
    return viewer


def test_window_when_opened_then_has_the_dock(window: Viewer) -> None:
    assert launch.main([]) == 0
    assert "U-Net (napari-unet)" in window.window.dock_widgets


@pytest.mark.parametrize("rgb", [False, True])
def test_window_when_opened_by_the_demo_then_shows_image_and_labels(
    rgb: bool, window: Viewer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = np.zeros((3, 32, 40) if rgb else (32, 40), np.uint8)
    image = Image(data, "CYX" if rgb else "YX", (0.5, 0.25), "section", rgb=rgb)
    result = SimpleNamespace(image=image, labels=np.ones((32, 40), np.int32))
    monkeypatch.setitem(sys.modules, "napari_unet.cli.demo", SimpleNamespace(run=lambda folder: result))
    assert launch.main(["demo", "--out", str(tmp_path)]) == 0
    shown, labels = window.layers
    assert shown.rgb == rgb
    assert labels.data.shape == (32, 40)
    assert tuple(labels.scale) == tuple(shown.scale) == (0.5, 0.25)


def test_window_when_the_demo_fails_then_says_why_and_stays_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(folder: Path) -> None:
        raise UserError(f"'{folder}' cannot be written.", "Choose another folder.")

    monkeypatch.setattr(launch, "has_display", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("napari.Viewer", lambda: pytest.fail("a window was opened"))
    monkeypatch.setitem(sys.modules, "napari_unet.cli.demo", SimpleNamespace(run=run))
    assert launch.main(["demo", "--out", "nowhere"]) == 1
    assert "Choose another folder." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "display", "expected"), [("win32", "", True), ("linux", "", False), ("linux", ":0", True)]
)
def test_display_when_platform_differs_then_is_told_right(
    platform: str, display: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert launch.has_display() is expected
