"""The page of the documentation on learning from few cells."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, pstdev
from typing import TYPE_CHECKING

from benchmarks.few_cells_data import DOMAINS
from benchmarks.record import ROOT

if TYPE_CHECKING:
    from benchmarks.few_cells_run import Run

PAGE = ROOT / "docs" / "few_cells.md"
HEAD = """# Learning from few cells, measured

Written by `python -m benchmarks few_cells`. A model that knows fluorescent nuclei only is adapted to another kind of
image with a few annotated cells; then it segments images of that kind that nothing was learned from. All methods run
on one core, in the same engine, on the same network (a U-Net of 16 base channels), and get their thresholds tuned in
the same way; those of others have the CPU time that our full stage took. AP: average precision at an IoU of 0.5, pooled
over the images; in brackets the mean over IoU 0.5 to 0.95. Home: AP at 0.5 on fluorescence, which the model knew
before. With several seeds: mean ± standard deviation.

**Read with care:** learning rates and the share of rehearsal were chosen by trials that were scored on the same
validation images as this table, so it flatters our own lines a little; sizes, inverting, the weight of rehearsal and
all of the instant stage by other cells, scored on training images that were not annotated. The recipes of others are
as published (they change sizes by 0.75 to 1.35); training from scratch is augmented as ours. Seconds of the instant
stage are those of a process that has trained before: the first time takes one more."""


def write_page(runs: Sequence[Run], n_missing: int) -> None:
    """Write the page: one table for each set, and how many runs are still to be made."""
    parts = [HEAD]
    if n_missing:
        parts += ["", f"**Not complete:** {n_missing} runs are still to be made."]
    for domain in DOMAINS:
        mine = [one for one in runs if one.job.domain == domain]
        if mine:
            parts += ["", f"## {domain[0].upper()}{domain[1:]}", "", *_rows(mine)]
    PAGE.write_text("\n".join(parts) + "\n")


def _rows(runs: Sequence[Run]) -> list[str]:
    lines = ["| method | cells | AP (mean) | home | CPU s | seeds |", "|---|---|---|---|---|---|"]
    groups: dict[tuple[str, int], list[Run]] = {}
    for one in runs:
        groups.setdefault((one.job.method, one.job.n_cells), []).append(one)
    for (method, n), group in sorted(groups.items(), key=lambda item: (item[0][1], item[0][0])):
        half, home = _spread([one.half for one in group]), _spread([one.home for one in group])
        cells = "" if method == "no adaptation" else str(n)
        lines.append(
            f"| {method} | {cells} | **{half}** ({mean(one.mean for one in group):.3f}) | {home} | "
            f"{mean(one.cpu for one in group):.0f} | {len(group)} |"
        )
    return lines


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {pstdev(values):.3f}" if len(values) > 1 else "")
