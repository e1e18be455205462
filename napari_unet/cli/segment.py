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
from napari_unet.core.io import expand, label_path, read_image, write_labels


@dataclass(frozen=True)
class Task:
    """Say what becomes of one image."""

    source: Path
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
    as_json: JsonOption = False,
) -> None:
    """Segment images: write labels of the same name, format and grid."""
    files = expand(inputs)
    size = parse_voxel_size(voxel_size)
    targets = _targets(files, out)
    folder = library.find_model(model)
    commands.load_cached(folder)  # a model that cannot be used is one error, not one for each image
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for index, (source, target) in enumerate(targets.items(), start=1):
        with progress_line(f"{index}/{len(files)} {source.name}") as show:
            task = Task(source, target, folder, axes, size, options)
            outcome = run_job(_segment_one, task, Job(source.name), _relay(show))
        if outcome.result is not None:
            done.append(outcome.result)
            say(f"{source.name}: {_found(outcome.result)} -> {target}")
        elif outcome.failure is not None:
            failed.append({"input": source, "message": outcome.failure.message, "hint": outcome.failure.hint})
            fail(f"{source.name}: {outcome.failure.message}", outcome.failure.hint)
    if failed:
        names = ", ".join(one["input"].name for one in failed)
        note(f"{len(failed)} of {len(files)} images could not be segmented: {names}")
    if as_json:
        say_json({"model": folder, "n_images": len(done), "n_failed": len(failed), "images": done, "failed": failed})
    if failed:
        raise typer.Exit(1)


def _relay(show: Report) -> Callable[[Update], None]:
    def relay(update: Update) -> None:
        show(update.progress)

    return relay


def _targets(files: list[Path], out: Path) -> dict[Path, Path]:
    """Choose the file of each image's labels; refuse to write two into one, or over an image."""
    targets = {path: label_path(out, path) for path in files}
    taken: dict[str, Path] = {}
    sources = {path.resolve() for path in files}
    for source, target in targets.items():
        if target.resolve() in sources:
            raise UserError(f"The labels of '{source}' would replace the image.", "Choose another folder for --out.")
        other = taken.setdefault(target.name.lower(), source)
        if other is not source:
            raise UserError(
                f"The labels of '{other}' and '{source}' would have the same name, {target.name}.",
                "Segment them into different folders.",
            )
    return targets


def _segment_one(task: Task, report: Report, stop: Stop) -> dict[str, Any]:
    start = time.perf_counter()
    image = read_image(task.source, task.axes, task.voxel_size)
    found = commands.segment(commands.SegmentRequest(image, task.model, task.options), report, stop)
    write_labels(task.target, found.labels, image)
    return {
        "input": task.source,
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
