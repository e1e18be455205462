"""Train with several processes, on several GPUs or machines, as if they were one.

Every process draws the same batches and computes its share of each. The outputs are gathered, so that every process
rates the whole batch (a Dice loss is no sum over patches), and the gradients, each of which comes through the process's
own outputs only, add up to that of one process. torchrun starts the processes.

References
----------
S. Li et al.: PyTorch Distributed: Experiences on Accelerating Data Parallel Training. VLDB 2020,
doi:10.14778/3415478.3415530.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from napari_unet.core.base.device import choose_device
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.world import World

T = TypeVar("T")

PATIENCE = timedelta(hours=6)
"""How long the others wait for the first process, which validates and tunes alone."""


def world() -> World:
    """Give the processes that train together; one where they have not been joined."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


@contextmanager
def joined(around: World, device: str = "auto", init_method: str = "env://") -> Iterator[None]:
    """Join the processes for as long as the context lasts; nothing where there is one only.

    Parameters
    ----------
    around : World
        What torchrun has set.
    device : str
        What the user asked for; on CUDA each process takes the GPU of its number on the machine.
    init_method : str
        Where the processes meet, as torch spells it.

    Raises
    ------
    UserError
        When a machine has fewer GPUs than processes, or this torch cannot do it.
    """
    if around.size == 1:
        yield
        return
    if not dist.is_available():
        raise UserError("This torch cannot train with several processes.", "Start the command without torchrun.")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backend, init_method, PATIENCE, around.size, around.rank)
    try:
        first = from_first(lambda: choose_device(device).name)
        together(lambda: _take_device(device, first, around.local_rank))
        yield
    finally:
        dist.destroy_process_group()


def _take_device(wanted: str, first: str, local_rank: int) -> None:
    """Take the GPU of this process's number, where the first process has taken one."""
    name = choose_device(wanted).name
    if name != first:
        raise UserError(f"One machine would train on {first}, another one on {name}.", "Choose --device cpu for all.")
    if name == "cuda" and local_rank >= torch.cuda.device_count():
        raise UserError(
            f"There are more processes than the {torch.cuda.device_count()} GPUs of a machine.",
            "Choose a smaller --nproc-per-node.",
        )
    if name == "cuda":
        torch.cuda.set_device(local_rank)


def from_first(give: Callable[[], T]) -> T:
    """Run a function in the first process only and give its result to all.

    Raises
    ------
    UserError
        In all processes, where the function raised one.
    """
    if world().size == 1:
        return give()
    found = [_attempt(give) if world().is_first else None]
    dist.broadcast_object_list(found)
    return _result_of(found[0])


def together(give: Callable[[], T]) -> T:
    """Run a function in every process; where it fails in one, all of them hear of it.

    Raises
    ------
    UserError
        In all processes, that of the first one in which the function raised one.
    """
    if world().size == 1:
        return give()
    mine = _attempt(give)
    failures: list[UserError | None] = [None] * world().size
    dist.all_gather_object(failures, mine if isinstance(mine, UserError) else None)
    return _result_of(next((one for one in failures if one is not None), mine))


def _attempt(give: Callable[[], T]) -> T | UserError:
    try:
        return give()
    except UserError as error:
        return error


def _result_of(found: T | UserError | None) -> T:
    if isinstance(found, UserError):
        raise found
    return found  # type: ignore[return-value]  # None only where T is


def share_of(n: int) -> slice:
    """Give the part of a batch of n patches, a multiple of the number of processes, that this process computes."""
    around = world()
    each = n // around.size
    return slice(around.rank * each, (around.rank + 1) * each)


def gather(mine: Tensor) -> Tensor:
    """Put the outputs of all processes together, in their order.

    Parameters
    ----------
    mine : (n, K, [Z,] Y, X) Tensor
        This process's output, of the same shape in all.

    Returns
    -------
    (n * size, K, [Z,] Y, X) Tensor
        Its gradient goes through this process's part only.
    """
    around = world()
    if around.size == 1:
        return mine
    sent = _sendable(mine.detach().contiguous())
    parts = [torch.empty_like(sent) for _ in range(around.size)]
    dist.all_gather(parts, sent)
    whole = [part.to(mine.device) for part in parts]
    whole[around.rank] = mine
    return torch.cat(whole)


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add the gradients of all processes up, in place: those of the whole batch."""
    _combine([p.grad for p in parameters if p.grad is not None], 1.0)


def average_buffers(network: nn.Module) -> None:
    """Average what the norms have counted, each process in its own patches, in place."""
    around = world()
    _combine([b for b in network.buffers() if b.is_floating_point()], 1.0 / around.size)


def _combine(tensors: list[Tensor], factor: float) -> None:
    if world().size == 1 or not tensors:
        return
    flat = _sendable(torch.cat([one.detach().reshape(-1) for one in tensors]))
    dist.all_reduce(flat)
    for one, part in zip(tensors, torch.split(flat, [one.numel() for one in tensors]), strict=True):
        one.copy_(part.view(one.shape) * factor)


def _sendable(tensor: Tensor) -> Tensor:
    """Bring a tensor to where the processes can exchange it: gloo takes those of the CPU, NCCL those of CUDA."""
    return tensor if tensor.is_cuda and "nccl" in dist.get_backend_config() else tensor.cpu()
