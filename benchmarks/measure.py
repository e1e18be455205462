"""Take times and memory so that another program on the machine changes them as little as possible."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, ParamSpec, TypeVar

import psutil  # type: ignore[import-untyped]  # published without types

P = ParamSpec("P")
T = TypeVar("T")

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait for each other sleep; else waiting counts as CPU time, the more the busier the machine is."""


@dataclass(frozen=True)
class Cost:
    """What a piece of work took.

    Parameters
    ----------
    cpu : float, s
        CPU time of all threads of the process.
    wall : float, s
        Time on the clock; depends on what else the machine does.
    """

    cpu: float
    wall: float


@dataclass(frozen=True)
class Measured(Generic[T]):
    """What a function gave in a process of its own, what it took, and the most memory the process had, in bytes."""

    result: T
    cost: Cost
    peak: int


def cost_of(work: Callable[[], object]) -> Cost:
    """Run a function once and take its cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def interleaved(variants: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Measure variants A B A B ..., so that what changes on the machine meanwhile touches all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in variants}
    for number in range(rounds):
        for name, work in variants.items():
            costs[name].append(work())
            say(f"round {number + 1} of {rounds}, {name}: {costs[name][-1].cpu:.2f} CPU s")
    return costs


def median_cpu(costs: Sequence[Cost]) -> float:
    """Give the median CPU seconds."""
    return median(cost.cpu for cost in costs)


def cpu_ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> float:
    """Give the median of the ratios of CPU seconds, round by round."""
    return median(one.cpu / other.cpu for one, other in zip(costs, base, strict=True))


def in_child(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Measured[T]:
    """Run a function in a fresh process, so that nothing is imported, cached or allocated yet.

    Parameters
    ----------
    function : callable
        At the top of a module; what it gets and gives back is copied.
    *args, **kwargs
        Its arguments.

    Raises
    ------
    Exception
        What the function raised, or that its process died.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, args, kwargs).result()


def _measured(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Measured[T]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*args, **kwargs)
    cost = Cost(time.process_time() - cpu, time.perf_counter() - wall)
    return Measured(result, cost, peak_memory())


def peak_memory() -> int:
    """Give the most memory that this process has had so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def say(text: str) -> None:
    """Tell on the screen how far it is."""
    print(f"    {text}", file=sys.stderr, flush=True)
