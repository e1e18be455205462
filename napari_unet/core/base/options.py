"""The choices a user has, written once: the dock makes forms of them and the command line makes options of them.

A field that is None is chosen automatically. The metadata of a field holds what a person reads about it (`label`,
`help`, `unit`), what bounds it (`min`, `max`, `step`, `choices`) and whether the dock folds it away (`advanced`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any

from napari_unet.core.base.catalogue import AUGMENTS, ENGINES, LOSSES, NETS, OPTIMISERS, SCHEDULES
from napari_unet.core.base.errors import UserError

PRESET_NAMES = ("fast", "accurate", "classic-2015", "unet3d-2016")
"""The keys of ``core.nets.PRESETS``."""


def _choice(default: Any, label: str, help: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"label": label, "help": help, **metadata})


@dataclass(frozen=True)
class SegmentOptions:
    """Choose how an image is segmented."""

    object_size: float | None = _choice(
        None,
        "Object size",
        "Median diameter of the objects; measured by a first pass when left automatic.",
        unit="px",
        min=2.0,
        max=2000.0,
        step=1.0,
    )
    threshold: float | None = _choice(
        None,
        "Foreground threshold",
        "Probability above which a voxel belongs to an object; lower finds more.",
        min=0.05,
        max=0.95,
        step=0.05,
    )
    split_threshold: float | None = _choice(
        None,
        "Split threshold",
        "Touching objects are cut apart where the neck between them is deeper than this: lower splits more.",
        min=0.01,
        max=0.9,
        step=0.02,
    )
    min_size: int | None = _choice(
        None, "Minimum size", "Objects with fewer voxels are removed.", unit="voxels", min=0, max=1_000_000, step=1
    )
    channel: int | None = _choice(
        None, "Channel", "The channel to segment, counted from 0.", min=0, max=999, step=1, advanced=True
    )
    rescale: str = _choice(
        "auto",
        "Rescale",
        "Bring the objects to the size that the model knows, or keep the image as it is.",
        choices=("auto", "off"),
        advanced=True,
    )
    halo: str = _choice(
        "exact",
        "Tile context",
        "exact: tiles give the same result as the whole image; fast: half of the context, faster.",
        choices=("exact", "fast"),
        advanced=True,
    )
    tile: int | None = _choice(
        None,
        "Tile size",
        "Edge of a tile; from the memory when left automatic.",
        unit="px",
        min=32,
        max=8192,
        step=16,
        advanced=True,
    )
    precision: str = _choice(
        "auto",
        "Precision",
        "bf16 is two times faster where the processor has it; fp16 is for GPUs; fp32 is exact.",
        choices=("auto", "fp32", "bf16", "fp16"),
        advanced=True,
    )
    engine: str = _choice(
        "torch",
        "Engine",
        "What runs the network; openvino is faster in 3D on a CPU and has to be installed.",
        choices=tuple(ENGINES),
        advanced=True,
    )
    device: str = _choice(
        "auto", "Device", "Where the network runs.", choices=("auto", "cpu", "cuda", "mps"), advanced=True
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class LargeOptions:
    """Choose who segments an image that is larger than the memory."""

    workers: int | None = _choice(
        None, "Workers", "Processes on this machine that share the work; automatic is one.", min=1, max=64, step=1
    )
    scheduler: str = _choice(
        "", "Dask scheduler", "Address of a Dask cluster, such as tcp://node1:8786; its workers see the same files."
    )
    fresh: bool = _choice(
        False, "Start afresh", "Begin anew, although labels of the same model and options are there or were begun."
    )
    keep_maps: bool = _choice(
        True,
        "Keep for thresholds",
        "Keep the network's output, so that other thresholds do not run it again; at most 4 bytes a voxel on the disk.",
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.scheduler and self.workers is not None:
            raise UserError("Workers and a Dask scheduler were given.", "A cluster brings its own workers.")
        if self.scheduler and "://" not in self.scheduler:
            raise UserError(f"Dask scheduler is '{self.scheduler}'.", "Write its address, such as tcp://node1:8786.")


@dataclass(frozen=True)
class TrainOptions:
    """Choose how a model is trained or fine-tuned."""

    budget: str = _choice(
        "auto", "Budget", "How long to train: auto, a time such as 60s or 5min, or a number such as 500steps."
    )
    trainable: str = _choice(
        "auto",
        "Layers that learn",
        "head: norms and the last layer only; all: the whole network, which rehearses what it knew.",
        choices=("auto", "head", "all"),
        advanced=True,
    )
    learning_rate: float | None = _choice(
        None, "Learning rate", "Size of a step.", min=1e-6, max=0.1, step=1e-4, advanced=True
    )
    batch: int | None = _choice(None, "Batch", "Patches in a step.", min=1, max=256, step=1, advanced=True)
    patch: int | None = _choice(
        None, "Patch", "Edge of a training patch.", unit="px", min=16, max=1024, step=16, advanced=True
    )
    loss: str = _choice(
        "auto",
        "Loss",
        "Loss of the classes, or of foreground against background.",
        choices=("auto", *LOSSES),
        advanced=True,
    )
    weighting: str = _choice(
        "none",
        "Weights",
        "border: more weight between touching objects (U-Net, 2015); classes: more weight for rare classes.",
        choices=("none", "border", "classes"),
        advanced=True,
    )
    augment: str = _choice(
        "auto", "Augmentation", "Kind of image, for its random changes.", choices=("auto", *AUGMENTS), advanced=True
    )
    optimizer: str = _choice(
        "adamw", "Optimizer", "How the weights follow the gradient.", choices=tuple(OPTIMISERS), advanced=True
    )
    schedule: str = _choice(
        "linear",
        "Schedule",
        "How the learning rate falls during the training.",
        choices=tuple(SCHEDULES),
        advanced=True,
    )
    accumulate: int = _choice(
        1,
        "Accumulate",
        "Batches whose gradients are added up for one step: a large batch in little memory.",
        unit="batches",
        min=1,
        max=64,
        step=1,
        advanced=True,
    )
    seed: int = _choice(0, "Seed", "The same seed gives the same model.", min=0, max=2**31 - 1, step=1, advanced=True)
    precision: str = _choice(
        "auto",
        "Precision",
        "bf16 is faster where the processor has it.",
        choices=("auto", "fp32", "bf16"),
        advanced=True,
    )
    device: str = _choice(
        "auto", "Device", "Where the network trains.", choices=("auto", "cpu", "cuda", "mps"), advanced=True
    )
    net: str = _choice(
        "fast",
        "Network",
        "Network trained from scratch: fast and accurate are U-Nets of 16 and 32 base channels; plan derives one from "
        "the images and the memory.",
        choices=(*PRESET_NAMES, "plan", *NETS),
        advanced=True,
    )
    norm: str = _choice(
        "auto",
        "Normalisation",
        "Of a network trained from scratch; with instance and group, tiles are blended instead of exact.",
        choices=("auto", "batch", "batch-renorm", "instance", "group", "none"),
        advanced=True,
    )
    deep_supervision: str = _choice(
        "off",
        "Deep supervision",
        "Teach the coarser levels of a network trained from scratch as well.",
        choices=("off", "on"),
        advanced=True,
    )
    target: str = _choice(
        "instances",
        "Target",
        "instances: single cells or nuclei; semantic: classes such as tissues.",
        choices=("instances", "semantic"),
        advanced=True,
    )
    dims: int | None = _choice(
        None, "Dimensions", "2 or 3; from the data when left automatic.", min=2, max=3, step=1, advanced=True
    )

    def __post_init__(self) -> None:
        check_options(self)
        Budget.parse(self.budget)


@dataclass(frozen=True)
class Budget:
    """Say when a training ends: after so many seconds, or so many steps; both None is automatic."""

    seconds: float | None = None
    steps: int | None = None

    @staticmethod
    def parse(text: str) -> Budget:
        """Read ``auto``, ``60s``, ``5min``, ``2h`` or ``500steps``.

        Raises
        ------
        UserError
            When the text is none of these.
        """
        if text.strip() == "auto":
            return Budget()
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|steps?)\s*", text)
        if found is None or float(found[1]) <= 0:
            raise UserError(f"The budget '{text}' cannot be read.", "Write auto, 60s, 5min, 2h or 500steps.")
        number, unit = float(found[1]), found[2]
        if unit.startswith("step"):
            return Budget(steps=max(1, int(number)))
        return Budget(seconds=number * {"s": 1, "min": 60, "h": 3600}[unit])


def check_options(options: Any) -> None:
    """Refuse a value outside of its field's choices or bounds.

    Raises
    ------
    UserError
        Names the option, its value and what is allowed.
    """
    for one in fields(options):
        value, meta = getattr(options, one.name), one.metadata
        if value is None:
            continue
        choices = meta.get("choices")
        if choices is not None and value not in choices:
            raise UserError(f"{meta['label']} is '{value}'.", f"Choose one of: {', '.join(map(str, choices))}.")
        if "min" in meta and not meta["min"] <= value <= meta["max"]:
            raise UserError(f"{meta['label']} is {value}.", f"Choose a value from {meta['min']} to {meta['max']}.")
