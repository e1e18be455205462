"""The work on a large image in its order: the network over all tiles, then decoding, block by block."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_unet.core.base.glimpse import Glimpse
from napari_unet.core.base.progress import Progress, Report, within
from napari_unet.core.pipeline import blocks
from napari_unet.core.pipeline.stream_blocks import coarsen_block, look_at_block, paint_block, work_of
from napari_unet.core.pipeline.stream_objects import gather_objects, group_objects, keep_objects, measure_objects
from napari_unet.core.pipeline.stream_tiles import compute_maps
from napari_unet.core.targets.merging import plan_blocks

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.pipeline.stream_objects import Extents
    from napari_unet.core.pipeline.stream_place import Place, Run, Task
    from napari_unet.core.pipeline.stream_show import Looker


def predict(place: Place, run: Run, report: Report, looker: Looker | None) -> None:
    """Compute the maps of all tiles that have none."""
    n_times, done = place.image.n_times, place.marked()
    tiles = list(enumerate(place.plan.tiles(place.shape)))
    order = [(time, number, core) for time in range(n_times) for number, core in tiles]
    if looker is not None:
        order.sort(key=lambda one: looker.distance(place.image, place.shape, one[0], one[2]))
    steps = None if looker is None else looker.steps
    tasks: dict[str, Task] = {}
    for time, number, core in order:
        name = f"maps-{time}-{number}"
        tasks[name] = partial(compute_maps, name=name, time=time, core=core, steps=steps)
    _do(tasks, done, run, report, "tile")


def decode(place: Place, run: Run, report: Report, looker: Looker | None) -> int:
    """Decode all time points, one after the other; give the number of objects."""
    n_times, n_objects = place.image.n_times, 0
    for time in range(n_times):
        part = within(report, time / n_times, (time + 1) / n_times)
        mark = f"frame-{time}"
        done = place.marked()
        if mark in done:
            found = int(json.loads(done[mark].read_bytes()))
        else:
            found = _decode_frame(place, run, time, n_objects, part, looker)
            place.mark(mark, found)
        n_objects += found
    return n_objects


def _decode_frame(place: Place, run: Run, time: int, first: int, report: Report, looker: Looker | None) -> int:
    target, work = place.model.spec.target, work_of(place, time)
    boxes = list(plan_blocks(place.finest, place.block))
    looks = [partial(look_at_block, time=time, box=box) for box in boxes]
    facts = _counted(run(looks), len(looks), within(report, 0, 0.35), f"time {time + 1}: looking at block")
    numbering = blocks.number_objects(facts, work, target, place.block)
    painted, final = ("found", "labels") if place.is_finer else ("labels", "")
    paints: dict[str, Task] = {}
    steps = None if looker is None else looker.steps
    for number, box in _in_order(boxes, place, place.finest, time, looker):
        name = f"{painted}-{time}-{number}"
        needed = blocks.needed_by(box, numbering, place.finest)
        paints[name] = partial(paint_block, name=name, time=time, box=box, numbering=needed, first=first, steps=steps)
    _do(paints, place.marked(), run, within(report, 0.35, 0.75), "block")
    if final:
        boxes = list(plan_blocks(place.image.spatial_shape, place.block))
        coarse: dict[str, Task] = {
            f"{final}-{time}-{number}": partial(
                coarsen_block, name=f"{final}-{time}-{number}", time=time, box=box, steps=steps
            )
            for number, box in _in_order(boxes, place, place.image.spatial_shape, time, looker)
        }
        _do(coarse, place.marked(), run, within(report, 0.75, 0.85), "block")
    if target != "instances":
        return 0
    _measure(place, run, time, gather_objects(place, time, first, numbering.n_objects), within(report, 0.85, 1))
    return numbering.n_objects


def _in_order(
    boxes: list[Box], place: Place, grid: tuple[int, ...], time: int, looker: Looker | None
) -> list[tuple[int, Box]]:
    """Put the boxes that are looked at first, each with its number."""
    numbered = list(enumerate(boxes))
    if looker is not None:
        numbered.sort(key=lambda one: looker.distance(place.image, grid, time, one[1]))
    return numbered


def _measure(place: Place, run: Run, time: int, extents: Extents, report: Report) -> None:
    """Tell how sure the network is of the objects of a time point."""
    tasks: dict[str, Task] = {}
    groups = {}
    for number, (ids, box) in enumerate(group_objects(extents, place.block)):
        name = f"sure-{time}-{number}"
        groups[name] = ids
        tasks[name] = partial(measure_objects, name=name, time=time, ids=ids, box=box)
    _do(tasks, place.marked(), run, report, "objects of block")
    keep_objects(place, time, extents, groups)


def _do(tasks: dict[str, Task], done: Iterable[str], run: Run, report: Report, what: str) -> None:
    """Do the tasks that are not marked as done."""
    rest = [task for name, task in tasks.items() if name not in done]
    for _ in _counted(run(rest), len(tasks), report, what, len(tasks) - len(rest)):
        pass


def _counted(results: Iterator[Any], total: int, report: Report, what: str, start: int = 0) -> Iterator[Any]:
    """Report after each result, and show what it shows."""
    for number, result in enumerate(results, start + 1):
        yield result
        shown = (result,) if isinstance(result, Glimpse) else None
        report(Progress(number, total, f"{what} {number} of {total}", shown))
