"""Optimisers, and how their learning rate changes during a training: one function each, one line in the catalogue.

A schedule is a function of the share of the budget that is used, so that budgets in seconds work like those in steps.

References
----------
D. Kingma, J. Ba: Adam: A Method for Stochastic Optimization. ICLR 2015, arXiv:1412.6980.
I. Loshchilov, F. Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts (the cosine). ICLR 2017,
arXiv:1608.03983.
I. Loshchilov, F. Hutter: Decoupled Weight Decay Regularization (AdamW). ICLR 2019, arXiv:1711.05101.
L. Smith, N. Topin: Super-Convergence (the one cycle). SPIE 2019, doi:10.1117/12.2520589.
I. Sutskever, J. Martens, G. Dahl, G. Hinton: On the importance of initialization and momentum in deep learning
(Nesterov's momentum). ICML 2013.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import cos, inf, pi

import torch
from torch import nn

from napari_unet.core.base.catalogue import OPTIMISERS, SCHEDULES, look_up

LOWEST = 0.02
"""Share of the learning rate that a warm-up starts with."""

MOMENTUM = 0.9

RISE = 0.3
"""Share of the training in which one cycle rises; the rest falls."""

CYCLE_START, CYCLE_END = 0.04, 1e-4
"""Shares of the highest learning rate at both ends of one cycle."""

RATES = {"sgd": 20.0}
"""The automatic learning rate of an optimiser as a multiple of AdamW's, which divides each gradient by its size."""

DECAYS = {"adam": 1e-3, "sgd": 5e-3}
"""The weight decay as a multiple of AdamW's: where it is a part of the gradient, the same number pulls far harder."""

BETTER = 0.01
"""Relative progress of a loss, or absolute progress of a score, that counts on a plateau."""

PLATEAU_CHECKS = 3
"""Checks in a row without progress after which the learning rate is halved."""

Parameters = Iterable[nn.Parameter]
Schedule = Callable[[float, float, float], float]


def make_optimizer(
    name: str, parameters: Parameters, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Make an optimiser by name.

    Parameters
    ----------
    name : str
        A key of ``OPTIMISERS``.
    parameters : iterable of Parameter
        What learns; all on one device.
    learning_rate : float
        At its highest.
    weight_decay : float
        As AdamW means it; scaled for the others by `DECAYS`.

    Raises
    ------
    UserError
        When there is no optimiser of that name.
    """
    make = look_up(OPTIMISERS, name, "optimizer")
    made: torch.optim.Optimizer = make(list(parameters), learning_rate, weight_decay * DECAYS.get(name, 1.0))
    return made


def get_schedule(name: str) -> Schedule:
    """Give a schedule by name: ``(fraction, warmup, decay_from) -> factor of the learning rate``.

    Raises
    ------
    UserError
        When there is none of that name.
    """
    schedule: Schedule = look_up(SCHEDULES, name, "schedule")
    return schedule


def adamw(parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Make AdamW, whose weight decay is apart from the gradient."""
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=_can_fuse(parameters))


def adam(parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Make Adam."""
    return torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=_can_fuse(parameters))


def sgd(parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Make stochastic gradient descent with Nesterov's momentum."""
    return torch.optim.SGD(
        parameters, learning_rate, MOMENTUM, weight_decay=weight_decay, nesterov=True, fused=_can_fuse(parameters)
    )


def _can_fuse(parameters: list[nn.Parameter]) -> bool:
    return all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)


def linear(fraction: float, warmup: float, decay_from: float) -> float:
    """Warm up linearly, stay, fall linearly to 0."""
    if fraction < decay_from:
        return _warm(fraction, warmup)
    return max(0.0, (1 - fraction) / (1 - decay_from))


def cosine(fraction: float, warmup: float, decay_from: float) -> float:
    """Warm up linearly, then fall to 0 along half a cosine; `decay_from` is of no account."""
    if fraction < warmup:
        return _warm(fraction, warmup)
    return _glide(1.0, 0.0, (fraction - warmup) / (1 - warmup))


def one_cycle(fraction: float, warmup: float, decay_from: float) -> float:
    """Rise and fall along cosines within fixed shares of the training; both parameters are of no account."""
    if fraction < RISE:
        return _glide(CYCLE_START, 1.0, fraction / RISE)
    return _glide(1.0, CYCLE_END, (fraction - RISE) / (1 - RISE))


def plateau(fraction: float, warmup: float, decay_from: float) -> float:
    """Warm up linearly, then stay: a `Plateau` halves it where nothing gets better."""
    return _warm(fraction, warmup)


def _warm(fraction: float, warmup: float) -> float:
    return max(LOWEST, fraction / warmup) if fraction < warmup else 1.0


def _glide(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + cos(pi * min(1.0, share))) / 2


@dataclass(frozen=True)
class Plateau:
    """What the plateau schedule remembers.

    Parameters
    ----------
    factor : float
        Of the learning rate.
    best : float
        The lowest value so far.
    since_best : int
        Checks since then.
    """

    factor: float = 1.0
    best: float = inf
    since_best: int = 0

    def seen(self, loss: float, score: float | None) -> Plateau:
        """Give what is remembered after one more check.

        Parameters
        ----------
        loss : float
            Of the training, smoothed; counts where there is no score.
        score : float or None
            On the validation samples, 0 to 1.
        """
        value = loss if score is None else -score
        margin = BETTER * abs(self.best) if score is None and self.best < inf else BETTER
        if value < self.best - margin:
            return Plateau(self.factor, value, 0)
        if self.since_best + 1 >= PLATEAU_CHECKS:
            return Plateau(self.factor / 2, self.best, 0)
        return Plateau(self.factor, self.best, self.since_best + 1)
