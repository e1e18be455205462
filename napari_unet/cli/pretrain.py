"""`napari-unet pretrain`: a network that has learnt what images look like, to start trainings from."""

# No `from __future__ import annotations`: typer reads them.

import math
import shutil

from napari_unet.app import commands
from napari_unet.cli.console import note, progress_line, say, say_json
from napari_unet.cli.options import (
    AxesOption,
    ChannelsOption,
    InputsArgument,
    JsonOption,
    ModelFolderOption,
    VoxelSizeOption,
    parse_channels,
    parse_voxel_size,
    with_options,
)
from napari_unet.cli.segment import join_channels
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.io import expand, read_image
from napari_unet.core.store.training_set import stack_channels


@with_options(TrainOptions)
def pretrain(
    inputs: InputsArgument,
    out: ModelFolderOption,
    options: TrainOptions,
    axes: AxesOption = None,
    voxel_size: VoxelSizeOption = None,
    channels: ChannelsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Pre-train a network on images without labels: it learns to restore what is hidden from it.

    Of the options of train, those about labels are not used. After an interruption the same command goes on.
    """
    if out.exists():
        raise UserError(f"'{out}' exists already.", "Choose another folder for --out.")
    size = parse_voxel_size(voxel_size)
    files = join_channels(expand(inputs), parse_channels(channels))
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
