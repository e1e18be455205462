"""CPU time of the engine against the plain network: not folded, contiguous, fp32; and the error it makes.

Time is taken of networks with random weights, on which it does not depend. The error is that of the trained model:
random norms blow rounding up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Cost, cost_of, cpu_ratio, interleaved, median_cpu, say
from benchmarks.record import Figure, Result, Settings, Unavailable
from napari_unet.core.base.device import bf16_pays
from napari_unet.core.base.normalise import measure
from napari_unet.core.nets import build, preset
from napari_unet.core.pipeline.channels import select_channels
from napari_unet.core.pipeline.engine import Engine
from napari_unet.core.synthetic.nuclei import nuclei_2d, nuclei_3d

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image
    from napari_unet.core.nets.config import NetConfig
    from napari_unet.core.store.models import Model
    from napari_unet.core.synthetic.sample import Synthetic

TARGETS = {"fp32": 0.70, "bf16": 0.35}
"""CPU time of the engine for one of the plain network, by precision."""


CASES: dict[str, Callable[[], Synthetic]] = {
    "2D": lambda: nuclei_2d(shape=(512, 512)),
    "3D": lambda: nuclei_3d(shape=(48, 96, 96)),
}


def run(settings: Settings) -> Result:
    """Measure time in 2D and 3D, and the error in 2D."""
    figures: list[Figure] = []
    samples: dict[str, list[float]] = {}
    for name, make in CASES.items():
        image = make().image.data.astype(np.float32)
        say(f"{name}, {' x '.join(map(str, image.shape))}")
        batch = torch.from_numpy((image - image.mean()) / image.std())[None, None]
        found, costs = _measure(name, batch, rounds=2 if settings.quick else 7)
        figures += found
        samples |= {f"{name}, {kind}, CPU s": [cost.cpu for cost in part] for kind, part in costs.items()}
    return Result((*figures, *_errors(settings)), samples)


def _measure(name: str, batch: Tensor, *, rounds: int) -> tuple[list[Figure], dict[str, list[Cost]]]:
    net, config = preset("accurate", dims=batch.ndim - 2, in_channels=1, out_channels=4)
    torch.manual_seed(0)
    network = build(net, config).eval()
    works: dict[str, Callable[[], Tensor]] = {"plain fp32": _work(torch.inference_mode()(network), batch)}
    works |= {kind: _work(engine, batch) for kind, engine in make_engines(net, network, config).items()}
    for work in works.values():
        work()  # the first call prepares the kernels
    costs = interleaved({kind: partial(cost_of, work) for kind, work in works.items()}, rounds)
    flop = count_flop(network, batch)
    figures = [
        Figure(f"{name}, {kind}: CPU time / plain fp32", cpu_ratio(part, costs["plain fp32"]), target=TARGETS[kind])
        for kind, part in costs.items()
        if kind in TARGETS
    ]
    speeds = {kind: flop / median_cpu(part) / 1e9 for kind, part in costs.items()}
    return figures + [Figure(f"{name}, {kind}: speed of a core", v, "GFLOP/s") for kind, v in speeds.items()], costs


def make_engines(net: str, network: nn.Module, config: NetConfig) -> dict[str, Engine]:
    """Make the engine in each precision that this processor gains from."""
    kinds = ("fp32", "bf16") if bf16_pays() else ("fp32",)
    if "bf16" not in kinds:
        say("bf16 is left out: this processor is not faster with it")
    return {kind: Engine(network, config, net=net, device="cpu", precision=kind) for kind in kinds}


def _errors(settings: Settings) -> list[Figure]:
    try:
        model = settings.load_model()
    except Unavailable as reason:
        say(f"the error is left out: {reason}")
        return []
    network = model.build()
    batch = torch.from_numpy(normalised(model, nuclei_2d().image))[None]
    with torch.inference_mode():
        plain = network(batch)
    engines = make_engines(model.spec.net, network, model.net_config)
    return [
        Figure(f"'{model.spec.name}', {kind}: largest error, in σ of the logits", largest_error(engine(batch), plain))
        for kind, engine in engines.items()
    ]


def normalised(model: Model, image: Image) -> NDArray[np.float32]:
    """Give what the model's network sees of an image: (C, Y, X) float32."""
    volume = select_channels(image, image.volume(), model.spec, None)
    return measure(model.normalisation, [volume]).apply(volume)


def largest_error(logits: Tensor, truth: Tensor) -> float:
    """Give the largest deviation of (N, K, ...) logits, in standard deviations of each channel, of the worst one."""
    axes = (0, *range(2, truth.ndim))
    return float(((logits - truth).abs().amax(axes) / truth.std(axes)).max())


def _work(forward: Callable[[Tensor], Tensor], batch: Tensor) -> Callable[[], Tensor]:
    return lambda: forward(batch)


def count_flop(network: nn.Module, batch: Tensor) -> int:
    """Count the floating-point operations of one pass."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(batch)
    return int(counter.get_total_flops())
