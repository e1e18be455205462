"""What a training tells while it runs, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from napari_unet.core.store.models import Model

Stop = Callable[[], bool]
Rate = Callable[[Model], float]


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
