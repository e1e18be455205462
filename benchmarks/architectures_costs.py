"""What a training step of each network costs, measured before any run, in turns and with nothing beside it.

The budget of a run is turned into steps with it. Measured within the run, a step would cost more the busier the machine
is, and a network whose turn comes beside other work would get fewer of them. Losses are not told apart: a step of the
U-Net costs within 3 % the same with each of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.architectures_run import TASKS, beginning, load, time_of_a_step
from benchmarks.measure import in_child, say
from benchmarks.record import RESULTS, machine

COSTS = RESULTS / "architectures_costs.json"
ROUNDS, PROBE_STEPS = 2, 5


def step_costs(data: Path, nets: Sequence[str], *, quick: bool) -> dict[tuple[str, str], float]:
    """Give the CPU seconds of a training step by task and network; measured once and kept, unless it is quick."""
    if COSTS.is_file() and not quick:
        kept = json.loads(COSTS.read_text())["seconds"]
        return {(task, net): kept[task][net] for task in TASKS for net in nets}
    facts = machine()
    found = {task: in_child(_costs_of, task, data, list(nets), quick=quick).result for task in TASKS}
    if not quick:
        COSTS.write_text(json.dumps({"machine": facts, "seconds": found}, indent=1) + "\n")
    return {(task, net): cost for task, costs in found.items() for net, cost in costs.items()}


def _costs_of(task: str, data: Path, nets: Sequence[str], *, quick: bool) -> Mapping[str, float]:
    """Measure one task; runs in a process of its own."""
    from napari_unet.core.pipeline.train import train

    teachers, _ = load(data, TASKS[task], quick=quick)
    times: dict[str, list[float]] = {net: [] for net in nets}
    for number in range(1 if quick else ROUNDS):
        for net in nets:
            start, prepared, recipe = beginning(teachers, TASKS[task].target, net, "auto", seed=0)
            short = replace(recipe, steps=PROBE_STEPS)
            times[net].append(time_of_a_step(lambda report: train(start, prepared, short, report=report)))  # noqa: B023  # called at once
            say(f"{task}, round {number + 1}, {net}: {times[net][-1]:.3f} CPU s a step")
    return {net: median(each) for net, each in times.items()}
