"""How a training goes: chosen by rules from the data, every rule in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.augment import IntensityRecipe, SpatialRecipe
from napari_unet.core.base.options import Budget, TrainOptions
from napari_unet.core.base.tiles import round_up
from napari_unet.core.pipeline.engine import valid_size
from napari_unet.core.pipeline.optimise import RATES

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig
    from napari_unet.core.pipeline.prepare import Prepared

FEW_CELLS = 60
"""Below so many cells a short training is enough, and a longer one forgets more than it learns."""

Augment = str | tuple[SpatialRecipe, IntensityRecipe]


@dataclass(frozen=True)
class Recipe:
    """The settings of one training.

    Parameters
    ----------
    patch : tuple of int, voxels
        Size of a patch per axis.
    batch : int
        Patches in a step.
    steps : int or None
    seconds : float or None
        Whichever ends first; one of them is given.
    learning_rate : float
        At its highest.
    optimizer, schedule : str
        Keys of ``OPTIMISERS`` and ``SCHEDULES``.
    accumulate : int
        Batches whose mean gradient is one step.
    trainable : {"all", "head"}
        `head` is the affine part of the norms and the last convolution.
    freeze_norm : bool
        Keep the running statistics (fine-tuning): with few patches, learning them has destroyed models.
    warmup, decay_from : float
        Share of the training until the full learning rate, and from where it falls to 0; as far as the schedule asks.
    weight_decay : float
        As AdamW means it.
    clip : float
        The longest gradient; longer ones are shortened.
    ema : float
        Decay of the running mean of the weights, which is what is kept.
    rehearsal : float
        Share of the patches that show what the model knew before.
    keep : float, 0..1
        Share of the weights it started from in every model that the training gives, see ``run.Run``.
    check_every : int
        Steps between two validations.
    patience : int
        Validations without progress before an early stop.
    """

    patch: tuple[int, ...]
    batch: int
    steps: int | None
    seconds: float | None
    learning_rate: float
    optimizer: str = "adamw"
    schedule: str = "linear"
    accumulate: int = 1
    trainable: str = "all"
    freeze_norm: bool = False
    warmup: float = 0.05
    decay_from: float = 0.6
    weight_decay: float = 1e-2
    clip: float = 5.0
    ema: float = 0.999
    augment: Augment = "microscopy"
    loss: str = "auto"
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"
    rehearsal: float = 0.0
    keep: float = 0.0
    check_every: int = 100
    patience: int = 8


@dataclass(frozen=True)
class Stage:
    """How long a model learns, and how carefully.

    Parameters
    ----------
    trainable : str
        See ``learner.choose_parameters``.
    steps : int
    learning_rate : float
        Of AdamW.
    ema : float
        Decay of the running mean of the weights.
    rehearsal : float
        Share of the patches that show what the model knew before, see ``rehearsal.rehearse``.
    keep : float
        Share of the old weights in the new model.
    """

    trainable: str
    steps: int
    learning_rate: float
    ema: float
    rehearsal: float
    keep: float


STAGES = {
    "instant": Stage("all", 12, 5e-4, 0.8, 0.0, 0.0),
    "head": Stage("head", 100, 3e-3, 0.98, 0.0, 0.0),
    "quick": Stage("all", 140, 1e-3, 0.98, 0.25, 0.1),
    "full": Stage("all", 300, 7e-4, 0.99, 0.25, 0.0),
}
"""How a model learns from corrections; see `choose_stage`.

A tenth of the old weights in the new ones costs little on the new kind of images after so few steps, and saves some of
what is lost on the old kind; after 300 steps it costs more than it saves (docs/training.md).
"""


def choose_stage(options: TrainOptions, n_cells: int, *, is_blind: bool, can_rehearse: bool = True) -> str:
    """Choose the stage.

    Parameters
    ----------
    options : TrainOptions
        What the user fixed.
    n_cells : int
        Annotated objects.
    is_blind : bool
        The model finds next to nothing of what is annotated.
    can_rehearse : bool
        Images can be generated for this model.

    Notes
    -----
    All layers learn: with rehearsal that is as safe as norms and head alone, and adapts better to other kinds of images
    (benchmark `few_cells`). Without rehearsal all layers have destroyed models from few cells; then only norms and head
    learn below `FEW_CELLS`. A model that is blind for these images learns longer, however few the cells.
    """
    if options.trainable == "head":
        return "head"
    is_few = n_cells < FEW_CELLS and not is_blind
    if is_few and options.trainable == "auto" and not can_rehearse:
        return "head"
    return "quick" if is_few else "full"


def fine_tune_recipe(options: TrainOptions, config: NetConfig, augment: Augment, stage: str) -> Recipe:
    """Choose how a model learns from corrections.

    Parameters
    ----------
    options : TrainOptions
        What the user fixed; the rest is chosen.
    config : NetConfig
        The network's configuration.
    augment : str or recipes
        Kind of image, where the user has not chosen it.
    stage : str
        A key of `STAGES`.
    """
    chosen = STAGES[stage]
    budget = Budget.parse(options.budget)
    edge = options.patch or (128 if config.dims == 2 else 64)
    automatic = budget.steps is None and budget.seconds is None
    return Recipe(
        patch=_patch(config, (edge,) * config.dims),
        batch=options.batch or (4 if config.dims == 2 else 2),
        steps=chosen.steps if automatic else budget.steps,
        seconds=budget.seconds,
        learning_rate=_rate(options, chosen.learning_rate),
        optimizer=options.optimizer,
        schedule=options.schedule,
        accumulate=options.accumulate,
        trainable=chosen.trainable,
        freeze_norm=True,
        warmup=0.1,
        weight_decay=1e-4,
        ema=chosen.ema,
        augment=augment if options.augment == "auto" else options.augment,
        loss=options.loss,
        seed=options.seed,
        precision=options.precision,
        device=options.device,
        rehearsal=chosen.rehearsal,
        keep=chosen.keep,
        check_every=25,
        patience=5,
    )


def scratch_recipe(options: TrainOptions, config: NetConfig, samples: Sequence[Prepared], augment: Augment) -> Recipe:
    """Choose how a new model learns: patches as large as a typical image, up to 256 px in 2D and 64 in 3D."""
    budget = Budget.parse(options.budget)
    largest = options.patch or (256 if config.dims == 2 else 64)
    typical = np.median([sample.image.shape[1:] for sample in samples], axis=0)
    batch = options.batch or (8 if config.dims == 2 else 2)
    # A single patch needs more than one voxel at the coarsest level: the batch norm takes their deviation.
    least = [2 * m if batch == 1 else m for m in config.multiple()]
    return Recipe(
        patch=_patch(config, [max(min(largest, int(n)), one) for n, one in zip(typical, least, strict=True)]),
        batch=batch,
        steps=2000 if budget.steps is None and budget.seconds is None else budget.steps,
        seconds=budget.seconds,
        learning_rate=_rate(options, 2e-3),
        optimizer=options.optimizer,
        schedule=options.schedule,
        accumulate=options.accumulate,
        augment=augment if options.augment == "auto" else options.augment,
        loss=options.loss,
        seed=options.seed,
        precision=options.precision,
        device=options.device,
        ema=0.995,
    )


def _rate(options: TrainOptions, adamw: float) -> float:
    """Give the learning rate: the user's, or the automatic one, which is known for AdamW."""
    return options.learning_rate or adamw * RATES.get(options.optimizer, 1.0)


def _patch(config: NetConfig, edges: Sequence[int]) -> tuple[int, ...]:
    """Round the edges of a patch to what the network takes; unpadded ones need all of their margin."""
    multiple = config.multiple()
    if config.padding == "same":
        return tuple(round_up(edge, m) for edge, m in zip(edges, multiple, strict=True))
    margins = [read - out for read, out in (valid_size(config, axis, 1) for axis in range(config.dims))]
    wanted = [max(2 * m, edge - margin) for m, edge, margin in zip(multiple, edges, margins, strict=True)]
    return tuple(valid_size(config, axis, length)[0] for axis, length in enumerate(wanted))
