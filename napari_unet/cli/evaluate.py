"""`napari-unet evaluate`: how well labels agree with the truth."""

# No `from __future__ import annotations`: typer reads them.

from pathlib import Path
from typing import Annotated, Any

import fastremap
import numpy as np
import typer

from napari_unet.cli.console import note, progress_line, say, say_json, table
from napari_unet.cli.options import JsonOption
from napari_unet.cli.pairs import Pair, find_pairs, read_groups
from napari_unet.cli.scores import ImageScore, choose_classes, score_image, summarise
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress
from napari_unet.core.io import read_labels

TARGETS = ("instances", "semantic")
SHOWN_AP = ("0.50", "0.75")


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
    as_json: JsonOption = False,
) -> None:
    """Score labels against the truth: AP, F1, PQ and Dice.

    Objects are pooled over all images. Dice is computed for each image and class, then averaged.
    """
    if target not in (None, *TARGETS):
        raise UserError(f"The target is '{target}'.", f"Choose one of: {', '.join(TARGETS)}.")
    pairs = find_pairs(pred, truth)
    group_of = {} if groups is None else read_groups(groups, [pair.name for pair in pairs])
    classes = _classes(pairs, target)
    scores = _score(pairs, classes, objects=target != "semantic")
    result = summarise(list(scores.values()))
    names = sorted(set(group_of.values()))
    result["groups"] = {g: summarise([s for n, s in scores.items() if group_of[n] == g]) for g in names}
    say("\n".join(_table(result)))
    if as_json:
        say_json(result)


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


def _score(pairs: list[Pair], classes: tuple[int, ...] | None, *, objects: bool) -> dict[str, ImageScore]:
    scores = {}
    with progress_line("comparing") as show:
        for index, pair in enumerate(pairs):
            show(Progress(index, len(pairs), pair.name))
            try:
                labels = read_labels(pair.pred), read_labels(pair.truth)
                scores[pair.name] = score_image(*labels, classes, objects=objects)
            except UserError as error:
                raise type(error)(f"'{pair.name}' cannot be compared: {error.message}", error.hint) from error
    return scores


def _table(result: dict[str, Any]) -> list[str]:
    rows = [("all", result), *result["groups"].items()]
    lines = []
    if result["ap"] is not None:
        header = ("objects", "images", *(f"AP {t}" for t in SHOWN_AP), "mean AP", "F1", "PQ")
        lines.append(table(header, [_object_row(name, one) for name, one in rows]))
    keys = sorted(result["dice"], key=int)
    header = ("Dice", "images", *(f"class {k}" for k in keys[:8]), "mean")
    dice = [(name, one["n_images"], *(one["dice"].get(k) for k in keys[:8]), one["mean_dice"]) for name, one in rows]
    return [*lines, *([""] if lines else []), table(header, dice)]


def _object_row(name: str, one: dict[str, Any]) -> tuple[object, ...]:
    ap = one["ap"]
    return (name, one["n_images"], *(ap[t] for t in SHOWN_AP), float(np.mean(list(ap.values()))), one["f1"], one["pq"])
