"""Train a network on patches; it can be stopped at every step and always leaves a usable model.

References
----------
I. Loshchilov, F. Hutter: Decoupled Weight Decay Regularization (AdamW). ICLR 2019. Running mean of the weights:
B. Polyak, A. Juditsky, SIAM J. Control Optim. 1992, doi:10.1137/0330046.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.base.device import choose_device, choose_dtype
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.pipeline.checkpoint import TrainState, load_checkpoint, save_checkpoint
from napari_unet.core.pipeline.criterion import criterion
from napari_unet.core.pipeline.sampler import Batch, Sampler
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.pipeline.prepare import Prepared
    from napari_unet.core.pipeline.recipe import Recipe

MOST_SKIPPED = 5
"""Steps in a row whose loss is not a number, before the training goes back to its last good weights."""

MOST_RESCUES = 3
"""Times it goes back, with half the learning rate, before it gives up."""

CHECKPOINT_SECONDS = 30.0
FREEZE_NORM_FROM = 0.8
"""Share of a training from scratch after which batch statistics are frozen: training then sees what inference sees."""

Rate = Callable[[Model], float]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Row:
    """One point of the training's history.

    Parameters
    ----------
    step : int
    loss : float
        Smoothed over the last steps.
    score : float or None
        On the validation samples, where they were rated at this step.
    seconds : float
        Since the start.
    """

    step: int
    loss: float
    score: float | None
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """What a training leaves.

    Parameters
    ----------
    model : Model
        The best (with validation) or the last running mean of the weights.
    history : tuple of Row
    stopped : bool
        The user stopped it.
    score : float or None
        The best on the validation samples.
    steps : int
        Taken in all, those before a resume included.
    seconds : float
        The same in time.
    """

    model: Model
    history: tuple[Row, ...] = field(repr=False)
    stopped: bool
    score: float | None
    steps: int
    seconds: float


def never() -> bool:
    """Never ask a training to stop."""
    return False


def train(
    model: Model,
    samples: Sequence[Prepared],
    recipe: Recipe,
    *,
    rate: Rate | None = None,
    watch: Rate | None = None,
    report: Report = silent,
    stop: Stop = never,
    checkpoint: Path | None = None,
) -> TrainResult:
    """Train a model.

    Parameters
    ----------
    model : Model
        Where it starts; not changed.
    samples : sequence of Prepared
        What it learns from.
    recipe : Recipe
        How it learns.
    rate : function of a Model, or None
        Scores a model on what it does not learn from, higher is better; with it, training stops early and the best
        is kept.
    watch : function of a Model, or None
        Scores a model for the plot only: nothing is chosen by it, so that it can judge the result later.
    report : Report
        Called after every step with a `Row`; may raise `Cancelled`.
    stop : function
        Asked after every step; True ends the training, the result is kept.
    checkpoint : Path or None
        Folder of the checkpoints; a training that finds one there goes on from it.

    Returns
    -------
    TrainResult

    Raises
    ------
    UserError
        When nothing is annotated, or the loss stays not a number.
    """
    run = _Run(model, samples, recipe, rate)
    run.watch = watch
    if checkpoint is not None:
        run.state.origin = _origin(model, samples, recipe)
        load_checkpoint(run.state, checkpoint)
    run.freeze_if_needed()
    stopped, saved = False, time.monotonic()
    try:
        while not run.finished() and not stopped:
            row = run.step()
            report(Progress(run.fraction(), 1.0, f"training, step {row.step}", row))
            stopped = stop()
            if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                run.save(checkpoint)
                saved = time.monotonic()
    finally:
        # Also when cancelled or failed: what was learned so far can be gone on with.
        if checkpoint is not None and run.state.step:
            run.save(checkpoint)
    return run.result(stopped)


class _Run:
    """The moving parts of one training."""

    def __init__(self, model: Model, samples: Sequence[Prepared], recipe: Recipe, rate: Rate | None) -> None:
        self.model, self.recipe, self.rate = model, recipe, rate
        self.watch: Rate | None = None
        config, target = model.net_config, model.target
        self.device = torch.device(choose_device(recipe.device).name)
        self.dtype = choose_dtype(recipe.precision, self.device.type)
        layout = torch.channels_last if config.dims == 2 else torch.channels_last_3d
        self.network = model.build().to(self.device).to(memory_format=layout)  # type: ignore[call-overload]  # missing in the stubs
        self.network.train(True)
        chosen = _choose_parameters(self.network, recipe.trainable)
        optimizer = torch.optim.AdamW(
            chosen, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=self.device.type in ("cpu", "cuda")
        )
        self.sampler = Sampler(
            samples, recipe.patch, recipe.batch, augment=recipe.augment, vectors=target.vectors, seed=recipe.seed
        )
        self.loss = criterion(target.terms(config.dims, len(model.spec.classes)), recipe.loss)
        self.state = TrainState(self.network, _snapshot(self.network), optimizer, self.sampler.generator, {})
        self.parameters = chosen
        self.started = time.monotonic()
        self.history: list[Row] = []
        self.smooth: float | None = None

    def elapsed(self) -> float:
        """Give the seconds of training, those before a resume included."""
        return self.state.seconds + time.monotonic() - self.started

    def save(self, folder: Path) -> None:
        """Write a checkpoint with the time so far."""
        self.state.seconds, self.started = self.elapsed(), time.monotonic()
        save_checkpoint(self.state, folder)

    def fraction(self) -> float:
        """Give the share of the budget that is used."""
        steps = self.state.step / self.recipe.steps if self.recipe.steps else 0.0
        seconds = self.elapsed() / self.recipe.seconds if self.recipe.seconds else 0.0
        return min(1.0, max(steps, seconds))

    def finished(self) -> bool:
        """Say whether the budget is used or nothing gets better."""
        return self.fraction() >= 1.0 or (self.rate is not None and self.state.since_best >= self.recipe.patience)

    def freeze_if_needed(self) -> None:
        """Put the norms to their running statistics where the recipe, or the end of the training, asks for it."""
        if self.recipe.freeze_norm or self.fraction() >= FREEZE_NORM_FROM:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def step(self) -> Row:
        """Learn from one batch, and validate when it is due."""
        state, recipe = self.state, self.recipe
        self.freeze_if_needed()
        for group in state.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * state.rate_factor * _schedule(self.fraction(), recipe)
        loss = self._learn(self.sampler.draw())
        state.step += 1
        # Early on the mean follows closely, so that the random start is forgotten.
        decay = min(recipe.ema, (1 + state.step) / (10 + state.step))
        if loss is None:
            self._forget_batch()
        else:
            self.smooth = loss if self.smooth is None else 0.9 * self.smooth + 0.1 * loss
            with torch.no_grad():
                for name, value in self.network.state_dict().items():
                    _blend(state.mean[name], value, decay)
        row = Row(state.step, float("nan") if self.smooth is None else self.smooth, self._validate(), self.elapsed())
        self.history.append(row)
        return row

    def _learn(self, batch: Batch) -> float | None:
        """Take one step; None when the loss or the gradient was not a number."""
        self.state.optimizer.zero_grad(set_to_none=True)
        layout = torch.channels_last if batch.image.ndim == 4 else torch.channels_last_3d
        image = batch.image.to(self.device).to(memory_format=layout)
        batch = replace(batch, target=batch.target.to(self.device), weight=batch.weight.to(self.device))
        half = self.dtype != torch.float32 and not self.state.rescues
        with torch.autocast(self.device.type, self.dtype) if half else nullcontext():
            logits = self.network(image)
        loss = self.loss(logits.float(), batch)
        if bool(torch.isfinite(loss)):
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip)
            if bool(torch.isfinite(norm)):
                self.state.optimizer.step()
                self.state.bad = 0
                return float(loss.detach())
        return None

    def _forget_batch(self) -> None:
        """Skip a batch that gave no number; the norms may have counted it already."""
        for name, value in self.network.named_buffers():
            value.copy_(self.state.mean[name])
        self.state.bad += 1
        self.state.skipped += 1
        if self.state.bad >= MOST_SKIPPED:
            self._rescue()

    def _rescue(self) -> None:
        """Go back to the running mean, which has only seen finite steps, with smaller steps in fp32."""
        self.state.rescues += 1
        if self.state.rescues > MOST_RESCUES:
            raise UserError(
                "The training does not converge: its loss is not a number.",
                "Check the image for extreme values, or choose a smaller learning rate. The model is unchanged.",
            )
        self.network.load_state_dict(self.state.mean)
        self.state.optimizer.state.clear()
        self.state.rate_factor *= 0.5
        self.state.bad = 0

    def _validate(self) -> float | None:
        state = self.state
        rate = self.rate or self.watch
        if rate is None or state.step % self.recipe.check_every:
            return None
        score = rate(self._as_model(state.mean))
        if self.rate is None:
            return score
        state.since_best += 1
        if score > state.best_score:
            state.best_score, state.since_best = score, 0
            state.best = copy.deepcopy(state.mean)
        return score

    def _as_model(self, weights: dict[str, Tensor]) -> Model:
        return Model(self.model.spec, {name: value.detach().cpu().clone() for name, value in weights.items()})

    def result(self, stopped: bool) -> TrainResult:
        """Give the best state, or the running mean where nothing was validated."""
        validated = bool(self.state.best)
        model = self._as_model(self.state.best if validated else self.state.mean)
        best = self.state.best_score if validated else None
        return TrainResult(model, tuple(self.history), stopped, best, self.state.step, self.elapsed())


def _origin(model: Model, samples: Sequence[Prepared], recipe: Recipe) -> str:
    """Give a digest of what is trained on what, whatever the budget: it may grow when a training goes on."""
    digest = hashlib.sha256(repr(replace(recipe, steps=None, seconds=None)).encode())
    tensors = [*model.weights.values(), *(part for sample in samples for part in (sample.image, sample.target))]
    for tensor in tensors:
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _schedule(fraction: float, recipe: Recipe) -> float:
    """Warm up linearly, stay, fall linearly to 0."""
    if fraction < recipe.warmup:
        return max(0.02, fraction / recipe.warmup)
    if fraction < recipe.decay_from:
        return 1.0
    return max(0.0, (1 - fraction) / (1 - recipe.decay_from))


def _choose_parameters(network: nn.Module, trainable: str) -> list[nn.Parameter]:
    """Freeze what does not learn and give what does."""
    if trainable == "head":
        network.requires_grad_(False)
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.instancenorm._InstanceNorm):
                module.requires_grad_(True)
        for name, parameter in network.named_parameters():
            if name.startswith("head"):
                parameter.requires_grad_(True)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _blend(mean: Tensor, value: Tensor, decay: float) -> None:
    if mean.is_floating_point():
        mean.lerp_(value.to(mean.dtype), 1 - decay)
    else:
        mean.copy_(value)
