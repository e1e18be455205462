"""Every network, and the U-Net with every loss, trained with the same budget of CPU time on three sets of real images.

A run is one network, loss, set and seed in a process of its own on one core; it is kept as one line of
`results/architectures.jsonl`, and runs that are there already are not made again, so that the benchmark can be
interrupted. First all with two minutes, then the best three networks with ten. How many steps that is was measured
before all of them (`architectures_costs`), so that runs may be made beside other work.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from statistics import mean

from benchmarks.architectures_costs import step_costs
from benchmarks.architectures_page import write_page
from benchmarks.architectures_run import TASKS, Job, Run, run_job
from benchmarks.measure import PASSIVE, environment, say
from benchmarks.record import RESULTS, Figure, Result, Settings
from benchmarks.runs import keep_run, runs_in
from napari_unet.core.base.catalogue import LOSSES, NETS

RUNS = RESULTS / "architectures.jsonl"
SECONDS, LONG_SECONDS, QUICK_SECONDS = 120.0, 600.0, 4.0
"""CPU seconds of one core for the steps of a training; what comes before and after is the same for all."""

NETWORKS = tuple((net, "auto") for net in NETS)
KINDS = (*NETWORKS, *(("unet", loss) for loss in LOSSES if loss != "dice_ce"))
"""Networks and losses: every network, and the U-Net with every loss but the targets' own, which is `auto`."""

SEEDS = (0, 1, 2)
BEST = 3
"""Networks that are trained once more, for longer."""


def run(settings: Settings) -> Result:
    """Make the runs that are missing, then the figures of all."""
    seconds = settings.seconds or (QUICK_SECONDS if settings.quick else SECONDS)
    seeds = SEEDS[:1] if settings.quick else SEEDS
    runs = {} if settings.quick else read_runs()
    _make(short_jobs(KINDS, seconds, seeds[:1]), runs, settings)
    if settings.quick:
        return Result(tuple(_figures(runs.values(), seconds)))
    _make(short_jobs(NETWORKS, seconds, seeds), runs, settings)
    _make(longer_jobs(list(runs.values()), seeds), runs, settings)
    _make(short_jobs(KINDS, seconds, seeds), runs, settings)
    return Result(tuple(_figures(runs.values(), SECONDS)), {"runs": len(runs)})


def short_jobs(kinds: Iterable[tuple[str, str]], seconds: float, seeds: tuple[int, ...]) -> list[Job]:
    """List the runs of networks and losses, one seed after the other."""
    return [Job(task, *kind, seed, seconds) for seed in seeds for kind in kinds for task in TASKS]


def longer_jobs(runs: Iterable[Run], seeds: tuple[int, ...]) -> list[Job]:
    """List the runs of the second part: the networks with the best mean rank over the sets."""
    return [Job(task, net, "auto", seed, LONG_SECONDS) for seed in seeds for net in best(runs) for task in TASKS]


def best(runs: Iterable[Run]) -> list[str]:
    """Rank the networks by their mean rank over the sets, with the short budget."""
    table = scores(runs, SECONDS)
    ranks: dict[str, list[int]] = {net: [] for net in NETS}
    for task in TASKS:
        order = sorted(NETS, key=lambda net: -mean(table.get((task, net, "auto"), [0.0])))
        for rank, net in enumerate(order):
            ranks[net].append(rank)
    return sorted(NETS, key=lambda net: mean(ranks[net]))[:BEST]


def scores(runs: Iterable[Run], seconds: float) -> dict[tuple[str, str, str], list[float]]:
    """Collect the scores of all seeds, by task, network and loss."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for one in runs:
        if one.job.seconds == seconds:
            found.setdefault((one.job.task, one.job.net, one.job.loss), []).append(one.score)
    return found


def read_runs() -> dict[Job, Run]:
    """Read the runs that were made already."""
    return {one.job: one for one in runs_in(RUNS, Run, Job)}


def _make(jobs: list[Job], runs: dict[Job, Run], settings: Settings) -> None:
    """Make the runs that are missing, one for each core at a time; each is kept as soon as it has ended."""
    missing = [job for job in jobs if job not in runs]
    # One core each: two runs side by side give more than one run on two cores.
    with environment({**PASSIVE, "OMP_NUM_THREADS": "1"}):
        costs = step_costs(settings.data, tuple(NETS), quick=settings.quick)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), context, max_tasks_per_child=1) as pool:
            waiting = [
                pool.submit(run_job, job, costs[job.task, job.net], settings.data, quick=settings.quick)
                for job in missing
            ]
            for number, done in enumerate(as_completed(waiting), start=1):
                one = done.result()
                runs[one.job] = one
                say(f"{number} of {len(missing)}: {one.job}: {one.score:.3f} after {one.steps} steps")
                if not settings.quick:
                    keep_run(RUNS, one)
                    write_page(_sections(list(runs.values())), _missing(len(runs)))


def _missing(n_runs: int) -> int:
    """Give how many runs are still to be made."""
    return len(short_jobs(KINDS, SECONDS, SEEDS)) + BEST * len(TASKS) * len(SEEDS) - n_runs


def _sections(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Sort the runs by budget and set."""
    found: dict[str, list[Run]] = {}
    for seconds in (SECONDS, LONG_SECONDS):
        for name, task in TASKS.items():
            part = [one for one in runs if (one.job.seconds, one.job.task) == (seconds, name)]
            if part:
                found[f"{seconds / 60:.0f} minutes: {name} ({task.score})"] = part
    return found


def _figures(runs: Iterable[Run], seconds: float) -> list[Figure]:
    table = scores(runs, seconds)
    return [
        Figure(f"{task}: {net}, {loss} loss: {TASKS[task].score}, {len(values)} seeds", mean(values))
        for (task, net, loss), values in sorted(table.items())
    ]
