"""What a user can ask for, and what comes back: frozen, so that a job in a thread sees what was asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.options import SegmentOptions, TrainOptions

if TYPE_CHECKING:
    from napari_unet.app.annotations import Box
    from napari_unet.app.teaching import Snapshot
    from napari_unet.core.base.image import Image
    from napari_unet.core.pipeline.compare import Judged
    from napari_unet.core.pipeline.segment import Prediction
    from napari_unet.core.pipeline.train import Row
    from napari_unet.core.store.training_set import Sample


@dataclass(frozen=True, eq=False)
class SegmentRequest:
    """Ask for the labels of an image.

    Parameters
    ----------
    image : Image
        Must not change while the job runs.
    model : Path
        Folder of the model.
    options : SegmentOptions
        What the user fixed.
    box : Box or None
        One slice for each spatial axis; None is the whole image.
    time : int or None
        One time point; None is all.
    first : Box or None
        What is looked at, one slice for each spatial axis: it is computed first.
    asks : bool
        Somebody answers questions (`app.asking`) and looks at tiles as they are done (`app.glimpses`); if not, the job
        goes on by itself and says so in the notes.
    """

    image: Image
    model: Path
    options: SegmentOptions = field(default_factory=SegmentOptions)
    box: Box | None = None
    time: int | None = None
    first: Box | None = None
    asks: bool = False

    @property
    def label_box(self) -> Box | None:
        """Give the box with one slice for each axis of the labels; None where it is the whole image."""
        return label_box(self.image, self.box, self.time)


def label_box(image: Image, box: Box | None, time: int | None) -> Box | None:
    """Give a spatial box and a time point as one slice for each axis of the labels; None for the whole image."""
    if box is None and (time is None or "T" not in image.axes):
        return None
    space = box or tuple(slice(0, n) for n in image.spatial_shape)
    if "T" not in image.axes:
        return space
    times = slice(0, image.n_times) if time is None else slice(time, time + 1)
    return (times, *space)


@dataclass(frozen=True, eq=False)
class KeptOutput:
    """Keep a network's output and where it belongs, so that other thresholds need no network.

    Parameters
    ----------
    output : Prediction
        What the pipeline decodes.
    box : Box or None
        One slice for each axis of the labels; None is the whole image.
    has_time : bool
        The labels have a time axis.
    confidence : (N + 1,) float32, 0 to 1
        Of each object, by its number in the labels of the result; empty for classes.
    n_bytes : int
        Memory of the output.
    made_by : mapping of str to JSON
        The model's name, the SHA-256 of its weights and the options, for the record.
    """

    output: Prediction = field(repr=False)
    box: Box | None = None
    has_time: bool = False
    confidence: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    n_bytes: int = 0
    made_by: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """Labels, and all that is needed to show them and to decode them again.

    Parameters
    ----------
    labels : int32 array
        Of the image's labels' shape, or of the box's.
    prediction : KeptOutput
        The network's output.
    box : Box or None
        One slice for each axis of the labels; None is the whole image.
    model : str
        The model's name.
    classes : tuple of str
        Names of the classes 1..K; empty for objects.
    object_size : float or None
        Median diameter in px.
    notes : tuple of str
        What the user should know.
    """

    labels: NDArray[np.int32]
    prediction: KeptOutput
    box: Box | None = None
    model: str = ""
    classes: tuple[str, ...] = ()
    object_size: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_semantic(self) -> bool:
        """Tell whether the labels are classes, not objects."""
        return bool(self.classes)


@dataclass(frozen=True, eq=False)
class RedecodeRequest:
    """Ask for labels with other thresholds from a kept output."""

    prediction: KeptOutput
    model: Path
    options: SegmentOptions


@dataclass(frozen=True, eq=False)
class FineTuneRequest:
    """Ask for a better model.

    Parameters
    ----------
    model : Path
        Where it starts.
    snapshots : tuple of Snapshot
        What the dock's layers teach.
    samples : tuple of Sample
        What was read from disk.
    options : TrainOptions
        What the user fixed.
    out_folder : Path or None
        Where the new model is saved; None is the library, under the next free name.
    keep_worse : bool
        Save the new model even where it scored lower than the old one.
    resume : Path or None
        The training set of a fine-tuning that was interrupted (`app.unfinished`); it holds all that is learnt from.
    """

    model: Path
    snapshots: tuple[Snapshot, ...] = ()
    samples: tuple[Sample, ...] = ()
    options: TrainOptions = field(default_factory=TrainOptions)
    out_folder: Path | None = None
    keep_worse: bool = False
    resume: Path | None = None


@dataclass(frozen=True, eq=False)
class TrainRequest:
    """Ask for a new model, trained from scratch.

    Parameters
    ----------
    snapshots, samples, options
        As in `FineTuneRequest`.
    title : str
        What the user calls it.
    out_folder : Path or None
        Where it is saved; None is the library, under a name made of the title.
    checkpoint : Path or None
        Folder of checkpoints; a training that finds one there goes on from it.
    start : Path or None
        Folder of a model whose weights the training starts from, such as a pre-trained one; None starts from random
        weights.
    resume : Path or None
        The training set of a training that was interrupted (`app.unfinished`); it holds all that is learnt from.
    """

    snapshots: tuple[Snapshot, ...] = ()
    samples: tuple[Sample, ...] = ()
    options: TrainOptions = field(default_factory=TrainOptions)
    title: str = ""
    out_folder: Path | None = None
    checkpoint: Path | None = None
    start: Path | None = None
    resume: Path | None = None


@dataclass(frozen=True, eq=False)
class PretrainRequest:
    """Ask for a network that has learnt what images look like, from images alone.

    Parameters
    ----------
    images : tuple of Image
        Without labels; of one kind. Must not change while the job runs.
    options : TrainOptions
        What the user fixed; what concerns labels is not used.
    title : str
        What the user calls it.
    out_folder : Path or None
        Where it is saved; None is the library, under a name made of the title.
    checkpoint : Path or None
        Folder of checkpoints; a pre-training that finds one there goes on from it.
    """

    images: tuple[Image, ...]
    options: TrainOptions = field(default_factory=TrainOptions)
    title: str = ""
    out_folder: Path | None = None
    checkpoint: Path | None = None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What both models made of a sample that neither had learnt from.

    Parameters
    ----------
    part : Judged
        Labels by both, and the cells gained and lost.
    key : str
        The open labels that the sample is made of; empty where it came from files.
    time : int or None
        The time point of them; None where they have no time.
    """

    part: Judged = field(repr=False)
    key: str = ""
    time: int | None = None


@dataclass(frozen=True)
class Training:
    """Say how a training ended.

    Parameters
    ----------
    name : str
        Of the new model.
    folder : Path or None
        Where it was saved; None where it was not.
    parent : str
        The model that was fine-tuned, which the new one is compared with; empty for a new one.
    accepted : bool
        Nothing speaks against it; above all it scored no worse than its parent on what it had not learnt from.
    before, after : float
        Both scores, 0 to 1; NaN where nothing could be held out.
    n_held_out : int
        Objects held out.
    held_out : str
        In words.
    history : tuple of Row
        Loss and score by step.
    stopped : bool
        The user ended it early.
    interval : pair of float
        Both ends of the 95 % interval of `after` minus `before`; NaN where there is too little to tell.
    n_units : int
        What was drawn from for the interval.
    unit : str
        The name of that, in the plural.
    parts : tuple of HeldOut
        What both models made of what was held out.
    notes : tuple of str
        What the user should know.
    reason : str
        Why it was not accepted, as a sentence without its end.
    """

    name: str
    folder: Path | None
    parent: str
    accepted: bool
    before: float
    after: float
    n_held_out: int = 0
    held_out: str = ""
    history: tuple[Row, ...] = field(default=(), repr=False)
    stopped: bool = False
    interval: tuple[float, float] = (math.nan, math.nan)
    n_units: int = 0
    unit: str = "cells"
    parts: tuple[HeldOut, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    reason: str = ""
