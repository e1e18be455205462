"""What this machine does with a network, and which setting is the fastest, in less than a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from operator import attrgetter
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # published without types
import torch

from napari_unet.core.base.catalogue import ENGINES, look_up
from napari_unet.core.base.device import choose_device, convolution_flop, convolution_seconds
from napari_unet.core.base.memory import free_bytes, reused_memory
from napari_unet.core.base.progress import Progress, Report, silent
from napari_unet.core.base.tiles import round_up
from napari_unet.core.pipeline.tiled import context, default_tile

if TYPE_CHECKING:
    from napari_unet.core.pipeline.engine import Runner
    from napari_unet.core.store.models import Model

CONVOLUTIONS = ((32, 256, 2), (64, 256, 2), (256, 64, 2), (32, 48, 3), (64, 32, 3))
"""Channels, edge and dimensions of the convolutions that the fastest is looked for among."""

TILES = {2: (256, 512, 1024), 3: (48, 96, 128)}
"""px; the middle one is what engines and precisions are compared with."""

EXTRAS = {"openvino": "openvino"}
"""The package that an engine needs."""


@dataclass(frozen=True)
class Machine:
    """What there is to compute with.

    Parameters
    ----------
    device : str
        In words.
    threads : int
        That torch uses.
    memory, free : int, bytes
        Of the computer.
    gflops : dict of str to float
        Of the fastest convolution, for each precision: GFLOP/s of a core.
    """

    device: str
    threads: int
    memory: int
    free: int
    gflops: dict[str, float]


@dataclass(frozen=True)
class Setting:
    """A choice and what it takes.

    Parameters
    ----------
    engine, precision : str
        As in ``SegmentOptions``.
    tile : int, voxels
        Edge of a tile; its exact context comes on top.
    seconds, cpu_seconds : float, s
        For a million voxels: on the clock, and of all cores together.
    """

    engine: str
    precision: str
    tile: int
    seconds: float
    cpu_seconds: float

    @property
    def options(self) -> str:
        """Give it as options of the command line."""
        return f"--engine {self.engine} --precision {self.precision} --tile {self.tile}"


def measure_machine() -> Machine:
    """Look at the machine; a few seconds."""
    gflops = {name: fastest_convolution(dtype) / 1e9 for name, dtype in _CPU_PRECISIONS.items()}
    total = int(psutil.virtual_memory().total)
    return Machine(choose_device().words, torch.get_num_threads(), total, free_bytes(), gflops)


_CPU_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def fastest_convolution(dtype: torch.dtype) -> float:
    """Find the speed of a core in the convolution that suits it best: FLOP/s."""
    return max(convolution_flop(*shape) / convolution_seconds(dtype, *shape) for shape in CONVOLUTIONS)


def measure_settings(model: Model, device: str = "auto", report: Report = silent) -> list[Setting]:
    """Run a model's network with each engine and precision, and the fastest of them with tiles of other sizes.

    Parameters
    ----------
    model : Model
        What is run, on noise: time does not depend on the image.
    device : str
        As in ``SegmentOptions``.
    report : Report
        Called before each setting.

    Returns
    -------
    list of Setting
        The fastest first.

    Raises
    ------
    UserError
        When the device cannot be used.
    """
    small, usual, large = TILES[model.spec.dims]
    name = choose_device(device).name
    kinds = list(_kinds(name))
    found: list[Setting] = []
    runners: dict[tuple[str, str], Runner] = {}
    for number, (engine, precision) in enumerate(kinds):
        report(Progress(number, len(kinds) + 1, f"{engine}, {precision}"))
        make = look_up(ENGINES, engine, "engine")
        runner = make(model.build(), model.net_config, net=model.spec.net, device=name, precision=precision)
        runners[engine, precision] = runner
        found.append(_measure(runner, engine, precision, usual))
    # On a processor another program changes the time on the clock, the time of the cores hardly.
    by = attrgetter("cpu_seconds" if name == "cpu" else "seconds")
    best = min(found, key=by)
    report(Progress(len(kinds), len(kinds) + 1, "sizes of tiles"))
    runner = runners[best.engine, best.precision]
    fits = default_tile(runner, (10**6,) * model.spec.dims)
    found += [_measure(runner, best.engine, best.precision, tile) for tile in (small, large) if tile <= fits]
    return sorted(found, key=by)


def _kinds(device: str) -> Iterator[tuple[str, str]]:
    """Name the engines and precisions that can be used on a device."""
    precisions = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16"), "mps": ("fp32",)}[device]
    for engine in ENGINES:
        if engine not in EXTRAS or (device == "cpu" and find_spec(EXTRAS[engine])):
            for precision in precisions:
                yield engine, precision


@reused_memory()
def _measure(runner: Runner, engine: str, precision: str, tile: int) -> Setting:
    config = runner.config
    halo = context(runner) or (0,) * config.dims
    shape = [tile // m * m + 2 * round_up(h, m) for m, h in zip(config.multiple(), halo, strict=True)]
    image = torch.randn(1, config.in_channels, *shape, generator=torch.Generator().manual_seed(0))
    runner(image)  # the first call prepares the kernels
    times = []
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        runner(image).cpu()  # waits for a GPU
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    million = prod(tile // m * m for m in config.multiple()) / 1e6
    return Setting(engine, precision, tile, *(min(part) / million for part in zip(*times, strict=True)))
