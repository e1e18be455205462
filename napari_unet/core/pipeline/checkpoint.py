"""Checkpoints of a training, from which it goes on to the same result; tensors and plain numbers only, no pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Generator, Tensor, nn

from napari_unet.core.base.errors import ReadError
from napari_unet.core.base.files import write_atomic

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


def save_checkpoint(state: TrainState, folder: Path) -> Path:
    """Write the state of a training atomically.

    Returns
    -------
    Path
        The file in `folder`, which is made if needed.
    """
    tensors = {f"net.{k}": v for k, v in state.net.state_dict().items()}
    tensors |= {f"mean.{k}": v for k, v in state.mean.items()} | {f"best.{k}": v for k, v in state.best.items()}
    for index, parts in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in parts.items()}
    tensors["generator"] = state.generator.get_state()
    numbers = {name: getattr(state, name) for name in _NUMBERS}
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    data = safetensors.torch.save(copies, {"numbers": json.dumps(numbers), "origin": state.origin})
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / CHECKPOINT_FILE, data)
    return folder / CHECKPOINT_FILE


_NUMBERS = ("step", "seconds", "best_score", "since_best", "skipped", "bad", "rescues", "rate_factor")


def load_checkpoint(state: TrainState, folder: Path) -> bool:
    """Go on from a checkpoint.

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
    if not path.is_file():
        return False
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            facts = file.metadata() or {}
            if facts.get("origin", state.origin) != state.origin:
                return False
            numbers = json.loads(facts["numbers"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        _restore(state, tensors, numbers)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise ReadError(f"The checkpoint {path} cannot be used: {error}.", "Remove it to start anew.") from error
    return True


def _restore(state: TrainState, tensors: dict[str, Tensor], numbers: dict[str, float]) -> None:
    state.net.load_state_dict(_part(tensors, "net."))
    like = state.net.state_dict()
    state.mean = {name: _placed(value, like[name]) for name, value in _part(tensors, "mean.").items()}
    state.best = {name: _placed(value, like[name]) for name, value in _part(tensors, "best.").items()}
    state.generator.set_state(tensors["generator"])
    parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = _placed(value, parameters[int(index)]) if value.ndim else value
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
    for name in _NUMBERS:
        before = getattr(state, name)
        setattr(state, name, type(before)(numbers.get(name, before)))


def _placed(value: Tensor, like: Tensor) -> Tensor:
    """Put a tensor on the device and into the memory layout that it had: fused optimizers read memory in order."""
    return torch.empty_like(like).copy_(value)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
