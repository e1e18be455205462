"""Trainings that tests start in a process of their own: ``python -m tests.core.worker FOLDER JOB ...``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.world import world_around
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.distributed import from_first, joined, together, world
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.train import train
from napari_unet.core.store.models import Model, initial_model
from napari_unet.core.store.training_set import Sample
from napari_unet.core.synthetic import nuclei_2d
from tests.core.phantoms import blobs, tiny_recipe, tiny_spec

if TYPE_CHECKING:
    from napari_unet.core.pipeline.recipe import Recipe

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Task:
    """What a training needs, its score's images included."""

    start: Model
    samples: tuple[Sample, ...]
    recipe: Recipe


def task(norm="batch", **recipe) -> Task:
    config = NetConfig(out_channels=4, base=4, depth=2, norm=norm)
    spec = tiny_spec(net_config=config.to_dict(), object_size=None)
    return Task(initial_model(spec), (blobs(),), tiny_recipe(**{"steps": 8, "patch": (32, 32)} | recipe))


def nuclei_task() -> Task:
    """Tell nuclei from their surroundings: a score that a short training brings up and that hardly varies."""
    made = [nuclei_2d(seed=seed, shape=(96, 96), n=12) for seed in range(3)]
    samples = [Sample(one.image, np.minimum(one.labels, 1), None, f"nuclei {n}") for n, one in enumerate(made)]
    config = NetConfig(out_channels=2, base=4, depth=2)
    spec = tiny_spec(target="semantic", classes=("nucleus",), net_config=config.to_dict(), object_size=None)
    return Task(initial_model(spec), tuple(samples), tiny_recipe(200))


SAME = {
    "group": partial(task, "group", augment="microscopy"),
    "none": partial(task, "none", learning_rate=1e-3, accumulate=2, schedule="cosine"),
    "frozen": partial(task, "batch", freeze_norm=True, loss="dice", optimizer="sgd"),
    "odd batch": partial(task, "group", batch=3),
}
"""Trainings of which two processes make the same as one does."""

ALIKE = {"batch": nuclei_task}
"""Trainings of which two processes make nearly the same."""

KILLED = {
    "usual": partial(task, steps=120, patch=(16, 16), batch=2, augment="microscopy"),
    "plateau": partial(
        task, "batch-renorm", steps=120, patch=(16, 16), batch=2, optimizer="sgd", schedule="plateau", check_every=5
    ),
}


def weigh(model: Model) -> float:
    """Rate a model by something that takes no time."""
    return float(model.weights["head.bias"].sum())


def learn(chosen: Task, **given):
    prepared = [prepare(sample, chosen.start.spec) for sample in chosen.samples]
    return train(chosen.start, prepared, chosen.recipe, **given)


def report(name: str) -> dict:
    """Run a training and give its curve and what the model is worth."""
    chosen = (SAME | ALIKE)[name]()
    found = learn(chosen)
    return {
        "loss": [row.loss for row in found.history],
        "score": score(found.model, list(chosen.samples)) if name in ALIKE else None,
        "weights": [float(value.double().sum()) for value in found.model.weights.values()],
    }


def fail(message: str):
    raise UserError(message)


def failures() -> list[str]:
    """Let one process fail; give what this one hears."""
    heard = []
    for where, what in ((0, from_first), (0, together), (1, together)):
        try:
            what(lambda where=where: fail(f"process {where}") if world().rank == where else 7)
        except UserError as error:
            heard.append(error.message)
    return heard


def answers() -> list:
    """Ask the clock, the user and the validation of the first process only."""
    rank = world().rank
    chosen = task("group", steps=None, seconds=1000.0, check_every=1, patience=10)
    rated = []
    found = learn(chosen, rate=lambda _: rated.append(1) or 1 / len(rated), stop=lambda: rank == 0 and len(rated) == 3)
    return [found.steps, found.stopped, found.score, len(rated)]


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    """Start a process that runs `main`."""
    command = [sys.executable, "-m", "tests.core.worker", str(folder), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment)


def main(folder: Path, job: str) -> None:
    torch.set_num_threads(1)
    if job in KILLED:
        learn(KILLED[job](), rate=weigh, checkpoint=folder, checkpoint_seconds=0.0)
        return
    around = world_around()
    with joined(around, "cpu", (folder / "meeting").as_uri()):
        found = {"failures": failures(), "answers": answers()} | {name: report(name) for name in SAME | ALIKE}
    (folder / f"{around.rank}.json").write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
