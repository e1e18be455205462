"""The bundled model on the images of `dsb2018/val`, which it has not learned from, through the command line."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.command import command, part_of
from benchmarks.record import Figure, Result, Settings

TARGETS = {("fluorescence", "0.50"): 0.85, ("fluorescence", "0.75"): 0.63, ("all types", "0.50"): 0.72}
"""Average precision by type of image and IoU."""

THRESHOLDS = ("0.50", "0.75")
QUICK_IMAGES = 6


def run(settings: Settings) -> Result:
    """Segment, evaluate, and take the scores by type of image."""
    data = settings.folder("dsb2018")
    model = settings.model_folder()
    with tempfile.TemporaryDirectory() as name:
        part = part_of(data / "val", Path(name, "val"), QUICK_IMAGES if settings.quick else None)
        out = Path(name, "labels")
        command("segment", part / "images", "--model", model, "--out", out)
        found = command(
            "evaluate", out, part / "labels", "--target", "instances", "--groups", f"{data / 'index.csv'}:type"
        )
    scores = {**found["groups"], "all types": found}
    figures = [
        Figure(f"AP at IoU {iou}, {kind}", one["ap"][iou], "", TARGETS.get((kind, iou)), "higher")
        for kind, one in scores.items()
        for iou in THRESHOLDS
    ]
    return Result(tuple(figures), {"evaluate": found, "model": model.name})
