"""Run benchmarks, each in a process of its own; write their results and the page of results."""

from __future__ import annotations

import argparse
import compileall
import os
import sys
from pathlib import Path

import napari_unet
from benchmarks import BENCHMARKS, run_benchmark
from benchmarks.measure import PASSIVE, environment, in_child
from benchmarks.record import ROOT, Settings, Unavailable, machine, rows, write_result, write_table

NOT_PASSIVE = ("latency", "live", "tools", "hippocampus")
"""Measured in the environment that a user has: there the time on the clock counts."""


def main() -> int:
    """Run the benchmarks named on the command line; 1 when one failed or missed its target."""
    parser = _parser()
    arguments = parser.parse_args()
    unknown = sorted({*arguments.names} - {*BENCHMARKS})
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}")
    # pip compiles what it installs, napari too; of a checkout it is done when it is imported, which is not measured.
    compileall.compile_dir(Path(napari_unet.__file__).parent, quiet=1)
    settings = Settings(arguments.quick, arguments.data, arguments.model, arguments.seconds, arguments.cache)
    failed = [name for name in arguments.names or BENCHMARKS if not _run(name, settings)]
    if not settings.quick:
        write_table(BENCHMARKS)
    if failed:
        print(f"Missed: {', '.join(failed)}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="small and short; the results are not kept")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the data sets")
    parser.add_argument("--model", default="nuclei-2d", help="name or folder of the model to measure")
    parser.add_argument("--seconds", type=float, help="budget of each training")
    cache = Path(os.environ.get("NAPARI_UNET_CACHE", ROOT / "build" / "cache"))
    parser.add_argument("--cache", type=Path, default=cache, help="where trained starting models are kept")
    return parser


def _run(name: str, settings: Settings) -> bool:
    """Run one benchmark; False when it failed or, unless it was quick, missed a target."""
    print(f"{name}: {BENCHMARKS[name]}", flush=True)
    facts = machine()  # before the benchmark loads it
    with environment({} if name in NOT_PASSIVE else PASSIVE):
        try:
            result = in_child(run_benchmark, name, settings).result
        except Unavailable as reason:
            print(f"    left out: {reason}\n")
            return True
    print("\n".join(rows(result.figures)), end="\n\n", flush=True)
    if settings.quick:
        return True
    write_result(name, result, facts)
    return all(figure.is_met for figure in result.figures)


if __name__ == "__main__":
    sys.exit(main())
