"""`napari-unet pretrain`: a network that has learnt what images look like, to start trainings from."""

# No `from __future__ import annotations`: typer reads them.

import math
import shutil
from pathlib import Path
from typing import Annotated

import typer

from napari_unet.app import commands
from napari_unet.cli.console import note, progress_line, say, say_json
from napari_unet.cli.options import JsonOption, parse_voxel_size, with_options
from napari_unet.cli.segment import join_channels
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.io import expand, read_image
from napari_unet.core.store.training_set import stack_channels


@with_options(TrainOptions)
def pretrain(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, folders of them, or patterns.")],
    out: Annotated[Path, typer.Option(metavar="MODEL_DIR", help="The new model's folder; it must not exist yet.")],
    options: TrainOptions,
    axes: Annotated[
        str | None, typer.Option(metavar="ZYX", help="A letter of TCZYX for each axis, where files do not tell.")
    ] = None,
    voxel_size: Annotated[
        str | None, typer.Option(metavar="0.5,0.2,0.2", help="µm for each spatial axis; wins over the files.")
    ] = None,
    channels: Annotated[
        str, typer.Option(metavar="_FLAIR,_T1", help="Ends of file names that are the channels of one image.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Pre-train a network on images without labels: it learns to restore what is hidden from it.

    Of the options of train, those about labels are not used. After an interruption the same command goes on.
    """
    if out.exists():
        raise UserError(f"'{out}' exists already.", "Choose another folder for --out.")
    size = parse_voxel_size(voxel_size)
    files = join_channels(expand(inputs), tuple(channels.split(",")) if channels else ())
    read = [[read_image(path, axes, size) for path in parts] for parts in files.values()]
    images = tuple(parts[0] if len(parts) == 1 else stack_channels(parts) for parts in read)
    note(f"Learning from {len(images)} image{'s' * (len(images) != 1)} without labels.")
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    with progress_line(out.name) as show:
        request = commands.PretrainRequest(images, options, out_folder=out, checkpoint=checkpoint)
        found = commands.pretrain(request, show, lambda: False)
    shutil.rmtree(checkpoint, ignore_errors=True)
    first, last = found.history[0], found.history[-1]
    say(f"{last.step} steps in {last.seconds:.0f} s, loss {first.loss:.3f} at first, {last.loss:.3f} at last.")
    if not math.isnan(found.after):
        say(f"Of what is hidden in images that it has not learnt from, it restores {found.after:.0%} of the variance.")
    say(f"Saved in {found.folder}. Train with --start {found.folder}")
    if as_json:
        facts = {"model": found.folder, "n_images": len(images), "steps": last.step, "seconds": last.seconds}
        say_json({**facts, "first_loss": first.loss, "loss": last.loss, "restored": found.after})
