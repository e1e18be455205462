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
    """

    net: nn.Module
    mean: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    generator: Generator
    best: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    best_score: float = -1.0
    since_best: int = 0
    skipped: int = 0


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
    data = safetensors.torch.save(copies, {"numbers": json.dumps(numbers)})
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / CHECKPOINT_FILE, data)
    return folder / CHECKPOINT_FILE


_NUMBERS = ("step", "seconds", "best_score", "since_best", "skipped")


def load_checkpoint(state: TrainState, folder: Path) -> bool:
    """Go on from a checkpoint.

    Returns
    -------
    bool
        False when there is none; `state` is then as it was.

    Raises
    ------
    ReadError
        When there is one that cannot be read or is that of another network.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return False
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            numbers = json.loads((file.metadata() or {})["numbers"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        state.net.load_state_dict(_part(tensors, "net."))
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise ReadError(f"The checkpoint {path} cannot be used: {error}.", "Remove it to start anew.") from error
    state.mean, state.best = _part(tensors, "mean."), _part(tensors, "best.")
    state.generator.set_state(tensors["generator"])
    packed = state.optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = value
    state.optimizer.load_state_dict({**packed, "state": moments})
    for name in _NUMBERS:
        setattr(state, name, type(getattr(state, name))(numbers[name]))
    return True


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
