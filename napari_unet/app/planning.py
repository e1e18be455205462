"""A plan for dock and command line: the network that suits the data, with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_unet.app.teaching import Snapshot, to_samples
from napari_unet.core.base.options import Budget, TrainOptions
from napari_unet.core.base.progress import Progress, Report

if TYPE_CHECKING:
    from napari_unet.app.job import Stop
    from napari_unet.core.store.training_set import Sample

PLANNED = "plan"
"""The network's name in the options that asks for a plan."""


@dataclass(frozen=True, eq=False)
class PlanRequest:
    """Ask for a plan.

    Parameters
    ----------
    snapshots : tuple of Snapshot
        What the dock's layers teach.
    samples : tuple of Sample
        What was read from disk.
    options : TrainOptions
        What the user fixed.
    """

    snapshots: tuple[Snapshot, ...] = ()
    samples: tuple[Sample, ...] = ()
    options: TrainOptions = field(default_factory=TrainOptions)


@dataclass(frozen=True)
class PlanReport:
    """Say what was planned, in plain values.

    Parameters
    ----------
    net : str
        Name of the network.
    config : dict
        Its configuration.
    patch : tuple of int, voxels
        Size of a training patch.
    batch : int
        Patches in a step.
    voxel_size : tuple of float, µm, or None
        That images are brought to.
    memory : int, bytes
        Estimate of what the training takes.
    seconds : float
        Estimate of a step, measured here.
    words : tuple of str
        A line for each decision.
    """

    net: str
    config: dict[str, Any]
    patch: tuple[int, ...]
    batch: int
    voxel_size: tuple[float, ...] | None
    memory: int
    seconds: float
    words: tuple[str, ...]


def plan(request: PlanRequest, report: Report, stop: Stop) -> PlanReport:
    """Plan what a training would use; a job function, for it looks at all images.

    Raises
    ------
    UserError
        When there is nothing to learn from, or the images do not fit each other.
    """
    samples = list(request.samples)
    for index, snapshot in enumerate(request.snapshots):
        report(Progress(index, len(request.snapshots), f"looking at '{snapshot.name}'"))
        samples += to_samples(snapshot)
    report(Progress(0.5, 1, "planning"))
    return plan_for(samples, request.options)


def plan_for(samples: Sequence[Sample], options: TrainOptions) -> PlanReport:
    """Plan a training on samples.

    Raises
    ------
    UserError
        When there are none, they do not fit each other, or the memory is too small.
    """
    from napari_unet.core.base.device import choose_device
    from napari_unet.core.pipeline.cost import step_seconds
    from napari_unet.core.pipeline.plan import make_plan

    made = make_plan(samples, replace(options, net=PLANNED))
    device = choose_device(options.device).name
    seconds = step_seconds(made.net, made.config, made.patch, made.batch, device)
    words = (*made.words, _time(seconds, options))
    return PlanReport(
        made.net, made.config.to_dict(), made.patch, made.batch, made.voxel_size, made.memory, seconds, words
    )


def _time(seconds: float, options: TrainOptions) -> str:
    text = f"Time: a step takes about {seconds:.2g} s here"
    budget = Budget.parse(options.budget)
    if budget.steps:
        return f"{text}, {budget.steps} of them {budget.steps * seconds / 60:.0f} min."
    span = budget.seconds or 600.0
    return f"{text}, so there are about {span / seconds:.0f} in {span / 60:.0f} min."
