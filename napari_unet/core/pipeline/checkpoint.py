"""Checkpoints of a training, from which it goes on to the same result; tensors and plain numbers only, no pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Generator, Tensor, nn

from napari_unet.core.base.errors import ReadError
from napari_unet.core.base.files import write_atomic
from napari_unet.core.pipeline.distributed import from_first, world
from napari_unet.core.pipeline.optimise import Plateau

CHECKPOINT_FILE = "checkpoint.safetensors"


@dataclass
class TrainState:
    """All that changes while a training runs.

    Parameters
    ----------
    net : Module
        The network that learns.
    mean : dict of str to Tensor
        The running mean of its state.
    optimizer : Optimizer
        Its moments.
    generator : Generator
        Of the sampler's draws.
    best : dict of str to Tensor
        The best state so far, empty without validation.
    origin : str
        What is trained on what; a checkpoint of another training is not gone on with.
    step, seconds : int, float
        Taken so far.
    best_score, since_best : float, int
        Of the validation: the best, and how often it was not reached since.
    skipped, bad, rescues, rate_factor : int, int, int, float
        Steps without a finite loss, in all and in a row; returns to the running mean, and their smaller learning rate.
    smooth : float
        The loss, smoothed over the last steps; NaN before the first.
    plateau : Plateau
        What the schedule of that name remembers.
    scaler : GradScaler
        The scale of the loss in float16.
    """

    net: nn.Module
    mean: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    generator: Generator
    best: dict[str, Tensor]
    origin: str = ""
    step: int = 0
    seconds: float = 0.0
    best_score: float = -1.0
    since_best: int = 0
    skipped: int = 0
    bad: int = 0
    rescues: int = 0
    rate_factor: float = 1.0
    smooth: float = nan
    plateau: Plateau = field(default_factory=Plateau)
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler(enabled=False))


_NUMBERS = ("step", "seconds", "best_score", "since_best", "skipped", "bad", "rescues", "rate_factor", "smooth")


def save_checkpoint(state: TrainState, folder: Path) -> Path:
    """Write the state of a training atomically; of several processes the first one does.

    Returns
    -------
    Path
        The file in `folder`, which is made if needed.
    """
    path = folder / CHECKPOINT_FILE
    if world().is_first:
        copies = {name: value.detach().cpu().contiguous().clone() for name, value in _tensors(state).items()}
        numbers: dict[str, Any] = {name: getattr(state, name) for name in _NUMBERS}
        numbers |= {"plateau": asdict(state.plateau), "scaler": state.scaler.state_dict()}
        data = safetensors.torch.save(copies, {"numbers": json.dumps(numbers), "origin": state.origin})
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    return path


def _tensors(state: TrainState) -> dict[str, Tensor]:
    tensors = {f"net.{k}": v for k, v in state.net.state_dict().items()}
    tensors |= {f"mean.{k}": v for k, v in state.mean.items()} | {f"best.{k}": v for k, v in state.best.items()}
    for index, parts in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in parts.items() if v is not None}
    tensors |= {"generator": state.generator.get_state(), "dropout": torch.get_rng_state()}
    if _is_on_gpu(state):
        tensors["dropout.cuda"] = torch.cuda.get_rng_state()
    return tensors


def _is_on_gpu(state: TrainState) -> bool:
    return next(state.net.parameters()).is_cuda


def load_checkpoint(state: TrainState, folder: Path) -> bool:
    """Go on from a checkpoint; several processes all go on from the first one's.

    Returns
    -------
    bool
        False when there is none, or that of another training; `state` is then as it was.

    Raises
    ------
    ReadError
        When there is one that cannot be read.
    """
    path = folder / CHECKPOINT_FILE
    with _explained(path):
        found = from_first(lambda: _read(path, state.origin))
        if found is not None:
            _restore(state, *found)
    return found is not None


def load_mean(folder: Path) -> dict[str, Tensor] | None:
    """Give the running mean of the weights of whatever training was saved in a folder; None where there is none.

    Raises
    ------
    ReadError
        When it cannot be read.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    with _explained(path), safetensors.safe_open(str(path), framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("mean.")]  # noqa: SIM118 - not a dict
        return {name.removeprefix("mean."): file.get_tensor(name) for name in names}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say of whatever goes wrong with a checkpoint what to do."""
    try:
        yield
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise ReadError(f"The checkpoint {path} cannot be used: {error}.", "Remove it to start anew.") from error


def _read(path: Path, origin: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    if not path.is_file():
        return None
    with _explained(path), safetensors.safe_open(str(path), framework="pt") as file:
        facts = file.metadata() or {}
        if facts.get("origin", origin) != origin:
            return None
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(facts["numbers"])  # noqa: SIM118 - not a dict


def _restore(state: TrainState, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    state.net.load_state_dict(_part(tensors, "net."))
    like = state.net.state_dict()
    state.mean = {name: _placed(value, like[name]) for name, value in _part(tensors, "mean.").items()}
    state.best = {name: _placed(value, like[name]) for name, value in _part(tensors, "best.").items()}
    state.generator.set_state(tensors["generator"])
    torch.set_rng_state(tensors["dropout"])
    if _is_on_gpu(state) and "dropout.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["dropout.cuda"])
    parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = _placed(value, parameters[int(index)]) if value.ndim else value
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
    for name in _NUMBERS:
        before = getattr(state, name)
        setattr(state, name, type(before)(numbers.get(name, before)))
    state.plateau = Plateau(**numbers["plateau"])
    if state.scaler.is_enabled() and numbers["scaler"]:
        state.scaler.load_state_dict(numbers["scaler"])


def _placed(value: Tensor, like: Tensor) -> Tensor:
    """Put a tensor on the device and into the memory layout that it had: fused optimizers read memory in order."""
    return torch.empty_like(like).copy_(value)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
