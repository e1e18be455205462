"""Learn from 1 to 100 annotated cells of a new kind: ours by stages, against the recipes of others.

A run is one set, method, number of cells and seed, in a process of its own on one core; it is one line of
`results/few_cells.jsonl`, and a run that is there already is not made again. The methods of others run in the same
engine on the same network, with the CPU time that our full stage took.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from itertools import pairwise
from math import log
from statistics import mean

from benchmarks.few_cells_data import DOMAINS
from benchmarks.few_cells_page import write_page
from benchmarks.few_cells_run import METHODS, PEERS, Job, Run, run_job
from benchmarks.measure import PASSIVE, environment, say
from benchmarks.record import RESULTS, Figure, Result, Settings
from benchmarks.runs import keep_run, runs_in
from benchmarks.simulate import fluorescence_model

RUNS = RESULTS / "few_cells.jsonl"
SEEDS = (0, 1, 2)
NONE = "no adaptation"
OURS = ("ours, instant", "ours, quick", "ours, full")
FEW = 30
"""Cells up to which methods are compared."""


def run(settings: Settings) -> Result:
    """Make the runs that are missing, then the figures of all."""
    start = fluorescence_model(settings)
    runs = {} if settings.quick else read_runs()
    seeds = SEEDS[:1] if settings.quick else SEEDS
    for seed in seeds:
        for jobs in (_ours(seed), _peers(seed, runs)):
            wanted = [job for job in jobs if (settings.data / DOMAINS[job.domain].folder).is_dir()]
            wanted = (
                [job for job in wanted if job.domain == "histology" and job.n_cells == 10] if settings.quick else wanted
            )
            _make(wanted, runs, settings, start)
    return Result(tuple(figures(list(runs.values()))), {"runs": len(runs)})


def _ours(seed: int) -> list[Job]:
    """List our own runs, the cheapest first; without adaptation there is one for each set."""
    none = [Job(domain, NONE, 1, 0) for domain in DOMAINS]
    return none + [
        Job(name, method, n, seed) for method in OURS for name, domain in DOMAINS.items() for n in domain.numbers
    ]


def _peers(seed: int, runs: dict[Job, Run]) -> Iterable[Job]:
    """List the runs of others, each with the CPU time of our full stage."""
    for name, domain in DOMAINS.items():
        for n in domain.numbers:
            full = runs.get(Job(name, OURS[-1], n, seed))
            if full is not None:
                yield from (Job(name, method, n, seed, round(full.cpu, 1)) for method in PEERS)


def read_runs() -> dict[Job, Run]:
    """Read the runs that were made already."""
    return {_key(one.job): one for one in runs_in(RUNS, Run, Job)}


def _key(job: Job) -> Job:
    return replace(job, budget=None)


def _make(jobs: Iterable[Job], runs: dict[Job, Run], settings: Settings, start: object) -> None:
    """Make the runs that are missing, one for each core at a time; each is kept as soon as it has ended."""
    missing = [job for job in jobs if _key(job) not in runs]
    with environment({**PASSIVE, "OMP_NUM_THREADS": "1"}):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), context, max_tasks_per_child=1) as pool:
            waiting = [pool.submit(run_job, job, settings.data, start) for job in missing]
            for number, done in enumerate(as_completed(waiting), start=1):
                one = done.result()
                runs[_key(one.job)] = one
                scores = f"AP {one.half:.3f} ({one.mean:.3f}), home {one.home:.3f}"
                say(f"{number} of {len(missing)}: {one.job}: {scores}, {one.cpu:.0f} CPU s")
                if not settings.quick:
                    keep_run(RUNS, one)
                    write_page(list(runs.values()), n_missing(runs))


def n_missing(runs: Mapping[Job, Run]) -> int:
    """Count the runs that are still to be made, the recipes of others for each of our full ones included."""
    wanted = {job for seed in SEEDS for job in _ours(seed)}
    peers = {replace(job, method=peer) for job in wanted if job.method == OURS[-1] for peer in PEERS}
    return len((wanted | peers) - set(runs))


def area(runs: Iterable[Run], domain: str, method: str) -> float | None:
    """Give the mean AP at 0.5 under the curve over the logarithm of the number of cells, up to `FEW`."""
    found: dict[int, list[float]] = {}
    for one in runs:
        if (one.job.domain, one.job.method) == (domain, method) and one.job.n_cells <= FEW:
            found.setdefault(one.job.n_cells, []).append(one.half)
    points = [(log(n), mean(values)) for n, values in sorted(found.items())]
    if len(points) < 2:
        return None
    whole = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    return whole / (points[-1][0] - points[0][0])


def figures(runs: list[Run]) -> list[Figure]:
    """Put what is promised beside what was reached."""
    found: list[Figure] = []
    before = {one.job.domain: one for one in runs if one.job.method == NONE}
    for domain in DOMAINS:
        areas = {method: area(runs, domain, method) for method in METHODS}
        ours = max((areas[method] or 0.0 for method in OURS), default=0.0)
        others = max((areas[method] or 0.0 for method in PEERS), default=0.0)
        if others:
            found.append(
                Figure(f"{domain}: area under the curve, ours - best of the others", ours - others, "", 0.0, "higher")
            )
    instant = [one for one in runs if one.job.method == OURS[0] and one.job.domain in before]
    if instant:
        gains = [one.half - before[one.job.domain].half for one in instant]
        large = [gain for gain, one in zip(gains, instant, strict=True) if DOMAINS[one.job.domain].is_large]
        found.append(Figure("instant: mean gain in AP at 0.5", mean(gains), "", 0.0, "higher"))
        found.append(Figure("instant: worst run, all sets", min(gains)))
        if large:
            found.append(Figure("instant: worst run, sets of 400 objects or more", min(large), "", -0.02, "higher"))
        flat = [one.cpu for one in instant if "3D" not in one.job.domain]
        found.append(Figure("instant: longest in 2D", max(flat), "CPU s", 1.0))
    for method, limit in ((OURS[1], 0.06), (OURS[2], 0.04)):
        lost = [
            before[one.job.domain].home - one.home
            for one in runs
            if one.job.method == method and one.job.domain in before
        ]
        if lost:
            found.append(Figure(f"{method}: mean loss on the old kind, AP at 0.5", mean(lost), "", limit))
    for domain, most in (("histology", 20.0), ("axons", 20.0), ("brightfield", 20.0), ("nuclei in 3D", 240.0)):
        found += _quick(runs, before, domain, most)
    return found


def _quick(runs: list[Run], before: dict[str, Run], domain: str, most: float) -> list[Figure]:
    quick = [one for one in runs if (one.job.domain, one.job.method, one.job.n_cells) == (domain, OURS[1], 10)]
    top = max(DOMAINS[domain].numbers)
    full = [one for one in runs if (one.job.domain, one.job.method, one.job.n_cells) == (domain, OURS[2], top)]
    if not quick or not full or domain not in before:
        return []
    start = before[domain].half
    share = (mean(one.half for one in quick) - start) / max(1e-6, mean(one.half for one in full) - start)
    return [
        Figure(f"{domain}: gain of quick with 10 cells / of full with {top}", share, "", 0.6, "higher"),
        Figure(f"{domain}: quick with 10 cells", mean(one.cpu for one in quick), "CPU s", most),
    ]
