"""Correct wrongly on purpose: a model that is worse on unseen images must not take the place of a better one.

A run corrects one region of a real image, rightly, with random shapes, with cells drawn as one with their neighbours,
or all beside their place; then it goes the way of the dock: look at the corrections, fine-tune, compare. It starts from
a model that does not know this kind of image, or from one that was taught rightly before. Each run is one line of
`results/gate.jsonl`, and one that is there already is not made again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from math import isnan
from statistics import mean

from benchmarks.few_cells_data import DOMAINS
from benchmarks.gate_page import SHIFTED, write_page
from benchmarks.gate_run import Job, Run, run_job, taught_home
from benchmarks.measure import PASSIVE, environment, say
from benchmarks.record import RESULTS, Figure, Result, Settings
from benchmarks.runs import keep_run, runs_in
from benchmarks.simulate import fluorescence_model

RUNS = RESULTS / "gate.jsonl"
PLACES = (("histology", 0), ("axons", 0), ("brightfield", 0), ("histology", 1), ("axons", 1))
STARTS = ("base", "taught")
WRONG = ("merged", "random")
TAUGHT_STEPS, STEPS, QUICK_STEPS = 100, 50, 10
"""Of each training; a fine-tuning is two or three of them. Those that are taught rightly at first take more."""

WORSE = 0.02
"""AP at 0.5 on unseen images by which a model may be worse by chance."""


def run(settings: Settings) -> Result:
    """Make the runs that are missing, then the figures of all."""
    start = fluorescence_model(settings)
    places = PLACES[:1] if settings.quick else PLACES
    runs = {} if settings.quick else read_runs()
    homes = settings.cache / ("gate-quick" if settings.quick else "gate")
    taught = [Job(*place, "base", "right") for place in places]
    wrong = [Job(*place, begin, kind) for begin in STARTS[::-1] for kind in WRONG for place in places]
    others = [Job(*place, "taught", "right") for place in places[:3]]
    moved = [Job(*place, begin, "shifted") for begin in STARTS for place in places]
    todo = [job for job in taught if job not in runs or not taught_home(homes, job).is_dir()]
    rest = [job for job in (*others[:1], *wrong, *others[1:], *moved) if job not in runs]
    for jobs, steps in ((todo, TAUGHT_STEPS), (rest, STEPS)):
        usable = [job for job in jobs if (settings.data / DOMAINS[job.domain].folder).is_dir()]
        _make(usable, runs, settings, (start, homes, QUICK_STEPS if settings.quick else steps))
    return Result(tuple(figures(list(runs.values()))), {"runs": len(runs)})


def read_runs() -> dict[Job, Run]:
    """Read the runs that were made already."""
    return {one.job: one for one in runs_in(RUNS, Run, Job)}


def _make(jobs: Sequence[Job], runs: dict[Job, Run], settings: Settings, fixed: tuple[object, ...]) -> None:
    """Make runs, one for each core at a time; each is kept as soon as it has ended."""
    with environment({**PASSIVE, "OMP_NUM_THREADS": "1"}):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), context, max_tasks_per_child=1) as pool:
            waiting = [pool.submit(run_job, job, settings.data, *fixed, _before(job, runs)) for job in jobs]
            for number, done in enumerate(as_completed(waiting), start=1):
                one = done.result()
                runs[one.job] = one
                verdict = "accepted" if one.accepted else "refused"
                say(f"{number} of {len(jobs)}: {one.job}: AP {one.before:.3f} -> {one.after:.3f}, {verdict}")
                if not settings.quick:
                    keep_run(RUNS, one)
                    write_page(list(runs.values()))


def _before(job: Job, runs: dict[Job, Run]) -> float | None:
    """Give the score of the model in use where another run has found it."""
    known = runs.get(Job(job.domain, job.seed, "base", "right"))
    return None if known is None else known.before if job.start == "base" else known.after


def is_safe(one: Run) -> bool:
    """Tell whether no worse model has taken the place of a better one."""
    return not one.accepted or one.after >= one.before - WORSE


def figures(runs: Sequence[Run]) -> list[Figure]:
    """Put what is promised beside what was reached."""
    found = []
    wrong = [one for one in runs if one.job.kind in WRONG]
    if wrong:
        name = f"wrong corrections: no worse model replaces a better one, of {len(wrong)}"
        found += [
            Figure(name, mean(is_safe(one) for one in wrong), "", 0.95, "higher"),
            Figure("wrong corrections: worse models that were trained", sum(_is_worse(one) for one in wrong)),
            Figure("wrong corrections: warned before the start", mean(bool(one.warnings) for one in wrong)),
        ]
    good = [one for one in runs if one.job.kind == "right"]
    better = [one for one in good if one.after > one.before + WORSE]
    if better:
        share = mean(one.accepted for one in better)
        found.append(Figure(f"right corrections: better models accepted, of {len(better)}", share, "", 0.9, "higher"))
    moved = [one for one in runs if one.job.kind == "shifted"]
    if moved:
        share = mean(any(SHIFTED in text for text in one.warnings) for one in moved)
        found.append(Figure(f"all shifted alike: warned before the start, of {len(moved)}", share, "", 0.95, "higher"))
        share = mean(any(SHIFTED in text for text in one.warnings) for one in good)
        found.append(Figure(f"not shifted: warned all the same, of {len(good)}", share, "", 0.1))
    return found


def _is_worse(one: Run) -> bool:
    return not isnan(one.after) and one.after < one.before - WORSE
