"""`napari-unet train`: a new model from a folder of images and labels, or a better one from an old one."""

# No `from __future__ import annotations`: typer reads them.

import math
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from napari_unet.app import commands, library, lineage
from napari_unet.app.requests import FineTuneRequest, Training, TrainRequest
from napari_unet.app.training_set import newest
from napari_unet.cli.console import note, progress_line, say, say_json
from napari_unet.cli.options import (
    ChannelsOption,
    DataArgument,
    JsonOption,
    LabelsOption,
    LimitOption,
    ModelFolderOption,
    parse_channels,
    with_options,
)
from napari_unet.cli.processes import joined, one_speaks, workplace
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import silent
from napari_unet.core.base.world import world_around
from napari_unet.core.store.spec import ModelSpec, read_spec
from napari_unet.core.store.training_set import Sample, load_samples


@one_speaks
@with_options(TrainOptions)
def train(
    data: DataArgument,
    out: ModelFolderOption,
    options: TrainOptions,
    parent: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME_OR_FOLDER",
            help="Fine-tune this model: from the base of its lineage, with what its versions have learnt from.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_FOLDER", help="Train a new model, from this one's weights where they fit."),
    ] = None,
    limit: LimitOption = None,
    labels: LabelsOption = "labels",
    channels: ChannelsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Train a model, or fine-tune one with --from. After an interruption the same command goes on."""
    if parent is not None and start is not None:
        raise UserError(
            "--from and --start cannot be used together.", "--from keeps a model's network, --start need not."
        )
    around = world_around()
    with joined(around, options.device) as together, workplace(around, out) as folder:
        job = together(lambda: _prepare(data, folder, options, parent, start, (limit, labels, channels)))
        samples = job.samples
        if around.is_first:
            note(f"Learning from {_count(samples)}.{_lineage(job)}")
        with progress_line(out.name) if around.is_first else nullcontext(silent) as show:
            if isinstance(job, TrainRequest):
                training = commands.train(job, show, _never)
            else:
                training = commands.fine_tune(job, show, _never)
    if not around.is_first:
        return
    shutil.rmtree(_checkpoint(out), ignore_errors=True)
    say("\n".join(_describe(training)))
    if as_json:
        say_json(_as_dict(training, len(samples)))


def _prepare(
    data: Path,
    out: Path,
    options: TrainOptions,
    parent: str | None,
    start: str | None,
    chosen: tuple[int | None, str, str],
) -> TrainRequest | FineTuneRequest:
    """Check what is asked for and read what it is learned from.

    Raises
    ------
    UserError
        When a model or the samples cannot be read, or do not fit the options.
    """
    old = None if parent is None else library.find_model(parent)
    if old is not None:
        _check_parent(read_spec(old), options)
    first = None if start is None else library.find_model(start)
    if out.exists():
        raise UserError(f"'{out}' exists already.", "Choose another folder for --out.")
    limit, labels, channels = chosen
    suffixes = parse_channels(channels)
    samples = tuple(load_samples(data, limit=limit, labels=labels, channels=suffixes))
    if old is not None:
        # A folder of its own replaces nothing: the user asked for the model and gets both scores with it.
        return FineTuneRequest(old, samples=samples, options=options, out_folder=out, keep_worse=True)
    return TrainRequest(samples=samples, options=options, out_folder=out, checkpoint=_checkpoint(out), start=first)


def _checkpoint(out: Path) -> Path:
    """Give the folder that a stopped training leaves beside the model's; the same command goes on from it."""
    return out.with_name(f"{out.name}.checkpoint")


def _never() -> bool:
    return False


def _check_parent(spec: ModelSpec, options: TrainOptions) -> None:
    """Refuse options that would need another network than the one that is fine-tuned."""
    fresh = TrainOptions()
    for name, fixed in (("target", spec.target), ("dims", spec.dims)):
        chosen = getattr(options, name)
        if chosen not in (getattr(fresh, name), fixed):
            raise UserError(
                f"'{spec.name}' has the {name} {fixed}; --{name} {chosen} was asked for.",
                "Train a new model without --from.",
            )
    if options.net != fresh.net:
        raise UserError("A model that is fine-tuned keeps its network.", "Leave out --net, or train without --from.")


def _count(samples: tuple[Sample, ...]) -> str:
    masked = sum(one.annotated is not None for one in samples)
    text = f"{len(samples)} image{'s' * (len(samples) != 1)}"
    return text if not masked else f"{text}, {masked} of them annotated in part"


def _lineage(job: TrainRequest | FineTuneRequest) -> str:
    """Say what a version of a model brings along: where the training starts, and the labels from before."""
    chain = () if isinstance(job, TrainRequest) else lineage.trace(job.model)
    if len(chain) < 2:
        return ""
    found = newest(lineage.entries_of(chain, with_tried=False))
    n = sum(not entry.record.left_out for entry in found)
    return (
        f" It starts from '{chain[0].name}', with {n} more image{'s' * (n != 1)} of the versions of '{chain[-1].name}'."
    )


def _describe(training: Training) -> list[str]:
    lines = []
    if training.history:
        last = training.history[-1]
        lines.append(f"{last.step} steps in {last.seconds:.0f} s, loss {last.loss:.3f}.")
    if not math.isnan(training.before):
        verdict = "better or equal" if training.accepted else f"keep the old model. {training.reason or 'It is worse'}"
        lines.append(
            f"Score on {training.n_held_out} held-out objects ({training.held_out}): "
            f"{training.before:.3f} before, {training.after:.3f} after: {verdict}."
        )
        if math.isfinite(training.interval[0]):
            low, high = training.interval
            over = f"{training.n_units} {training.unit}"
            lines.append(f"95 % interval of the difference: {low:+.3f} to {high:+.3f} (bootstrap over {over}).")
    elif not math.isnan(training.after):
        lines.append(f"Score on the images that were held out: {training.after:.3f}.")
    elif training.parent:
        lines.append("Too little was annotated to hold anything out: look at the result yourself.")
    return [*lines, *training.notes, f"Saved in {training.folder}."]


def _as_dict(training: Training, n_images: int) -> dict[str, object]:
    last = training.history[-1] if training.history else None
    return {
        "model": training.folder,
        "parent": training.parent or None,
        "n_images": n_images,
        "steps": None if last is None else last.step,
        "seconds": None if last is None else last.seconds,
        "loss": None if last is None else last.loss,
        "before": training.before,
        "after": training.after,
        "interval": training.interval if math.isfinite(training.interval[0]) else None,
        "accepted": training.accepted,
        "held_out": training.held_out,
        "n_held_out": training.n_held_out,
    }
