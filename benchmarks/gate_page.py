"""The page of the documentation on the gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.record import ROOT

if TYPE_CHECKING:
    from benchmarks.gate_run import Run

SHIFTED = "voxels beside what"
"""Of the warning."""

PAGE = ROOT / "docs" / "gate.md"
HEAD = """# The gate, measured

Written by `python -m benchmarks gate`. A region with 10 to 20 cells of a real image is corrected rightly, or wrongly
on purpose, and learnt from as the dock does it: does a model that is worse on images that nothing was learnt from
take the place of a better one? **base** knows fluorescent nuclei only; **taught** was taught rightly with another
image of the kind before. **random**: ellipses of any size, anywhere in the region, instead of its cells; **merged**:
each cell drawn as one with the one next to it; **shifted**: all cells beside their place in one direction. AP at an
IoU of 0.5 on unseen images; held out: what the program itself finds on the corrections that it holds out. Trainings
take 50 steps, those of the models that were taught before 100. Shifted corrections are not learnt from: what counts
is whether it is said before the start.

| image | start | corrections | cells | AP before | AP after | held out before | held out after | verdict |
|---|---|---|---|---|---|---|---|---|"""


def write_page(runs: Sequence[Run]) -> None:
    """Write the page: one table of the runs that were trained, and what was said of those that are shifted."""
    trained = [one for one in runs if one.job.kind != "shifted"]
    order = sorted(trained, key=lambda one: (one.job.kind, one.job.start, one.job.domain, one.job.seed))
    rows = [
        f"| {one.job.domain} {one.job.seed} | {one.job.start} | {one.job.kind} | {one.n_cells} | {one.before:.3f} | "
        f"{one.after:.3f} | {one.held_before:.3f} | {one.held_after:.3f} | "
        f"{'accepted' if one.accepted else 'refused'} |"
        for one in order
    ]
    said = [any(SHIFTED in text for text in one.warnings) for one in runs if one.job.kind == "shifted"]
    words = f"Of {len(said)} shifted corrections {sum(said)} were told before the start."
    PAGE.write_text("\n".join([HEAD, *rows, *(["", words] if said else [])]) + "\n")
