"""Measure speed, memory and accuracy: `python -m benchmarks [NAME...]`; docs/benchmarks.md says what each one does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.record import Result, Settings

BENCHMARKS = {
    "network": "The engine against the plain network",
    "limits": "The engines against what the processor can do",
    "tiling": "A large image in tiles against the image at once",
    "peers": "Tiles against those of MONAI and nnU-Net",
    "whole": "From an image to labels, against Cellpose and StarDist",
    "decode": "From maps to objects, at once and in blocks, against scikit-image",
    "big": "Images larger than the memory, from the disk to the disk",
    "startup": "Importing the plugin, opening the dock",
    "crash": "Kills in the middle of editing, and what the autosave gives back",
    "correct": "Repairing real predictions, against napari's own tools",
    "tools": "How long each correction tool holds the window up",
    "latency": "The window while a model is fine-tuned",
    "live": "The window while a model learns from each correction",
    "loop": "Fine-tuning on one corrected region",
    "gate": "Wrong corrections on purpose, and whether a worse model takes the place of a better one",
    "few_cells": "Fine-tuning on 1 to 100 cells of a new kind, against the recipes of others",
    "nuclei": "The bundled model on images it has not seen",
    "hippocampus": "A 3D model trained from scratch",
    "sparse": "Some annotated slices of a stack, against all of them",
    "pretraining": "Pre-training on images without labels, with five annotated images",
    "architectures": "Every network and every loss with the same budget",
}
"""Name of each benchmark, which is its module with a function ``run``, and what it is about in words."""


def run_benchmark(name: str, settings: Settings) -> Result:
    """Run one benchmark in this process."""
    return import_module(f"{__name__}.{name}").run(settings)  # type: ignore[no-any-return]  # found by its name
