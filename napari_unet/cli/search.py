"""`napari-unet search`: try networks on a training set until the time is over."""

# No `from __future__ import annotations`: typer reads them.

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_unet.cli.console import note, progress_line, say, say_json, table
from napari_unet.cli.options import (
    ChannelsOption,
    DataArgument,
    JsonOption,
    LabelsOption,
    LimitOption,
    parse_channels,
    with_options,
)
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import Budget, TrainOptions
from napari_unet.core.store.training_set import load_samples

if TYPE_CHECKING:
    from napari_unet.core.pipeline.search import SearchResult
    from napari_unet.core.pipeline.study import Trial

SECONDS = 1800.0
"""Of a search, where the user gives no time."""

KEPT = ("budget", "net", "loss", "learning_rate")
"""Options of the search that the training does not get: its network is that of the model it starts from."""

COLUMNS = ("depth", "base", "block", "loss", "learning_rate")


@with_options(TrainOptions)
def search(
    data: DataArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Keeps the trials and the best model.")],
    options: TrainOptions,
    trial_budget: Annotated[
        str, typer.Option(metavar="TEXT", help="Of one trial: 60s, 5min or 500steps; auto is a part of the time.")
    ] = "auto",
    limit: LimitOption = None,
    labels: LabelsOption = "labels",
    channels: ChannelsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Search depth, width, block, loss and learning rate; --budget is the time of all trials.

    The same command goes on where it was interrupted; a larger budget goes on further. What is given of loss, learning
    rate and network is kept.
    """
    from napari_unet.core.pipeline.search import search as run

    total = Budget.parse(options.budget)
    if total.steps is not None:
        raise UserError("A search has a time, not a number of steps.", "Write --budget 30min, --trial-budget 500steps.")
    each = None if trial_budget.strip() == "auto" else Budget.parse(trial_budget)
    samples = load_samples(data, limit=limit, labels=labels, channels=parse_channels(channels))
    note(f"Searching on {len(samples)} image{'s' * (len(samples) != 1)}.")
    with progress_line(out.name) as show:
        found = run(samples, options, out, seconds=total.seconds or SECONDS, trial_budget=each, report=show)
    command = _command(data, options, found, (labels, channels))
    say("\n".join(_describe(found, command)))
    if as_json:
        say_json(_as_dict(found, command))


def _describe(found: "SearchResult", command: str) -> list[str]:
    rows = [_row(trial) for trial in sorted(found.trials, key=lambda one: -(one.score or 0.0))]
    best = found.best
    return [
        table(("trial", *COLUMNS, "score", "seconds", "ended"), rows),
        "",
        f"The best is trial {best.number} with {best.score:.3f} on what was held out ({found.held_out}).",
        f"Its model is in {found.folder}. To train it on, with all images:",
        command,
    ]


def _row(trial: "Trial") -> list[object]:
    values = [trial.values.get(name) for name in COLUMNS]
    cells = [f"{value:.2g}" if isinstance(value, float) else value for value in values]
    ended = f"{trial.state}: {trial.reason}" if trial.reason else trial.state
    return [trial.number, *cells, trial.score, round(trial.seconds), ended]


def _command(data: Path, options: TrainOptions, found: "SearchResult", chosen: tuple[str, str]) -> str:
    """Write the command that goes on from the best network: what the user gave, and what was found."""
    training, fresh = found.model.spec.training, TrainOptions()
    values = {
        one.name: getattr(options, one.name)
        for one in fields(options)
        if one.name not in KEPT and getattr(options, one.name) != getattr(fresh, one.name)
    }
    values |= {"loss": training["loss"], "learning-rate": f"{training['learning_rate']:.2g}"}
    labels, channels = chosen
    values |= {"labels": labels} if labels != "labels" else {}
    values |= {"channels": channels} if channels else {}
    given = [f"--{name.replace('_', '-')} {value}" for name, value in values.items()]
    return " ".join(["napari-unet train", str(data), f"--start {found.folder}", *given, "--out MODEL_DIR"])


def _as_dict(found: "SearchResult", command: str) -> dict[str, object]:
    return {
        "model": found.folder,
        "score": found.best.score,
        "best": found.best.values,
        "held_out": found.held_out,
        "command": command,
        "trials": [asdict(trial) for trial in found.trials],
    }
