"""The moving parts of one training: budget, learning rate, running mean, rescue and validation.

References
----------
B. Polyak, A. Juditsky: Acceleration of Stochastic Approximation by Averaging (the running mean of the weights). SIAM J.
Control Optim. 1992, doi:10.1137/0330046.
M. Wortsman et al.: Robust fine-tuning of zero-shot models (old and new weights mixed). CVPR 2022, arXiv:2109.01903.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.base.device import choose_device, choose_dtype
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.tiles import round_up
from napari_unet.core.pipeline.checkpoint import TrainState
from napari_unet.core.pipeline.criterion import criterion
from napari_unet.core.pipeline.distributed import average_buffers, from_first, world
from napari_unet.core.pipeline.history import Rate, Row, TrainResult
from napari_unet.core.pipeline.learner import Learner, choose_parameters, freeze_norms
from napari_unet.core.pipeline.optimise import get_schedule, make_optimizer
from napari_unet.core.pipeline.sampler import Sampler
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.pipeline.prepare import Prepared
    from napari_unet.core.pipeline.recipe import Recipe

MOST_SKIPPED = 5
"""Steps in a row whose loss is not a number, before the training goes back to its last good weights."""

MOST_RESCUES = 3
"""Times it goes back, with half the learning rate, before it gives up."""

FREEZE_NORM_FROM = 0.8
"""Share of a training from scratch after which batch statistics are frozen: training then sees what inference sees."""

FIRST_SCALE = 2.0**10
"""Of the loss in float16; it is halved where a gradient is infinite, so `MOST_SKIPPED` times reach down to 32."""


class Run:
    """One training; each `step` brings it on.

    What it gives as a model is the running mean of the weights, mixed with ``recipe.keep`` of those it started from:
    that brings back much of what was forgotten, and takes hardly any of what was learned.
    """

    def __init__(
        self, model: Model, samples: Sequence[Prepared], recipe: Recipe, rate: Rate | None, watch: Rate | None
    ) -> None:
        self.model, self.recipe, self.rate, self.watch = model, recipe, rate, watch
        self.schedule = get_schedule(recipe.schedule)
        config, target = model.net_config, model.target
        device = torch.device(choose_device(recipe.device).name)
        dtype = choose_dtype(recipe.precision, device.type)
        layout = torch.channels_last if config.dims == 2 else torch.channels_last_3d
        network = model.build().to(device).to(memory_format=layout)  # type: ignore[call-overload]  # missing in the stubs
        network.train(True)
        chosen = choose_parameters(network, recipe.trainable)
        self.device = device
        self.sampler = self._sampler(samples)
        optimizer = make_optimizer(recipe.optimizer, chosen, recipe.learning_rate, recipe.weight_decay)
        scaler = torch.amp.GradScaler(device.type, init_scale=FIRST_SCALE, enabled=dtype == torch.float16)
        loss = criterion(target.terms(config.dims, len(model.spec.classes)), recipe.loss)
        self.learner = Learner(
            network,
            chosen,
            optimizer,
            loss,
            scaler,
            dtype,
            recipe.clip,
            recipe.accumulate,
            config.deep_supervision,
        )
        self.state = TrainState(network, _snapshot(network), optimizer, self.sampler.generator, {}, scaler=scaler)
        self.started = time.monotonic()
        self.history: list[Row] = []
        self.fraction = 0.0
        self.stopped = False

    def _sampler(self, samples: Sequence[Prepared]) -> Sampler:
        return Sampler(
            samples,
            self.recipe.patch,
            round_up(self.recipe.batch, world().size),
            augment=self.recipe.augment,
            vectors=self.model.target.vectors,
            seed=self.recipe.seed,
            voxel_size=self.model.spec.voxel_size,
            device=self.device,
        )

    def learn_from(self, samples: Sequence[Prepared]) -> None:
        """Draw from other samples from the next step on; moments, running mean and dice stay as they are."""
        self.sampler = self._sampler(samples)
        self.sampler.generator = self.state.generator

    def learnt(self) -> Model:
        """Give a copy of the running mean as it is now."""
        return self._as_model(self.state.mean)

    def elapsed(self) -> float:
        """Give the seconds of training, those before a resume included."""
        return self.state.seconds + time.monotonic() - self.started

    def keep_time(self) -> None:
        """Write the time so far into the state, before it is saved."""
        self.state.seconds, self.started = self.elapsed(), time.monotonic()

    def look(self, asked_to_stop: bool = False) -> None:
        """See how much of the budget is used; several processes go by the first one's clock and user."""
        self.fraction, self.stopped = from_first(lambda: (self._used(), asked_to_stop))

    def _used(self) -> float:
        steps = self.state.step / self.recipe.steps if self.recipe.steps else 0.0
        seconds = self.elapsed() / self.recipe.seconds if self.recipe.seconds else 0.0
        return min(1.0, max(steps, seconds))

    def is_finished(self) -> bool:
        """Tell whether the budget is used, the user has stopped it, or nothing gets better."""
        is_stuck = self.rate is not None and self.state.since_best >= self.recipe.patience
        return self.stopped or self.fraction >= 1.0 or is_stuck

    def step(self) -> Row:
        """Learn from one batch, or as many as are accumulated, and validate when it is due."""
        state, network = self.state, self.learner.network
        if self.recipe.freeze_norm or self.fraction >= FREEZE_NORM_FROM:
            freeze_norms(network)
        for group in state.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        loss = self.learner.learn(self.sampler.draw, exact=state.rescues > 0)
        state.step += 1
        if loss is None:
            self._forget_batch()
        else:
            state.bad = 0
            state.smooth = loss if isnan(state.smooth) else 0.9 * state.smooth + 0.1 * loss
            average_buffers(network)
            self._follow()
        row = Row(state.step, state.smooth, self._check(), self.elapsed())
        self.history.append(row)
        return row

    def _learning_rate(self) -> float:
        recipe, state = self.recipe, self.state
        factor = self.schedule(self.fraction, recipe.warmup, recipe.decay_from)
        if recipe.schedule == "plateau":
            factor *= state.plateau.factor
        return recipe.learning_rate * state.rate_factor * factor

    def _follow(self) -> None:
        """Let the running mean follow: closely early on, so that the random start is forgotten."""
        decay = min(self.recipe.ema, (1 + self.state.step) / (10 + self.state.step))
        with torch.no_grad():
            for name, value in self.learner.network.state_dict().items():
                _blend(self.state.mean[name], value, decay)

    def _forget_batch(self) -> None:
        """Skip a batch that gave no number; the norms may have counted it already."""
        for name, value in self.learner.network.named_buffers():
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
        self.learner.network.load_state_dict(self.state.mean)
        self.state.optimizer.state.clear()
        self.state.rate_factor *= 0.5
        self.state.bad = 0

    def _check(self) -> float | None:
        """Validate, and see whether anything gets better, when it is due."""
        state = self.state
        if state.step % self.recipe.check_every:
            return None
        rate = self.rate or self.watch
        score = None if rate is None else from_first(lambda: rate(self._as_model(state.mean)))
        # What is only watched decides nothing.
        state.plateau = state.plateau.seen(state.smooth, score if self.rate else None)
        if self.rate is not None and score is not None:
            state.since_best += 1
            if score > state.best_score:
                state.best_score, state.since_best = score, 0
                state.best = copy.deepcopy(state.mean)
        return score

    def _as_model(self, weights: dict[str, Tensor]) -> Model:
        found = {name: value.detach().cpu().clone() for name, value in weights.items()}
        if self.recipe.keep:
            for name, value in found.items():
                _blend(value, self.model.weights[name], 1 - self.recipe.keep)
        return Model(self.model.spec, found)

    def result(self) -> TrainResult:
        """Give the best state, or the running mean where nothing was validated."""
        validated = bool(self.state.best)
        model = self._as_model(self.state.best if validated else self.state.mean)
        best = self.state.best_score if validated else None
        return TrainResult(model, tuple(self.history), self.stopped, best, self.state.step, self.elapsed())


def _snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _blend(mean: Tensor, value: Tensor, decay: float) -> None:
    if mean.is_floating_point():
        mean.lerp_(value.to(mean.dtype), 1 - decay)
    else:
        mean.copy_(value)
