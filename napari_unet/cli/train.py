"""`napari-unet train`: a new model from a folder of images and labels, or a better one from an old one."""

# No `from __future__ import annotations`: typer reads them.

import math
from pathlib import Path
from typing import Annotated

import typer

from napari_unet.app import commands, library
from napari_unet.app.requests import Training
from napari_unet.cli.console import note, progress_line, say, say_json
from napari_unet.cli.options import JsonOption, with_options
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.store.spec import ModelSpec, read_spec
from napari_unet.core.store.training_set import Sample, load_samples


@with_options(TrainOptions)
def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A folder with images/ and labels/ of the same names, or with train/ that has them."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="MODEL_DIR", help="The new model's folder; it must not exist yet.")],
    options: TrainOptions,
    parent: Annotated[
        str | None, typer.Option("--from", metavar="NAME_OR_FOLDER", help="Fine-tune this model.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Use the first N images by name.")] = None,
    labels: Annotated[str, typer.Option(metavar="FOLDER", help="Folder of the labels inside DATA.")] = "labels",
    channels: Annotated[
        str, typer.Option(metavar="_FLAIR,_T1", help="Ends of file names that are the channels of one image.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Train a model, or fine-tune one with --from."""
    start = None if parent is None else library.find_model(parent)
    if start is not None:
        _check_parent(read_spec(start), options)
    if out.exists():
        raise UserError(f"'{out}' exists already.", "Choose another folder for --out.")
    suffixes = tuple(channels.split(",")) if channels else ()
    samples = tuple(load_samples(data, limit=limit, labels=labels, channels=suffixes))
    note(f"Learning from {_count(samples)}.")
    with progress_line(out.name) as show:
        if start is None:
            request = commands.TrainRequest(samples=samples, options=options, out_folder=out)
            training = commands.train(request, show, _never)
        else:
            # A folder of its own replaces nothing: the user asked for the model and gets both scores with it.
            fine_tune = commands.FineTuneRequest(
                start, samples=samples, options=options, out_folder=out, keep_worse=True
            )
            training = commands.fine_tune(fine_tune, show, _never)
    say("\n".join(_describe(training)))
    if as_json:
        say_json(_as_dict(training, len(samples)))


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


def _describe(training: Training) -> list[str]:
    lines = []
    if training.history:
        last = training.history[-1]
        lines.append(f"{last.step} steps in {last.seconds:.0f} s, loss {last.loss:.3f}.")
    if not math.isnan(training.before):
        verdict = "better or equal" if training.accepted else "worse: keep the old model"
        lines.append(
            f"Score on {training.n_held_out} held-out objects ({training.held_out}): "
            f"{training.before:.3f} before, {training.after:.3f} after: {verdict}."
        )
    elif not math.isnan(training.after):
        lines.append(f"Score on the images that were held out: {training.after:.3f}.")
    elif training.parent:
        lines.append("Too little was annotated to hold anything out: look at the result yourself.")
    return [*lines, f"Saved in {training.folder}."]


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
        "accepted": training.accepted,
        "held_out": training.held_out,
        "n_held_out": training.n_held_out,
    }
