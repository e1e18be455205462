"""`napari-unet segment`: labels for many images, each on its own grid."""

# No `from __future__ import annotations`: typer reads them.

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from napari_unet.app import commands, library
from napari_unet.app.jobs import Job, Stop, Update, run_job
from napari_unet.cli.console import fail, note, progress_line, say, say_json
from napari_unet.cli.options import JsonOption, parse_voxel_size, with_options
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.progress import Report
from napari_unet.core.io import expand, label_path, read_image, stem, suffix, write_labels
from napari_unet.core.store.training_set import stack_channels


@dataclass(frozen=True)
class Task:
    """Say what becomes of one image, which lies in one file or in one for each channel."""

    name: Path
    sources: tuple[Path, ...]
    target: Path
    model: Path
    axes: str | None
    voxel_size: tuple[float, ...] | None
    options: SegmentOptions


@with_options(SegmentOptions)
def segment(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, folders of them, or patterns.")],
    model: Annotated[str, typer.Option(metavar="NAME_OR_FOLDER", help="A model of the library, or its folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the labels go; those of the same name are replaced.")],
    options: SegmentOptions,
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
    """Segment images: write labels of the same name, format and grid."""
    files = expand(inputs)
    size = parse_voxel_size(voxel_size)
    images = join_channels(files, tuple(channels.split(",")) if channels else ())
    targets = _targets(images, out)
    folder = library.find_model(model)
    commands.load_cached(folder)  # a model that cannot be used is one error, not one for each image
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for index, ((image, sources), target) in enumerate(zip(images.items(), targets, strict=True), start=1):
        name = image.name
        with progress_line(f"{index}/{len(images)} {name}") as show:
            task = Task(image, sources, target, folder, axes, size, options)
            outcome = run_job(_segment_one, task, Job(name), _relay(show))
        if outcome.result is not None:
            done.append(outcome.result)
            say(f"{name}: {_found(outcome.result)} -> {target}")
        elif outcome.failure is not None:
            failed.append({"input": image, "message": outcome.failure.message, "hint": outcome.failure.hint})
            fail(f"{name}: {outcome.failure.message}", outcome.failure.hint)
    if failed:
        names = ", ".join(one["input"].name for one in failed)
        note(f"{len(failed)} of {len(images)} images could not be segmented: {names}")
    if as_json:
        say_json({"model": folder, "n_images": len(done), "n_failed": len(failed), "images": done, "failed": failed})
    if failed:
        raise typer.Exit(1)


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


def _targets(images: dict[Path, tuple[Path, ...]], out: Path) -> list[Path]:
    """Choose the file of each image's labels; refuse to write two into one, or over an image."""
    taken: dict[str, Path] = {}
    sources = {path.resolve() for parts in images.values() for path in parts}
    targets = []
    for image in images:
        target = label_path(out, image)
        if target.resolve() in sources:
            raise UserError(f"The labels of '{image}' would replace the image.", "Choose another folder for --out.")
        other = taken.setdefault(target.name.lower(), image)
        if other is not image:
            raise UserError(
                f"The labels of '{other}' and '{image}' would have the same name, {target.name}.",
                "Segment them into different folders.",
            )
        targets.append(target)
    return targets


def _segment_one(task: Task, report: Report, stop: Stop) -> dict[str, Any]:
    start = time.perf_counter()
    images = [read_image(path, task.axes, task.voxel_size) for path in task.sources]
    image = images[0] if len(images) == 1 else stack_channels(images)
    found = commands.segment(commands.SegmentRequest(image, task.model, task.options), report, stop)
    write_labels(task.target, found.labels, image)
    return {
        "input": task.name,
        "output": task.target,
        **_count(found.labels, found.classes),
        "object_size": found.object_size,
        "notes": found.notes,
        "seconds": round(time.perf_counter() - start, 2),
    }


def _count(labels: NDArray[np.int32], classes: tuple[str, ...]) -> dict[str, Any]:
    counts = np.bincount(labels.ravel())
    if not classes:
        return {"n_objects": int(np.count_nonzero(counts[1:]))}
    voxels = [int(n) for n in np.pad(counts, (0, len(classes) + 1))[1 : len(classes) + 1]]
    return {"voxels": dict(zip(classes, voxels, strict=True))}


def _found(result: dict[str, Any]) -> str:
    notes = "".join(f" ({one})" for one in result["notes"])
    if "n_objects" in result:
        n = result["n_objects"]
        size = "" if result["object_size"] is None else f" of about {result['object_size']:.0f} px"
        return f"{n} object{'s' * (n != 1)}{size}{notes}"
    return ", ".join(f"{name} {n} voxels" for name, n in result["voxels"].items()) + notes
