"""Say who made labels: which model with which settings, what a person changed and accepted; for exported files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import napari_unet
from napari_unet.app.annotations import changes, states

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.app.annotations import Labels
    from napari_unet.app.job import Stop
    from napari_unet.app.result import Result
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.progress import Report


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """Export labels.

    Parameters
    ----------
    path : Path
        Its suffix says the format.
    labels : integer array
        A copy, or what nobody changes.
    result : Result
        What is known of them.
    """

    path: Path
    labels: Labels
    result: Result


def export_labels(request: ExportRequest, report: Report, stop: Stop) -> Path:
    """Write labels with their origin; a job function.

    Raises
    ------
    UserError
        When the format cannot be written, or the disk refuses.
    """
    from napari_unet.core.io import write_labels  # slow to load, and the dock opens without it

    told = origin_of(request.result, request.labels)
    return write_labels(request.path, request.labels, request.result.image, told)


def origin_of(result: Result, labels: Labels) -> dict[str, Any]:
    """Say who made labels.

    Parameters
    ----------
    result : Result
        What is known of them.
    labels : integer array
        As they are shown.

    Returns
    -------
    dict
        In JSON's types. ``objects`` says of each object its state, the model's confidence, and how many of its voxels
        differ from the prediction; ``erased_voxels`` counts predicted ones that carry no label now.
    """
    c = result.corrections
    found = changes(c, labels)
    kept = {"edited_voxels": int(np.count_nonzero(labels != c.predicted)), "erased_voxels": int(found.erased.sum())}
    told = predicted_by(result.image, result.made_by) | kept
    if c.semantic:
        return told
    numbers, counts = np.unique(labels[(labels != c.predicted) & (labels > 0)], return_counts=True)
    changed = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    objects: dict[str, Any] = {}
    for one, state in states(c, labels).items():
        sure = {"confidence": round(result.confidence[one], 4)} if one in result.confidence else {}
        edits = {"edited_voxels": changed[one]} if one in changed else {}
        objects[str(one)] = {"state": state, **sure, **edits}
    done = [[[part.start, part.stop] for part in box] for box in c.done]
    return {**told, "finished_regions": done, "objects": objects}


def predicted_by(image: Image, made_by: Mapping[str, Any]) -> dict[str, Any]:
    """Say of labels that nobody corrected which model made them, from which image.

    Parameters
    ----------
    image : Image
        That was segmented; of its path only the file's name is told.
    made_by : mapping of str to JSON
        As in `Result`; empty for labels that were drawn by hand.
    """
    written = datetime.now(UTC).isoformat(timespec="seconds")
    source = Path(image.source).name if image.source else image.name
    return {"program": f"napari-unet {napari_unet.__version__}", "written": written, "image": source, **made_by}
