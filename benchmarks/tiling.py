"""A large image in tiles against the image at once: how equal the result, how much more work, how much less memory."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.measure import Cost, Measured, cost_of, cpu_ratio, in_child, interleaved, median_cpu, peak_memory, say
from benchmarks.network import largest_error, normalised
from benchmarks.record import Figure, Result, Settings, Unavailable
from napari_unet.core.base.tiles import Box, plan_tiles
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.pipeline.halo import exact_halo, fast_halo
from napari_unet.core.pipeline.tiled import run_tiled
from napari_unet.core.store.models import Model, load_model
from napari_unet.core.synthetic.nuclei import nuclei_2d

SIZE, QUICK_SIZE = 4096, 1024
TILE, QUICK_TILE = 1024, 256
NUCLEI = 120 / 512**2
"""Per pixel."""

ERROR_TARGET, FLOP_TARGET = 1e-5, 1.25
VARIANTS = ("at once", "exact", "fast")


def run(settings: Settings) -> Result:
    """Run each variant in processes of their own, in turn."""
    size, tile = (QUICK_SIZE, QUICK_TILE) if settings.quick else (SIZE, TILE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_child(make_volume, settings.model_folder(), size, folder / "volume.npy")
        peaks: dict[str, list[int]] = {variant: [] for variant in VARIANTS}

        def one(variant: str) -> Cost:
            found = in_child(run_variant, settings.model_folder(), folder, variant, tile).result
            peaks[variant].append(found.peak)
            return found.cost

        costs = interleaved({variant: partial(one, variant) for variant in VARIANTS}, rounds=1 if settings.quick else 3)
        errors = {variant: _error(folder, variant) for variant in VARIANTS[1:]}
    samples: dict[str, object] = {f"{variant}, CPU s": [cost.cpu for cost in part] for variant, part in costs.items()}
    samples |= {f"{variant}, peak bytes": part for variant, part in peaks.items()}
    return Result(tuple(_figures(settings.load_model(), size, tile, costs, peaks, errors)), samples)


def _figures(
    model: Model,
    size: int,
    tile: int,
    costs: dict[str, list[Cost]],
    peaks: dict[str, list[int]],
    errors: dict[str, float],
) -> list[Figure]:
    figures = []
    for variant, error in errors.items():
        exact = variant == "exact"
        name = f"{size} px, {variant} context"
        flop = flop_ratio(model, size, tile, variant)
        figures += [
            Figure(f"{name}: largest error, in σ of the logits", error, target=ERROR_TARGET if exact else None),
            Figure(f"{name}: FLOP / at once", flop, target=None if exact else FLOP_TARGET),
            Figure(f"{name}: CPU time / at once", cpu_ratio(costs[variant], costs["at once"])),
        ]
    for variant, part in costs.items():
        figures.append(Figure(f"{size} px, {variant}: CPU time", median_cpu(part), "s"))
        figures.append(Figure(f"{size} px, {variant}: most memory", median(peaks[variant]) / 2**30, "GiB"))
    return figures


def make_volume(model: Path, size: int, path: Path) -> None:
    """Generate a large image of nuclei and write what the network sees of it."""
    image = nuclei_2d(shape=(size, size), n=round(NUCLEI * size**2)).image
    np.save(path, normalised(load_model(model), image))


def run_variant(model: Path, folder: Path, variant: str, tile: int) -> Measured[None]:
    """Compute the logits of the volume in `folder`, write them there, and say what it took."""
    volume: NDArray[np.float32] = np.load(folder / "volume.npy")
    engine = make_engine(load_model(model))
    out = torch.empty((engine.config.out_channels, *volume.shape[1:]))

    def write(box: Box, logits: Tensor) -> None:
        out[(slice(None), *box)] = logits

    def compute() -> None:
        if variant == "at once":
            write((slice(None),) * (volume.ndim - 1), engine(torch.from_numpy(volume)[None])[0])
        else:
            run_tiled(engine, volume, write, tile=tile, halo=variant)

    cost = cost_of(compute)
    np.save(folder / f"{variant}.npy", out.numpy())
    return Measured(None, cost, peak_memory())


def make_engine(model: Model) -> Engine:
    """Prepare a model for the processor in fp32."""
    return Engine(model.build(), model.net_config, net=model.spec.net, device="cpu", precision="fp32")


def _error(folder: Path, variant: str) -> float:
    logits, truth = (torch.from_numpy(np.load(folder / f"{name}.npy"))[None] for name in (variant, "at once"))
    return largest_error(logits, truth)


def flop_ratio(model: Model, size: int, tile: int, halo: str) -> float:
    """Count the pixels that the network sees in all tiles, for one of the image: its work is proportional to them."""
    exact = exact_halo(model.spec.net, model.net_config)
    if exact is None:
        raise Unavailable(f"the tiles of '{model.spec.name}' have no exact context")
    margin = exact if halo == "exact" else fast_halo(exact)
    tiles = plan_tiles((size, size), (tile, tile), margin, model.net_config.multiple())
    seen = sum(int(np.prod([part.stop - part.start for part in one.read])) for one in tiles)
    say(f"{halo} context of {margin[0]} px: {len(tiles)} tiles")
    return seen / size**2
