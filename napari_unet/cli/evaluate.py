"""`napari-unet evaluate`: how well labels agree with the truth."""

# No `from __future__ import annotations`: typer reads them.

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import fastremap
import numpy as np
import typer

from napari_unet.cli.console import note, progress_line, say, say_json
from napari_unet.cli.options import JsonOption, parse_voxel_size
from napari_unet.cli.pairs import Pair, find_pairs, read_groups, read_voxel_sizes
from napari_unet.cli.score_files import check_csv, write_images, write_objects
from napari_unet.cli.score_text import score_tables
from napari_unet.cli.scores import ImageScore, Wanted, choose_classes, score_image
from napari_unet.cli.summary import summarise
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress
from napari_unet.core.io import read_labels

TARGETS = ("instances", "semantic")

Sizes = dict[str, tuple[float, ...] | None]


def evaluate(
    pred: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of the predicted labels.")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH_DIR", help="Folder of the true labels, of the same names.")],
    target: Annotated[
        str | None,
        typer.Option(metavar="|".join(TARGETS), help="What the labels are. Default: both, where they may be either."),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="FILE.csv:COLUMN", help="Score groups of images apart as well.")
    ] = None,
    table: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write the scores of each image.")] = None,
    objects: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write each object: its size, partner and IoU; of classes, each piece."),
    ] = None,
    distances: Annotated[
        bool, typer.Option("--distances", help="Measure Hausdorff, HD95 and mean distance of surfaces; takes longer.")
    ] = False,
    tolerance: Annotated[
        float | None, typer.Option(metavar="UM", help="Deviation that the surface Dice allows. Measures distances.")
    ] = None,
    voxel_size: Annotated[
        str | None, typer.Option(metavar="UM,UM[,UM]", help="µm for each axis. Default: what the files say.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score labels against the truth: AP, F1, PQ, aggregated Jaccard, Dice, and distances where asked for.

    Objects are pooled over all images. Dice is computed for each image and class, then averaged. Below each score
    stands its 95 % interval (bootstrap over images).
    """
    if target not in (None, *TARGETS):
        raise UserError(f"The target is '{target}'.", f"Choose one of: {', '.join(TARGETS)}.")
    check_csv(table)
    check_csv(objects)
    wanted = Wanted(distances or tolerance is not None, _checked(tolerance), listing=objects is not None)
    pairs = find_pairs(pred, truth)
    group_of = {} if groups is None else read_groups(groups, [pair.name for pair in pairs])
    sizes = _voxel_sizes(pairs, voxel_size, wanted)
    classes = _classes(pairs, target)
    scores = _score(pairs, classes, sizes, wanted, objects=target != "semantic")
    measure = {"unit": _unit(sizes), "tolerance": tolerance}
    result = _summary(scores, list(scores), measure)
    names = sorted(set(group_of.values()))
    result["groups"] = {g: _summary(scores, [n for n in scores if group_of[n] == g], measure) for g in names}
    if table is not None:
        write_images(table, scores, group_of)
    if objects is not None:
        write_objects(objects, scores, sizes)
    say(score_tables(result))
    if as_json:
        say_json(result)


def _checked(tolerance: float | None) -> float | None:
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise UserError(f"The tolerance is {tolerance}.", "Give µm, 0 or above.")
    return tolerance


def _voxel_sizes(pairs: list[Pair], text: str | None, wanted: Wanted) -> Sizes:
    """Find the voxel size of each image, where something is measured; refuse to mix µm with voxels."""
    given = parse_voxel_size(text)
    if given is not None and not all(math.isfinite(v) and v > 0 for v in given):
        raise UserError(f"The voxel size '{text}' cannot be used.", "Give µm above 0 for each axis.")
    if given is not None or not (wanted.distances or wanted.listing):
        return dict.fromkeys((pair.name for pair in pairs), given)
    sizes = read_voxel_sizes(pairs)
    unknown = [name for name, size in sizes.items() if size is None]
    if wanted.distances and unknown and (wanted.tolerance is not None or len(unknown) < len(sizes)):
        raise UserError(
            f"The voxel size of '{unknown[0]}' is not known.", "Give --voxel-size; 1,1 makes distances those in pixels."
        )
    if unknown and wanted.distances:
        note("The files do not tell their voxel size: distances are in voxels.")
    return sizes


def _unit(sizes: Sizes) -> str:
    return "voxel" if None in sizes.values() else "um"


def _summary(scores: dict[str, ImageScore], names: list[str], measure: dict[str, Any]) -> dict[str, Any]:
    result = summarise([scores[name] for name in names])
    if result["surface"] is not None:
        result["surface"] = {**measure, **result["surface"]}
    return result


def _classes(pairs: list[Pair], target: str | None) -> tuple[int, ...] | None:
    if target == "instances":
        return None
    true_values, values = set[int](), set[int]()
    for pair in pairs:
        found = _values(pair.truth)
        true_values |= found
        values |= found | (_values(pair.pred) if target == "semantic" else set())
    classes = choose_classes(target, values, true_values)
    if target is None:
        read_as = "the foreground" if classes is None else f"{len(classes)} classes"
        note(f"The labels were scored as objects and as {read_as}; --target says which they are.")
    return classes


def _values(path: Path) -> set[int]:
    return {int(v) for v in fastremap.unique(np.ascontiguousarray(read_labels(path)))} - {0}


def _score(
    pairs: list[Pair], classes: tuple[int, ...] | None, sizes: Sizes, wanted: Wanted, *, objects: bool
) -> dict[str, ImageScore]:
    scores = {}
    with progress_line("comparing") as show:
        for index, pair in enumerate(pairs):
            show(Progress(index, len(pairs), pair.name))
            try:
                labels = read_labels(pair.pred), read_labels(pair.truth)
                asked = replace(wanted, voxel_size=_fitting(sizes[pair.name], labels[1].ndim))
                scores[pair.name] = score_image(*labels, classes, objects=objects, wanted=asked)
            except UserError as error:
                raise type(error)(f"'{pair.name}' cannot be compared: {error.message}", error.hint) from error
    return scores


def _fitting(size: tuple[float, ...] | None, n_axes: int) -> tuple[float, ...] | None:
    if size is not None and len(size) != n_axes:
        lengths = ",".join(f"{v:g}" for v in size)
        raise UserError(f"the voxel size {lengths} does not fit labels with {n_axes} axes.", "Give µm for each axis.")
    return size
