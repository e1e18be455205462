"""`napari-unet bench`: what this machine does, and which setting is best on it."""

# No `from __future__ import annotations`: typer reads them.

from dataclasses import asdict
from typing import Annotated

import typer

from napari_unet.app import commands, library
from napari_unet.cli.console import note, progress_line, say, say_json, table
from napari_unet.cli.options import JsonOption

HEADER = ("engine", "precision", "tile", "seconds", "CPU seconds")
EXAMPLE = {2: ((2048, 2048), "A 2048 x 2048 image"), 3: ((64, 512, 512), "A 64 x 512 x 512 stack")}
MATTERS = 1.05
"""Times the best: what is no slower than this is called as good."""


def bench(
    model: Annotated[
        str, typer.Option(metavar="NAME_OR_FOLDER", help="A model of the library, or its folder.")
    ] = "nuclei-2d",
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where the network runs.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure in about a minute how fast this machine is, and which setting is best for a model."""
    from napari_unet.core.pipeline.bench import measure_machine, measure_settings

    loaded = commands.load_cached(library.find_model(model))
    note("Close other programs: they make every figure worse.")
    machine = measure_machine()
    say(f"Device: {machine.device}")
    say(f"Memory: {machine.memory / 2**30:.0f} GiB, {machine.free / 2**30:.0f} GiB of it free")
    speeds = ", ".join(f"{speed:.0f} GFLOP/s in {name}" for name, speed in machine.gflops.items())
    say(f"Processor: {machine.threads} threads; a core computes {speeds} in its fastest convolution")
    with progress_line("measuring") as show:
        found = measure_settings(loaded, device, show)
    best, dims = found[0], loaded.spec.dims
    rows = [(one.engine, one.precision, one.tile, one.seconds, one.cpu_seconds) for one in found]
    say(f"\n'{loaded.spec.name}', for {'a megapixel' if dims == 2 else 'a million voxels'}:\n\n{table(HEADER, rows)}\n")
    shape, name = EXAMPLE[dims]
    voxels = 1
    for length in shape:
        voxels *= length
    say(f"Fastest: {best.options}. {name} takes about {best.seconds * voxels / 1e6:.1f} s.")
    exact = next(one for one in found if one.precision == "fp32")  # the fastest comes first
    if exact is not best:
        if exact.seconds <= MATTERS * best.seconds:
            say(f"fp32 is as fast: --engine {exact.engine} --precision fp32 gives the exact result.")
        else:
            say(f"Exact to the last digit, {exact.seconds / best.seconds:.1f} times slower: {exact.options}.")
    if as_json:
        say_json({"model": loaded.spec.name, "machine": asdict(machine), "settings": [asdict(one) for one in found]})
