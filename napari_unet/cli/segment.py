"""`napari-unet segment`: labels for many images, each on its own grid."""

# No `from __future__ import annotations`: typer reads them.

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_unet.app import commands, library, streaming
from napari_unet.app.jobs import Job, Update, run_job
from napari_unet.cli.console import fail, note, progress_line, say, say_json
from napari_unet.cli.options import (
    AxesOption,
    ChannelsOption,
    InputsArgument,
    JsonOption,
    VoxelSizeOption,
    parse_channels,
    parse_voxel_size,
    with_options,
)
from napari_unet.cli.segment_task import FORMATS, Task, Way, describe, goes_through_the_disk, segment_one, store_path
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import check_writable
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.progress import Report
from napari_unet.core.io import expand, label_path, stem, suffix
from napari_unet.core.store.spec import check_can_segment


@with_options(SegmentOptions)
def segment(
    inputs: InputsArgument,
    model: Annotated[str, typer.Option(metavar="NAME_OR_FOLDER", help="A model of the library, or its folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the labels go; those of the same name are replaced.")],
    options: SegmentOptions,
    axes: AxesOption = None,
    voxel_size: VoxelSizeOption = None,
    channels: ChannelsOption = "",
    format: Annotated[
        str,
        typer.Option(
            metavar="auto|zarr|same",
            help="zarr: through the disk into OME-Zarr, whatever the size; same: at once, in the image's format. "
            "Default: zarr for .zarr, addresses and what does not fit into memory.",
        ),
    ] = "auto",
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes on this machine that share each image.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:8786", help="A running Dask cluster that shares each image.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on with what was interrupted, or begin anew.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Segment images: write labels of the same name and grid; images of any size, if need be through the disk."""
    if format not in FORMATS:
        raise UserError(f"The format is '{format}'.", f"Choose one of: {', '.join(FORMATS)}.")
    if format == "same" and (workers or scheduler):
        raise UserError("Several processes share an image through the disk only.", "Leave --format same out.")
    files = expand(inputs)
    size = parse_voxel_size(voxel_size)
    images = join_channels(files, parse_channels(channels))
    folder = library.find_model(model)
    check_can_segment(commands.load_cached(folder).spec)  # one error, not one for each image
    targets = choose_targets(images, out, format, is_shared=scheduler is not None or (workers or 1) > 1)
    check_writable(out)
    with streaming.hire(workers, scheduler) as team:
        way = Way(folder, axes, size, options, format, resume, team)
        done, failed = _segment_all([Task(image, parts, targets[image], way) for image, parts in images.items()])
    if failed:
        names = ", ".join(one["input"].name for one in failed)
        note(f"{len(failed)} of {len(images)} images could not be segmented: {names}")
    if as_json:
        say_json({"model": folder, "n_images": len(done), "n_failed": len(failed), "images": done, "failed": failed})
    if failed:
        raise typer.Exit(1)


def _segment_all(tasks: list[Task]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Segment one image after the other; give what is told of those done and of those that failed."""
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for index, task in enumerate(tasks, start=1):
        name = task.name.name
        with progress_line(f"{index}/{len(tasks)} {name}") as show:
            outcome = run_job(segment_one, task, Job(name), _relay(show))
        if outcome.result is not None:
            done.append(outcome.result)
            say(f"{name}: {describe(outcome.result)} -> {outcome.result['output']}")
        elif outcome.failure is not None:
            failed.append({"input": task.name, "message": outcome.failure.message, "hint": outcome.failure.hint})
            fail(f"{name}: {outcome.failure.message}", outcome.failure.hint)
    return done, failed


def _relay(show: Report) -> Callable[[Update], None]:
    def relay(update: Update) -> None:
        show(update.progress)

    return relay


def join_channels(files: list[Path], ends: tuple[str, ...]) -> dict[Path, tuple[Path, ...]]:
    """Put the files of each image together.

    Parameters
    ----------
    files : list of Path
        All of them.
    ends : tuple of str
        Ends of their stems, in the order of the channels; empty where each file is an image.

    Returns
    -------
    dict of Path to tuple of Path
        By the name of each image, without the ends: its files.

    Raises
    ------
    UserError
        When a file has none of the ends, or an image lacks a channel.
    """
    if not ends:
        return {path: (path,) for path in files}
    found: dict[Path, dict[str, Path]] = {}
    for path in files:
        end = next((e for e in ends if stem(path).endswith(e)), None)
        if end is None:
            raise UserError(f"The name of '{path.name}' ends in none of {', '.join(ends)}.", "Leave it out.")
        name = stem(path).removesuffix(end) or stem(path)
        found.setdefault(path.with_name(name + suffix(path)), {})[end] = path
    for image, parts in found.items():
        missing = [e for e in ends if e not in parts]
        if missing:
            raise UserError(f"The image '{image.name}' has no {', '.join(missing)}.", "Give all its channels.")
    return {image: tuple(parts[e] for e in ends) for image, parts in found.items()}


def choose_targets(
    images: dict[Path, tuple[Path, ...]], out: Path, format: str, *, is_shared: bool = False
) -> dict[Path, Path]:
    """Choose the file of each image's labels.

    Parameters
    ----------
    images : dict of Path to tuple of Path
        From `join_channels`.
    out : Path
        Folder of the labels.
    format : {"auto", "zarr", "same"}
        As in `Way`.
    is_shared : bool
        Several processes share each image.

    Returns
    -------
    dict of Path to Path

    Raises
    ------
    UserError
        When the labels of two images would have one name, be it only if the images turn out to be large, or replace an
        image.
    """
    taken: dict[str, Path] = {}
    sources = {path.resolve() for parts in images.values() for path in parts}
    targets = {}
    for image in images:
        target = label_path(out, image)
        if goes_through_the_disk(image, format, is_shared=is_shared):
            target = store_path(target)
        possible = {target, store_path(target)} if format == "auto" else {target}
        if target.resolve() in sources:
            raise UserError(f"The labels of '{image}' would replace the image.", "Choose another folder for --out.")
        for name in sorted(one.name for one in possible):
            other = taken.setdefault(name.lower(), image)
            if other is not image:
                large = "" if name == target.name else ", if they do not fit into memory"
                raise UserError(
                    f"The labels of '{other}' and '{image}' would have the same name, {name}{large}.",
                    "Segment them into different folders" + (", or with --format same." if large else "."),
                )
        targets[image] = target
    return targets
