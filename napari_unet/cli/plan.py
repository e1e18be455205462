"""`napari-unet plan`: the network that suits a training set, and why."""

# No `from __future__ import annotations`: typer reads them.

from dataclasses import asdict
from textwrap import fill

from napari_unet.app.planning import PLANNED, plan_for
from napari_unet.cli.console import note, say, say_json
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
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.store.training_set import load_samples

WIDTH = 100


@with_options(TrainOptions)
def plan(
    data: DataArgument,
    options: TrainOptions,
    limit: LimitOption = None,
    labels: LabelsOption = "labels",
    channels: ChannelsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Derive network, patch, batch and voxel size from the images and the memory. Takes the options of train."""
    if options.net not in (PLANNED, TrainOptions().net):
        raise UserError(f"The plan chooses the network; --net {options.net} was given.", "Leave out --net.")
    suffixes = parse_channels(channels)
    found = plan_for(load_samples(data, limit=limit, labels=labels, channels=suffixes), options)
    for line in found.words:
        say(fill(line, WIDTH, subsequent_indent="    "))
    note(f"\nTo train it, add --net {PLANNED} to the options of: napari-unet train {data} --out MODEL_DIR")
    if as_json:
        say_json(asdict(found))
