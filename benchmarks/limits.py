"""How near the engines come to what the processor can do, and that memory does not grow from run to run.

The limit is the fastest of some convolutions, measured in turn with the networks. Operations are those of the network
as it is written. The engines compute fewer, since they do not convolve what was enlarged voxel by voxel; how many
stands beside it. Memory is used again as in ``run_tiled``. Weights are random: time does not depend on them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median

import numpy as np
import psutil  # type: ignore[import-untyped]  # published without types
import torch

from benchmarks.measure import Cost, cost_of, in_child, interleaved, say
from benchmarks.network import count_flop
from benchmarks.record import Figure, Result, Settings
from napari_unet.core.base.catalogue import ENGINES, look_up
from napari_unet.core.base.device import bf16_pays
from napari_unet.core.base.memory import reused_memory
from napari_unet.core.nets import build, preset
from napari_unet.core.pipeline.bench import fastest_convolution
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.fused import join_in_convolutions
from napari_unet.core.pipeline.tiled import run_tiled

CASES: dict[str, tuple[str, int, tuple[int, ...], float]] = {
    "2D, base 32": ("accurate", 2, (512, 512), 0.88),
    "2D, base 16": ("fast", 2, (512, 512), 0.65),
    "3D, base 16": ("fast", 3, (64, 128, 128), 0.70),
}
"""Preset, dimensions, shape, and the share of the limit that torch reaches in bf16."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
RUNS, QUICK_RUNS = 200, 40
WARM = 20
"""Runs before the memory is looked at: allocators and thread pools settle first."""

GROWTH = 16.0
"""MiB; less than a tenth of a MiB for each run cannot be told from what the allocator does."""


def run(settings: Settings) -> Result:
    """Measure the share of the limit, then memory over many runs."""
    rounds = 2 if settings.quick else 7
    figures: list[Figure] = []
    samples: dict[str, list[float]] = {}
    for name, (net_name, dims, shape, target) in CASES.items():
        found, part = _shares(name, net_name, dims, shape, target, rounds)
        figures += found
        samples |= part
    memory = in_child(memory_of_runs, QUICK_RUNS if settings.quick else RUNS).result
    samples["memory after each run, MiB"] = memory
    growth = median(memory[-5:]) - median(memory[WARM : WARM + 5])
    figures.append(Figure(f"growth of memory over {len(memory) - WARM} runs", growth, "MiB", target=GROWTH))
    return Result(tuple(figures), samples)


def _shares(
    name: str, net_name: str, dims: int, shape: tuple[int, ...], target: float, rounds: int
) -> tuple[list[Figure], dict[str, list[float]]]:
    net, config = preset(net_name, dims=dims, in_channels=1, out_channels=4)
    torch.manual_seed(0)
    network, batch = build(net, config).eval(), torch.randn(1, 1, *shape)
    flop = count_flop(network, batch)
    computed = count_flop(join_in_convolutions(copy.deepcopy(network), config), batch)
    works: dict[str, Callable[[], Cost]] = {}
    limits: dict[str, list[float]] = {}
    kinds = ("fp32", "bf16") if bf16_pays() else ("fp32",)
    for kind in kinds:
        limits[kind] = []
        works[f"limit, {kind}"] = partial(cost_of, partial(_take_limit, limits[kind], kind))
        for engine in ENGINES:
            if engine == "openvino" and not find_spec("openvino"):
                say("OpenVINO is left out: it is not installed")
                continue
            runner = look_up(ENGINES, engine, "engine")(network, config, net=net, device="cpu", precision=kind)
            runner(batch)  # the first call prepares the kernels
            works[f"{engine}, {kind}"] = partial(cost_of, partial(runner, batch))
    with reused_memory():
        costs = interleaved(works, rounds)
    figures, samples = [Figure(f"{name}: operations computed / of the network", computed / flop)], {}
    for variant, part in costs.items():
        engine, kind = variant.split(", ")
        if engine == "limit":
            figures.append(Figure(f"{name}, {kind}: limit of a core", max(limits[kind]) / 1e9, "GFLOP/s"))
            continue
        # Round by round: what else the machine does changes limit and network alike.
        shares = [flop / one.cpu / limit for one, limit in zip(part, limits[kind], strict=True)]
        promised = target if (engine, kind) == ("torch", "bf16") else None
        figures.append(
            Figure(f"{name}, {variant}: share of the limit", median(shares), target=promised, better="higher")
        )
        samples[f"{name}, {variant}, CPU s"] = [one.cpu for one in part]
    return figures, samples | {f"{name}, limit, {kind}": part for kind, part in limits.items()}


def _take_limit(into: list[float], kind: str) -> None:
    into.append(fastest_convolution(DTYPES[kind]))


def memory_of_runs(n_runs: int) -> list[float]:
    """Prepare an engine and run it in tiles, again and again: MiB that the process has after each time."""
    net, config = preset("fast", dims=2, in_channels=1, out_channels=4)
    torch.manual_seed(0)
    network = build(net, config).eval()
    volume = np.random.default_rng(0).random((1, 256, 256), dtype=np.float32)
    memory = []
    for _ in range(n_runs):
        engine = Engine(network, config, net=net, device="cpu")
        run_tiled(engine, volume, lambda box, logits: None, tile=128)
        memory.append(psutil.Process().memory_info().rss / 2**20)
    return memory
