"""Tiles against those of MONAI and nnU-Net: same network, same trained weights, each in a process of its own.

The peers run as they ship: the plain network in fp32, MONAI's sliding window with its defaults, nnU-Net's predictor
with its defaults without mirroring. Seams are what differs from the untiled network in fp32. A peer that is not
installed is left out; nnU-Net wants an environment of its own, in which this benchmark is then run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.measure import Cost, Measured, cost_of, cpu_ratio, in_child, interleaved, median_cpu, peak_memory, say
from benchmarks.network import normalised
from benchmarks.peer_calls import run_monai, run_nnunet
from benchmarks.record import Figure, Result, Settings
from napari_unet.core.base.catalogue import ENGINES, look_up
from napari_unet.core.base.device import bf16_pays
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.pipeline.scratch import train_new
from napari_unet.core.pipeline.tiled import run_tiled
from napari_unet.core.store.models import Model, load_model, save_model
from napari_unet.core.store.training_set import Sample
from napari_unet.core.synthetic.nuclei import nuclei_2d, nuclei_3d

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.pipeline.engine import Runner

SECONDS, QUICK_SECONDS = 120, 5
"""Budget of the training of the 3D model."""

PEERS = ("monai", "nnunet")
NEEDS = {"monai": "monai", "nnunet": "nnunetv2", "openvino": "openvino"}
MODULES = {"monai": "monai.inferers", "nnunet": "nnunetv2.inference.predict_from_raw_data"}
EXACT = 1e-5
"""σ of the logits."""


@dataclass(frozen=True)
class Case:
    """An image, what the peers cut it into, and what is promised.

    Parameters
    ----------
    shape, quick_shape : tuple of int, voxels
        Of the image.
    roi, quick_roi : tuple of int, voxels
        The peers' tile.
    ours : tuple of str
        Variants: engine, precision, halo.
    targets : dict
        CPU time of a variant for one of a peer, by the names of both.
    """

    shape: tuple[int, ...]
    quick_shape: tuple[int, ...]
    roi: tuple[int, ...]
    quick_roi: tuple[int, ...]
    ours: tuple[str, ...]
    targets: dict[tuple[str, str], float]


CASES = {
    "2D": Case(
        (4096, 4096),
        (512, 512),
        (512, 512),
        (128, 128),
        ("torch fp32 exact", "torch bf16 exact"),
        {
            ("torch fp32 exact", "monai"): 0.62,
            ("torch bf16 exact", "monai"): 0.33,
            ("torch bf16 exact", "nnunet"): 0.20,
        },
    ),
    "3D": Case(
        (64, 512, 512),
        (16, 96, 96),
        (64, 128, 128),
        (16, 48, 48),
        ("torch fp32 exact", "torch fp32 fast", "torch bf16 fast", "openvino fp32 fast", "openvino bf16 fast"),
        {
            ("torch fp32 exact", "monai"): 0.68,
            ("torch fp32 fast", "monai"): 0.58,
            ("torch bf16 fast", "monai"): 0.25,
            ("openvino fp32 fast", "monai"): 0.43,
            ("openvino bf16 fast", "monai"): 0.21,
        },
    ),
}
MOST_MEMORY = 1.1e9 / 2**30
"""GiB, in 2D: 1.1 GB."""


def run(settings: Settings) -> Result:
    """Measure both cases."""
    figures: list[Figure] = []
    samples: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_child(train_stacks, folder / "model", QUICK_SECONDS if settings.quick else settings.seconds or SECONDS)
        for dims, model in (("2D", settings.model_folder()), ("3D", folder / "model")):
            found, part = _measure(dims, model, folder / dims, quick=settings.quick)
            figures += found
            samples |= part
    return Result(tuple(figures), samples)


def _measure(dims: str, model: Path, folder: Path, *, quick: bool) -> tuple[list[Figure], dict[str, object]]:
    case = CASES[dims]
    folder.mkdir()
    in_child(make_volume, model, case.quick_shape if quick else case.shape, folder)
    variants = [one for one in (*PEERS, *case.ours) if _is_possible(one)]
    peaks: dict[str, list[int]] = {variant: [] for variant in variants}

    def one(variant: str) -> Cost:
        found = in_child(run_variant, model, folder, variant, case.quick_roi if quick else case.roi).result
        peaks[variant].append(found.peak)
        return found.cost

    costs = interleaved({variant: partial(one, variant) for variant in variants}, rounds=1 if quick else 3)
    figures = []
    for variant in variants:
        largest, mean = seams(np.load(folder / f"{variant}.npy", "r"), np.load(folder / "at once.npy", "r"))
        limit = EXACT if variant == "torch fp32 exact" else None
        figures += [
            Figure(f"{dims}, {variant}: largest seam, in σ of the logits", largest, target=limit),
            Figure(f"{dims}, {variant}: mean error, in σ of the logits", mean),
            Figure(f"{dims}, {variant}: CPU time", median_cpu(costs[variant]), "s"),
            Figure(
                f"{dims}, {variant}: most memory",
                median(peaks[variant]) / 2**30,
                "GiB",
                target=MOST_MEMORY if dims == "2D" and variant not in PEERS else None,
            ),
        ]
        figures += [
            Figure(
                f"{dims}, {variant}: CPU time / {peer}",
                cpu_ratio(costs[variant], costs[peer]),
                target=case.targets.get((variant, peer)),
            )
            for peer in PEERS
            if variant not in PEERS and peer in costs
        ]
    samples: dict[str, object] = {f"{dims}, {name}, CPU s": [cost.cpu for cost in part] for name, part in costs.items()}
    return figures, samples | {f"{dims}, {name}, peak bytes": part for name, part in peaks.items()}


def _is_possible(variant: str) -> bool:
    package = NEEDS.get(variant.split()[0])
    if package and not find_spec(package):
        say(f"{variant} is left out: {package} is not installed")
        return False
    if "bf16" in variant and not bf16_pays():
        say(f"{variant} is left out: this processor is not faster with bf16")
        return False
    return True


def train_stacks(folder: Path, seconds: float) -> None:
    """Train a 3D model of base 16 on generated stacks of nuclei."""
    samples = [
        Sample(made.image, made.labels, None, f"stack {seed}")
        for seed in range(4)
        for made in (nuclei_3d(seed, (32, 96, 96), n=20),)
    ]
    options = TrainOptions(net="fast", dims=3, budget=f"{seconds:g}s", device="cpu")
    save_model(train_new(samples, options, "stacks")[0], folder)


def make_volume(model_folder: Path, shape: tuple[int, ...], folder: Path) -> None:
    """Write what the network sees of a generated image, and the logits of the network at once in fp32."""
    model = load_model(model_folder)
    density = {2: 120 / 512**2, 3: 60 / (32 * 160 * 160)}[len(shape)]
    n = max(4, round(density * float(np.prod(shape))))
    made = nuclei_2d(shape=shape, n=n) if len(shape) == 2 else nuclei_3d(shape=(shape[0], shape[1], shape[2]), n=n)
    volume = normalised(model, made.image)
    np.save(folder / "volume.npy", volume)
    np.save(folder / "at once.npy", _engine(model, "torch", "fp32")(torch.from_numpy(volume)[None])[0].numpy())


def run_variant(model_folder: Path, folder: Path, variant: str, roi: tuple[int, ...]) -> Measured[None]:
    """Compute the logits of the volume in `folder`, write them there, and say what it took."""
    volume: NDArray[np.float32] = np.load(folder / "volume.npy")
    model = load_model(model_folder)
    compute = _prepare(model, volume, variant, roi)
    kept: list[Tensor] = []
    cost = cost_of(lambda: kept.append(compute()))
    peak = peak_memory()
    np.save(folder / f"{variant}.npy", kept[0].numpy())
    return Measured(None, cost, peak)


def _prepare(model: Model, volume: NDArray[np.float32], variant: str, roi: tuple[int, ...]) -> Callable[[], Tensor]:
    """Get everything ready that is not part of the time; gives the (K, [Z,] Y, X) logits."""
    if variant in PEERS:
        import_module(MODULES[variant])  # not part of the time
        network, call = model.build().eval(), {"monai": run_monai, "nnunet": run_nnunet}[variant]
        return lambda: call(network, torch.from_numpy(volume), roi, model.net_config.out_channels)
    name, precision, halo = variant.split()
    engine = _engine(model, name, precision)
    engine.halo  # noqa: B018  # measured when it is first asked for, once per process

    def compute() -> Tensor:
        out = torch.empty((model.net_config.out_channels, *volume.shape[1:]))

        def write(box: Box, logits: Tensor) -> None:
            out[(slice(None), *box)] = logits

        run_tiled(engine, volume, write, halo=halo)
        return out

    return compute


def _engine(model: Model, name: str, precision: str) -> Runner:
    make = look_up(ENGINES, name, "engine")
    runner: Runner = make(model.build(), model.net_config, net=model.spec.net, device="cpu", precision=precision)
    return runner


def seams(logits: NDArray[np.float32], truth: NDArray[np.float32]) -> tuple[float, float]:
    """Give the largest and the mean deviation of (K, ...) logits, in standard deviations of a channel, of the worst."""
    largest, means = [], []
    for ours, theirs in zip(logits, truth, strict=True):
        error, sigma = np.abs(ours - theirs), float(theirs.std())
        largest.append(float(error.max()) / sigma)
        means.append(float(error.mean()) / sigma)
    return max(largest), max(means)
