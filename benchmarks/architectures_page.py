"""The page of the documentation that compares networks and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import TYPE_CHECKING

from benchmarks.record import ROOT

if TYPE_CHECKING:
    from benchmarks.architectures import Run

PAGE = ROOT / "docs" / "architectures.md"
HEAD = """# Networks and losses compared

Written by `python -m benchmarks architectures`. Every training has the same budget of CPU time on one core, so a
network whose steps cost less takes more of them: what a step costs was measured beforehand, in turns and with nothing
else on the machine. Then come the best three networks with five times as much. The sets:
nuclei (2018 Data Science Bowl, every 4th training image, AP at an IoU of 0.5 on every 2nd validation image),
hippocampus (MRI, every 4th volume, mean Dice on every 2nd), axons (electron microscopy, 6 images, mean Dice on 2).
All networks have the widths of the preset `fast` and the recipe of a new model; `auto` is the target's own loss
(Dice + cross entropy). The memory is all that the process had while it trained."""


def write_page(sections: Mapping[str, Sequence[Run]], n_missing: int) -> None:
    """Write the page of the documentation: one table of runs under each heading."""
    parts = [HEAD]
    if n_missing:
        parts += ["", f"**Not complete:** {n_missing} runs are still to be made, and nothing is decided by this yet."]
    for heading, runs in sections.items():
        parts += ["", f"## {heading}", "", *_rows(runs)]
    PAGE.write_text("\n".join(parts) + "\n")


def _rows(runs: Sequence[Run]) -> list[str]:
    lines = [
        "| network | loss | score, mean and each seed | parameters | steps | CPU s a step | CPU s per megapixel | GiB |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    groups: dict[tuple[str, str], list[Run]] = {}
    for one in runs:
        groups.setdefault((one.job.net, one.job.loss), []).append(one)
    for (net, loss), group in sorted(groups.items(), key=lambda item: -mean(one.score for one in item[1])):
        seeds = ", ".join(f"{one.score:.3f}" for one in sorted(group, key=lambda one: one.job.seed))
        cost = [
            median(getattr(one, name) for one in group)
            for name in ("steps", "step_seconds", "megapixel_seconds", "memory")
        ]
        lines.append(
            f"| {net} | {loss} | **{mean(one.score for one in group):.3f}** ({seeds}) | "
            f"{group[0].parameters / 1e6:.2f} M | "
            f"{cost[0]:.0f} | {cost[1]:.2f} | {cost[2]:.2f} | {cost[3]:.1f} |"
        )
    return lines
