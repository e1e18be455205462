"""The frame of every command: one line for an error, exit status, options from the dataclasses, words and tables."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from napari_unet import cli
from napari_unet.cli import console, segment
from napari_unet.cli.console import progress_line, say_json, table
from napari_unet.cli.options import parse_channels, parse_voxel_size
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import SegmentOptions, TrainOptions
from napari_unet.core.base.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable


def _fail_with(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_main_when_help_is_asked_for_then_lists_the_commands(run: Callable) -> None:
    ran = run("--help")

    assert ran.code == 0
    for name in ("segment", "train", "evaluate", "models", "demo"):
        assert name in ran.out


@pytest.mark.parametrize(("command", "kind"), [("segment", SegmentOptions), ("train", TrainOptions)])
def test_command_when_its_options_are_listed_then_has_every_field_of_the_dataclass(
    run: Callable, command: str, kind: type
) -> None:
    text = run(command, "--help").out

    for one in fields(kind):
        assert f"--{one.name.replace('_', '-')} " in text


@pytest.mark.parametrize("arguments", [["nonsense"], ["segment"], ["segment", "x", "--nonsense"], ["models", "show"]])
def test_main_when_the_arguments_are_wrong_then_status_2_without_traceback(run: Callable, arguments: list[str]) -> None:
    ran = run(*arguments)

    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "Error: " in ran.err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--threshold", "2", "Foreground threshold is 2"), ("--halo", "wide", "Choose one of: exact, fast")],
)
def test_command_when_an_option_is_out_of_bounds_then_says_what_is_allowed(
    run: Callable, option: str, value: str, message: str
) -> None:
    ran = run("segment", "x.tif", "--model", "m", "--out", "o", option, value)

    assert ran.code == 2
    assert message in ran.error


def test_main_when_something_unexpected_happens_then_status_1_and_a_hint_to_debug(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "expand", _fail_with(ZeroDivisionError("first\nsecond")))

    ran = run("segment", "x", "--model", "m", "--out", "o")

    assert ran.code == 1
    assert "ZeroDivisionError: first" in ran.error
    assert "--debug" in ran.err


def test_main_when_the_output_cannot_hold_a_name_then_it_is_written_with_escapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def speak() -> None:
        console.say("\u65e5\u672c.tif")
        say_json({"name": "\u00e9\u65e5"})

    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="cp1252")  # a file, on Windows
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setitem(cli.COMMANDS, "speak", speak)
    assert cli.main(["speak"]) == 0
    stream.flush()
    lines = written.getvalue().decode("cp1252").splitlines()
    assert lines[0] == r"\u65e5\u672c.tif"
    assert json.loads(lines[1]) == {"name": "\u00e9\u65e5"}


def test_main_when_debug_is_given_anywhere_then_shows_the_traceback(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "expand", _fail_with(ZeroDivisionError("why")))

    ran = run("segment", "x", "--model", "m", "--out", "o", "--debug")

    assert ran.code == 1
    assert "Traceback" in ran.err


def test_main_when_interrupted_then_status_130(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "expand", _fail_with(KeyboardInterrupt()))

    ran = run("segment", "x", "--model", "m", "--out", "o")

    assert ran.code == 130
    assert "Traceback" not in ran.err


def test_main_when_interrupted_outside_of_a_command_then_status_130(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_build_app", _fail_with(KeyboardInterrupt()))

    assert run("models", "list").code == 130


def test_models_when_listed_then_torch_is_not_loaded() -> None:
    code = "import sys; from napari_unet.cli import main; main(['models', 'list']); sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_voxel_size_when_given_as_text_then_becomes_numbers() -> None:
    assert parse_voxel_size("0.5,0.2, 0.2") == (0.5, 0.2, 0.2)
    assert parse_voxel_size(None) is None
    with pytest.raises(UserError, match=r"0\.5x0\.2"):
        parse_voxel_size("0.5x0.2")


def test_channels_when_given_as_text_then_become_ends_of_names() -> None:
    assert parse_channels("") == ()
    assert parse_channels("_FLAIR, _T1") == ("_FLAIR", "_T1")
    for text in (",", "_FLAIR,", "_T1,_T1"):
        with pytest.raises(UserError, match="cannot be used"):
            parse_channels(text)


def test_table_when_values_are_mixed_then_numbers_stand_to_the_right() -> None:
    text = table(("name", "AP"), [("a", 0.5), ("long name", None)])

    assert text == "name          AP\na          0.500\nlong name      -"


def test_json_when_values_are_no_numbers_then_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"a": float("nan"), 1: [float("inf"), (2.0,)], "µ": "µm"})

    assert json.loads(capsys.readouterr().out) == {"a": None, "1": [None, [2.0]], "µ": "µm"}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_when_on_a_terminal_then_rewrites_one_line_and_clears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(console, "REDRAW_SECONDS", 0.0)

    with progress_line("a.tif") as show:
        show(Progress(1, 2, "a long message"))
        show(Progress(2, 2, "short"))

    assert "\n" not in terminal.getvalue()
    assert "a.tif   50%  a long message" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


def test_progress_when_nobody_looks_then_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_line("a.tif") as show:
        show(Progress(1, 2))

    assert capsys.readouterr().err == ""
