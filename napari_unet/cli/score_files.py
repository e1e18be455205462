"""Scores as CSV files: a row for each image, a row for each object."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.cli.summary import MASK_SCORES
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import write_atomic
from napari_unet.core.metrics.instances import (
    average_precision,
    f1,
    mean_average_precision,
    panoptic_quality,
    precision,
    recall,
)
from napari_unet.core.metrics.regions import aggregated_jaccard, seg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_unet.cli.scores import ImageScore

    Row = dict[str, object]

OBJECT_COLUMNS = ("image", "side", "label", "class", "voxels", "size_um", "partner", "iou", "matched", "parts")


def check_csv(path: Path | None) -> None:
    """Refuse a file that no table can be written to, before any work is done for it.

    Raises
    ------
    UserError
        When its name does not end in ``.csv``, or it is a folder.
    """
    if path is not None and (path.suffix.lower() != ".csv" or path.is_dir()):
        raise UserError(f"The table cannot be written to '{path}'.", "Give the name of a file that ends in .csv.")


def write_images(path: Path, scores: Mapping[str, ImageScore], groups: Mapping[str, str]) -> None:
    """Write one row for each image with all its scores.

    Parameters
    ----------
    path : Path
        Replaced if it exists. A class that an image does not have leaves its cells empty; ``inf`` is a distance to
        nothing.
    scores : mapping of str to ImageScore
        By name of the image.
    groups : mapping of str to str
        Name to group; empty leaves the column out.

    Raises
    ------
    UserError
        When the file cannot be written.
    """
    rows = []
    for name, score in scores.items():
        group = {"group": groups[name]} if groups else {}
        rows.append({"image": name, **group, **_of_objects(score), **_of_voxels(score)})
    _write(path, list(dict.fromkeys(column for row in rows for column in row)), rows)


def write_objects(
    path: Path, scores: Mapping[str, ImageScore], voxel_sizes: Mapping[str, tuple[float, ...] | None]
) -> None:
    """Write one row for each true and each predicted object.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    scores : mapping of str to ImageScore
        By name of the image, with objects.
    voxel_sizes : mapping of str to tuple of float, µm, or None
        By name; the size is in µm² or µm³, empty where the voxel size is not known.

    Raises
    ------
    UserError
        When the file cannot be written.
    """
    rows: list[Row] = []
    for name, score in scores.items():
        size = voxel_sizes[name]
        for k, objects in score.objects.items():
            for one in objects:
                um = None if size is None else one.n_voxels * math.prod(size)
                shared = (one.partner or None, one.iou, "yes" if one.matched else "no", one.n_parts)
                values = (name, one.side, one.label, k or None, one.n_voxels, um, *shared)
                rows.append(dict(zip(OBJECT_COLUMNS, values, strict=True)))
    _write(path, OBJECT_COLUMNS, rows)


def _of_objects(score: ImageScore) -> Row:
    counts, areas = score.counts, score.regions
    if counts is None or areas is None:
        return {}
    ap = zip(counts.thresholds, average_precision(counts), strict=True)
    return {
        "n_true": areas.n_true,
        "n_predicted": areas.n_pred,
        "over_segmented": areas.n_over,
        "under_segmented": areas.n_under,
        **{f"ap_{threshold:.2f}": value for threshold, value in ap},
        "mean_ap": mean_average_precision(counts),
        "f1": f1(counts)[0],
        "pq": panoptic_quality(counts)[0],
        "precision": precision(counts)[0],
        "recall": recall(counts)[0],
        "aji": aggregated_jaccard(areas),
        "seg": seg(areas),
    }


def _of_voxels(score: ImageScore) -> Row:
    row: Row = {"pixel_accuracy": score.pixel_accuracy}
    for k, agreement in sorted(score.classes.items()):
        row |= {f"{name}_{k}": getattr(agreement, own) for name, own in MASK_SCORES.items()}
        if score.surfaces is not None and k in score.surfaces:
            found = asdict(score.surfaces[k])
            found["surface_dice"] = found.pop("dice")
            row |= {f"{name}_{k}": value for name, value in found.items() if value is not None}
    return row


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.getvalue().encode())
    except OSError as error:
        raise UserError(f"'{path}' cannot be written: {error.strerror or error}.", "Choose another file.") from error
