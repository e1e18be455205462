"""From an image to labels: CPU seconds a megapixel, ours against Cellpose 3 and StarDist.

Ours is one run of the bundled model. A peer's time is the sum of its own network with random weights, on which time
does not depend, and of its own decoder on maps made from the true labels: nothing has to be downloaded, and its decoder
gets what a perfect network would give it. A peer that is not installed is left out; those want an environment of their
own, in which this benchmark is then run.
"""

from __future__ import annotations

import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.measure import Cost, cost_of, cpu_ratio, in_child, interleaved, median_cpu, say
from benchmarks.record import Figure, Result, Settings
from benchmarks.whole_peers import PEERS, prepare_peer
from napari_unet.core.base.device import bf16_pays
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.store.models import load_model
from napari_unet.core.synthetic.nuclei import nuclei_2d

SIDE, QUICK_SIDE = 1024, 512
CELLS = (500, 2000)
"""In a megapixel."""

TARGETS = {("ours bf16", "stardist"): 0.60, ("ours bf16", "cellpose"): 0.06}
"""CPU time of ours for one of a peer."""


def run(settings: Settings) -> Result:
    """Measure images of few and of many cells."""
    figures: list[Figure] = []
    samples: dict[str, list[float]] = {}
    side = QUICK_SIDE if settings.quick else SIDE
    kinds = [kind for kind in ("ours bf16", "ours fp32", *PEERS) if _is_possible(kind)]
    with tempfile.TemporaryDirectory() as name:
        for cells in CELLS:
            made = nuclei_2d(shape=(side, side), n=round(cells * side**2 / 1e6))
            file = Path(name) / f"{cells}.npz"
            np.savez(file, image=made.image.data, labels=made.labels)
            works = {kind: partial(_cost, kind, file, settings.model_folder()) for kind in kinds}
            costs = interleaved(works, rounds=1 if settings.quick else 5)
            figures += _figures(f"{cells} cells", side**2 / 1e6, costs)
            samples |= {f"{cells} cells, {kind}, CPU s": [one.cpu for one in part] for kind, part in costs.items()}
    return Result(tuple(figures), samples)


def _is_possible(kind: str) -> bool:
    if kind in PEERS and not find_spec(kind):
        say(f"{kind} is left out: it is not installed")
        return False
    if kind == "ours bf16" and not bf16_pays():
        say("ours in bf16 is left out: this processor is not faster with it")
        return False
    return True


def _figures(name: str, megapixels: float, costs: dict[str, list[Cost]]) -> list[Figure]:
    figures = [
        Figure(f"{name}, {kind}: CPU time", median_cpu(part) / megapixels, "s/MP") for kind, part in costs.items()
    ]
    return figures + [
        Figure(
            f"{name}, {kind}: CPU time / {peer}", cpu_ratio(costs[kind], costs[peer]), target=TARGETS.get((kind, peer))
        )
        for kind in costs
        for peer in PEERS
        if kind not in PEERS and peer in costs
    ]


def _cost(kind: str, file: Path, model: Path) -> Cost:
    return in_child(measure, kind, file, model).result


def measure(kind: str, file: Path, model_folder: Path) -> Cost:
    """Take the cost of one kind, without what is loaded and prepared once for all images."""
    arrays = np.load(file)
    if kind in PEERS:
        steps = prepare_peer(kind, arrays["image"], arrays["labels"])
        for step in steps:
            step()  # compiles and prepares
        costs = [cost_of(step) for step in steps]
        say(f"{kind}: {' + '.join(f'{one.cpu:.2f}' for one in costs)} CPU s, network + decoder")
        return Cost(sum(one.cpu for one in costs), sum(one.wall for one in costs))
    model = load_model(model_folder)
    # At the size that the model was trained at, as the peers' networks see the image as it is.
    options = SegmentOptions(
        device="cpu", precision=kind.split()[1], halo="fast", object_size=model.spec.object_size, engine="torch"
    )
    image = Image(arrays["image"], "YX")
    segment(model, image, options)
    return cost_of(lambda: segment(model, image, options))
