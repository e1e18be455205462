"""The command line: one file for each of its commands."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import typer

from napari_unet.app.jobs import Job, run_job
from napari_unet.cli import bench, demo, evaluate, models, open_project, plan, pretrain, search, segment, train
from napari_unet.cli.console import allow_any_name, fail, note
from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_unet.app.jobs import Stop
    from napari_unet.core.base.progress import Report

COMMANDS: dict[str, Callable[..., None]] = {
    "segment": segment.segment,
    "train": train.train,
    "plan": plan.plan,
    "pretrain": pretrain.pretrain,
    "search": search.search,
    "evaluate": evaluate.evaluate,
    "demo": demo.demo,
    "bench": bench.bench,
    "open": open_project.open_project,
}

UNEXPECTED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; None takes those of the process. ``--debug`` anywhere among them shows
        the details of an error.

    Returns
    -------
    int
        0 when all went well, 1 when something unexpected happened or an image failed, 2 when something that was given
        cannot be used, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    allow_any_name()
    logging.basicConfig(level=logging.DEBUG if debug else logging.CRITICAL)
    try:
        outcome = run_job(_run, [a for a in arguments if a != "--debug"], Job("command"), lambda _: None)
    except KeyboardInterrupt:
        note("Stopped.")
        return INTERRUPTED
    if outcome.failure is None:
        return UNEXPECTED if outcome.result is None else outcome.result
    fail(outcome.failure.message, outcome.failure.hint)
    note(outcome.failure.details if debug else "Run it again with --debug for the details.")
    return UNEXPECTED


def _run(arguments: list[str], _report: Report, _stop: Stop) -> int:
    """Run a command to its exit status."""
    try:
        _build_app()(arguments, prog_name="napari-unet")
    except UserError as error:
        fail(error.message, error.hint)
        return WRONG_INPUT
    except SystemExit as end:  # how typer ends, also when all went well
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _build_app() -> typer.Typer:
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Segment, correct and fine-tune images with U-Nets. Without a command it opens napari.",
        epilog="--debug, anywhere, shows the details of an error.",
    )
    for name, command in COMMANDS.items():
        app.command(name)(command)
    app.add_typer(models.build_app(), name="models")
    return app
